import { type ChildProcess, spawn } from 'node:child_process'
import { Failure } from './failure.ts'
import { signalExitCode } from './interruption.ts'

/** A program that runs in this one's place: same terminal, same input and output. */
export interface Child {
  /** Its exit code; 128 and the signal's number if a signal ended it, as shells have it. */
  readonly ended: Promise<number>
  /** Passes on a signal that this process got. */
  signal(signal: NodeJS.Signals): void
}

/** Shells' own exit codes for a program that cannot be run. */
const notFound = 127
const notExecutable = 126

/** Starts a program. Resolves once it runs; a program that cannot be run throws `Failure`. */
export async function child([program, ...words]: readonly string[]): Promise<Child> {
  const running = spawn(program!, words, { stdio: 'inherit' })
  const ended = new Promise<number>((resolve) => {
    running.once('exit', (code, signal) => resolve(signal === null ? code! : signalExitCode(signal)))
  })
  await started(running, program!)
  // Whatever ends this process ends the program too: nobody would deregister it later.
  const leave = () => void running.kill('SIGTERM')
  process.once('exit', leave)
  void ended.then(() => process.off('exit', leave))
  return {
    ended,
    signal(signal) {
      // A terminal's Ctrl-C goes to all of its foreground: it has it already.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) running.kill(signal)
    },
  }
}

function started(running: ChildProcess, program: string): Promise<void> {
  return new Promise((resolve, reject) => {
    running.once('spawn', resolve)
    running.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'ENOENT' ? 'there is no such program' : error.message
      reject(
        new Failure(error.code === 'ENOENT' ? notFound : notExecutable, `${program} cannot be run: ${why}.`, {
          cause: error,
        }),
      )
    })
  })
}
