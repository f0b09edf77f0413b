import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Ways to write a service. */
export type InstanceKind = 'http' | 'fastify' | 'express'

/** An instance of `api`. */
export interface InstanceProcess extends AsyncDisposable {
  readonly id: string
  readonly kind: InstanceKind
  readonly child: ChildProcess
  /** What happened to it, as it wrote down itself: the requests received, answered, and held back, in that order. */
  log(event: 'received' | 'answered' | 'held'): readonly string[]
  /** From now on it accepts requests, and answers none. */
  hold(): void
  /** As `kill -9`; resolves once it is gone. */
  kill(): Promise<void>
  /** SIGTERM; resolves once it has ended by itself, to its exit code. */
  stop(): Promise<number | null>
}

export interface InstanceOptions {
  /** The registry's URL. */
  readonly registry: string
  /** Where it may write its log. */
  readonly folder: string
  /** Milliseconds. */
  readonly ttl: number
}

const program = fileURLToPath(new URL('instance.js', import.meta.url))

/** Starts one on a free port, and resolves once it is announced. */
export async function instanceProcess(
  kind: InstanceKind,
  { registry, folder, ttl }: InstanceOptions,
): Promise<InstanceProcess> {
  const file = join(folder, `${process.hrtime.bigint()}.log`)
  const env = { ...process.env, SEAMARK_URL: registry }
  const child = fork(program, [kind, file, String(ttl)], { env, execArgv: [] })
  const gone = once(child, 'exit')
  const kill = async () => {
    child.kill('SIGKILL')
    await gone
  }
  const [id] = await Promise.race([
    once(child, 'message'),
    gone.then(([code, signal]) => {
      throw new Error(`An instance did not start: it ended with ${code ?? signal}.`)
    }),
  ])
  return {
    id,
    kind,
    child,
    log(event) {
      const lines = readFileSync(file, 'utf8').split('\n')
      return lines.flatMap((line) => (line.startsWith(`${event} `) ? [line.slice(event.length + 1)] : []))
    },
    hold: () => child.send('hold'),
    kill,
    async stop() {
      child.kill('SIGTERM')
      const [code] = await gone
      return code
    },
    [Symbol.asyncDispose]: kill,
  }
}
