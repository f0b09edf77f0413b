import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Program, type ProgramName, program } from '../../scripts/programs.js'
import { type Janitor, janitor } from './janitor.ts'

/** A real server, as a process of its own. Disposing of it kills it and removes its data. */
export interface ServerProgram extends AsyncDisposable {
  /** Where its data are. */
  readonly folder: string
  /** The end of what it printed, over all its starts. */
  readonly log: string
  readonly running: boolean
  /** As `kill -9`; resolves once it is gone. */
  kill(): Promise<void>
  /** Asks it to end, with SIGTERM; resolves once it is gone. */
  stop(): Promise<void>
  /** Starts it again, on the same ports and data; resolves once it is ready. */
  start(): Promise<void>
  /** Kills it and starts it again. */
  restart(): Promise<void>
  /** Halts it with SIGSTOP: its connections stay, and nothing answers. */
  pause(): void
  resume(): void
}

/** How to start a server, once its folder is known. */
export interface Plan<Facts> {
  readonly args: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** What starts it, if it does not start itself: a command that takes the program and its arguments after its own. */
  readonly starter?: readonly string[]
  /** Whether it serves, by asking it. A failure to ask means that it does not, yet. */
  ready(): Promise<boolean>
  /** What tests need to know of it: its URL, its ports. */
  readonly facts: Facts
}

export interface User {
  readonly uid: number
  readonly gid: number
}

export interface ServerProgramOptions {
  /** As whom to run it, if we are root. */
  readonly user?: User | undefined
}

let sharedJanitor: Janitor | undefined

const keptLog = 64 * 1024
const patience = 30_000
/** Of a port that someone else took first, or of the last one's children that are not gone yet. */
const passing = /address already in use|pre-existing shared memory|failed to create listening socket/i

/** Starts a server; resolves once it is ready. */
export async function serverProgram<Facts extends object>(
  name: ProgramName,
  plan: (folder: string, found: Program) => Promise<Plan<Facts>> | Plan<Facts>,
  { user }: ServerProgramOptions = {},
): Promise<ServerProgram & Facts> {
  const found = program(name)
  if (found === undefined) throw new Error(`${name} is not installed: npm run engines:install ${name}`)
  const { file, args, env } = found
  sharedJanitor ??= janitor()
  const cleaner = sharedJanitor
  // A temporary folder of our own may be closed to another user.
  const folder = mkdtempSync(join(user ? '/tmp' : tmpdir(), `seamark-${name}-`))
  cleaner.minds('folder', folder)
  if (user) chownSync(folder, user.uid, user.gid)

  let planned: Plan<Facts>
  let child: ChildProcess | undefined
  let ended: Promise<unknown> = Promise.resolve()
  let log = ''
  let lastLog = ''

  function launch(): void {
    const { environment, starter = [] } = planned
    const [first = file, ...rest] = [...starter, file, ...args, ...planned.args]
    lastLog = ''
    const started = spawn(first, rest, {
      cwd: folder,
      env: { ...process.env, ...env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      // Of its own group: a Ctrl-C at the terminal is for the tests, which end it themselves.
      detached: true,
      ...user,
    })
    child = started
    for (const stream of [started.stdout, started.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        log = (log + text).slice(-keptLog)
        lastLog = (lastLog + text).slice(-keptLog)
      })
    }
    const { pid } = started
    if (pid !== undefined) cleaner.minds('process', pid)
    started.on('error', (error) => {
      log += `\n${error.message}`
    })
    ended = new Promise<void>((resolve) => {
      started.once('close', () => {
        if (pid !== undefined) cleaner.forgets('process', pid)
        if (child === started) child = undefined
        resolve()
      })
    })
  }

  async function start(): Promise<void> {
    if (child !== undefined) return
    const begun = performance.now()
    launch()
    for (;;) {
      if (await isReady()) return
      const late = performance.now() - begun > patience
      if (child === undefined && !late && passing.test(lastLog)) launch()
      else if (child === undefined) throw new Error(`${name} ended before it was ready:\n${log}`)
      else if (late) throw new Error(`${name} was not ready within ${patience} ms:\n${log}`)
      await sleep(20)
    }
  }

  async function isReady(): Promise<boolean> {
    // Asked before it runs, an older server that is on its port could answer instead.
    if (child === undefined) return false
    try {
      return (await planned.ready()) && child !== undefined
    } catch {
      return false
    }
  }

  function signal(name: NodeJS.Signals): void {
    if (child?.pid === undefined) return
    for (const pid of family(child.pid)) {
      try {
        process.kill(pid, name)
      } catch {
        // It ended before it could be told.
      }
    }
  }

  const self: ServerProgram = {
    folder,
    get log() {
      return log
    },
    get running() {
      return child !== undefined
    },
    async kill() {
      signal('SIGKILL')
      await ended
    },
    async stop() {
      child?.kill('SIGTERM')
      // One that is halted would never know.
      self.resume()
      await ended
    },
    start,
    async restart() {
      await self.kill()
      await start()
    },
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    async [Symbol.asyncDispose]() {
      await self.kill()
      rmSync(folder, { recursive: true, force: true })
      cleaner.forgets('folder', folder)
    },
  }

  try {
    planned = await plan(folder, found)
    await start()
  } catch (error) {
    await self[Symbol.asyncDispose]()
    throw error
  }
  return Object.defineProperties(self, Object.getOwnPropertyDescriptors(planned.facts)) as typeof self & Facts
}

/** A process, and on Linux all that descend from it, the first one first. */
function family(pid: number): number[] {
  const pids = [pid]
  for (const each of pids) {
    try {
      const children = readFileSync(`/proc/${each}/task/${each}/children`, 'utf8')
      pids.push(...children.split(' ').filter(Boolean).map(Number))
    } catch {
      // Gone, or not Linux.
    }
  }
  return pids
}

/** Runs a program to its end, as a step in the preparation of a server. */
export async function run(file: string, args: readonly string[], options: object): Promise<void> {
  const child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
  }
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} failed:\n${printed}`)
}
