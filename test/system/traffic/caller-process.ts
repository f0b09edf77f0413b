import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { InterceptorOptions } from '@seamark/client'

export interface CallerOptions extends Pick<InterceptorOptions, 'balancer' | 'tryTimeout'> {
  /** Requests a second. Default 500. */
  readonly rate?: number
}

/** What came of one request. */
export interface Outcome {
  /** `POST 17`. */
  readonly name: string
  readonly method: 'GET' | 'POST' | 'PUT'
  /** Places in the order of all beginnings and ends, as the caller saw it. */
  readonly begun: number
  readonly ended: number
  /** Who answered it, as it should be answered. */
  readonly instance?: string
  /** Or why nobody did. */
  readonly failure?: string
}

/** How far the caller is. */
export interface Progress {
  /** Requests that were answered as they should. */
  readonly answered: number
  /** Who answered one so far. */
  readonly met: readonly string[]
}

/** A caller that sends so many requests a second, whatever becomes of them: GET, POST and PUT. */
export interface CallerProcess extends AsyncDisposable {
  /** Resolves as soon as that holds. */
  until(holds: (progress: Progress) => boolean): Promise<Progress>
  /** Resolves once so many more were answered. */
  more(requests: number): Promise<void>
  /** Sends no more, waits for the answers, and tells what came of each. */
  stop(): Promise<readonly Outcome[]>
}

const program = fileURLToPath(new URL('caller.js', import.meta.url))

/** Starts one, which comes in that way; resolves once it has met three instances, and began. */
export async function callerProcess(
  way: string,
  url: string,
  options: CallerOptions,
): Promise<CallerProcess> {
  const child = fork(program, [way, url, JSON.stringify(options)], {
    execArgv: [],
    serialization: 'advanced',
  })
  const gone = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`The caller ended, with ${code ?? signal}.`)
  })
  gone.catch(() => {})
  let progress: Progress = { answered: 0, met: [] }
  const listeners = new Set<() => void>()
  const outcomes = new Promise<readonly Outcome[]>((resolve) => {
    child.on('message', (message: Progress | { outcomes: readonly Outcome[] }) => {
      if ('outcomes' in message) resolve(message.outcomes)
      else progress = message
      for (const listener of listeners) listener()
    })
  })

  async function until(holds: (progress: Progress) => boolean): Promise<Progress> {
    let listener: (() => void) | undefined
    const held = new Promise<Progress>((resolve) => {
      listener = () => {
        if (holds(progress)) resolve(progress)
      }
      listeners.add(listener)
    })
    try {
      return await Promise.race([held, gone])
    } finally {
      if (listener !== undefined) listeners.delete(listener)
    }
  }

  const self: CallerProcess = {
    until,
    async more(requests) {
      const { answered: before } = progress
      await until(({ answered }) => answered >= before + requests)
    },
    async stop() {
      child.send('stop')
      return Promise.race([outcomes, gone])
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await gone.catch(() => {})
    },
  }
  await self.more(1)
  return self
}
