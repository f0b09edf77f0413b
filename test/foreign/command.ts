import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type ProgramName, program } from '../../scripts/programs.js'

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A program at work. Disposing of it kills it. */
export interface Command extends AsyncDisposable {
  readonly ended: Promise<Ended>
  /** Resolves once it has printed this; rejects if it ends without. */
  prints(text: string): Promise<void>
  /** As Ctrl-C. */
  interrupt(): void
}

export interface CommandOptions {
  readonly folder?: string
  readonly environment?: Readonly<Record<string, string>>
}

/** Starts a foreign program. */
export function command(
  name: ProgramName,
  words: readonly string[],
  { folder, environment }: CommandOptions = {},
): Command {
  const found = program(name)
  if (found === undefined) throw new Error(`${name} is not installed: npm run engines:install ${name}`)
  const { file, args, env } = found
  const child = spawn(file, [...args, ...words], {
    ...(folder !== undefined && { cwd: folder }),
    env: { ...process.env, ...env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const texts = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text
    })
  const ended = once(child, 'close').then(([code]) => ({ code, ...texts }))
  return {
    ended,
    prints: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (texts.stdout.includes(text)) resolve()
        }
        child.stdout.on('data', look)
        look()
        ended.then(() => reject(new Error(`It ended without ${text}: ${JSON.stringify(texts)}`)), reject)
      }),
    interrupt: () => {
      child.kill('SIGINT')
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
