import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../../scripts/step.js'

/** The command that npm links. */
export const bin = join(root, 'packages/cli/bin/seamark.js')

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>
  readonly folder?: string
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** One process of the command line. Disposing of it kills it. */
export interface Run extends AsyncDisposable {
  readonly process: ChildProcess
  readonly ended: Promise<Ended>
  /** Resolves with the match, once standard output holds one; rejects when the process ends without. */
  prints(pattern: RegExp): Promise<RegExpExecArray>
  /** The same of standard error. */
  remarks(pattern: RegExp): Promise<RegExpExecArray>
}

/** This process's environment, without what would configure the command line. */
const clean = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(SEAMARK_|NO_COLOR|FORCE_COLOR|npm_)/.test(name)),
)

const empty = mkdtempSync(join(tmpdir(), 'seamark-cli-'))
process.once('exit', () => rmSync(empty, { recursive: true, force: true }))

/** Starts the command line; by default in an empty folder. */
export function start(words: readonly string[], { environment = {}, folder = empty }: RunOptions = {}): Run {
  const child = spawn(process.execPath, [bin, ...words], {
    cwd: folder,
    env: { ...clean, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const texts = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text
    })
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, ...texts }))
  const seen = (name: 'stdout' | 'stderr', pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(texts[name])
        if (match === null) return
        child[name].off('data', look)
        resolve(match)
      }
      child[name].on('data', look)
      look()
      ended.then(() => reject(new Error(`It ended without ${pattern}: ${JSON.stringify(texts)}`)), reject)
    })
  return {
    process: child,
    ended,
    prints: (pattern) => seen('stdout', pattern),
    remarks: (pattern) => seen('stderr', pattern),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** Runs a command line to its end. */
export async function seamark(words: readonly string[], options?: RunOptions): Promise<Ended> {
  return start(words, options).ended
}

export interface RunningServer extends Run {
  readonly url: string
  readonly port: number
}

/** Starts a server on a free port, without DNS unless asked for, and waits until it is up. */
export async function startServer(
  words: readonly string[] = ['--engine', 'memory:'],
  options?: RunOptions,
): Promise<RunningServer> {
  const run = start(['server', '--port', '0', '--dns-port', 'off', '--json', ...words], options)
  const [line] = await run.prints(/^\{.*\}$/m)
  const { url, port } = JSON.parse(line)
  return { ...run, url, port, [Symbol.asyncDispose]: run[Symbol.asyncDispose] }
}
