import { Failure } from './failure.ts'

/** What was to listen, and where. */
export interface Listener {
  /** `server` or `gateway`. */
  readonly what: string
  readonly host: string
  readonly port: number
  /** Which sets the port: `seamark server --port`. */
  readonly option: string
}

const problems: Readonly<Record<string, (listener: Listener) => Failure>> = {
  EADDRINUSE: ({ what, host, port, option }) =>
    new Failure(
      'conflict',
      `Port ${port} of ${host} is in use: perhaps a ${what} runs already.\n  Stop the other one, or choose another port: ${option} ${(port + 1) % 65_536}`,
    ),
  EACCES: ({ port, option }) =>
    new Failure(
      'failure',
      `This user may not listen on port ${port}: ports below 1024 are often reserved.\n  Choose another one with ${flag(option)}.`,
    ),
  EADDRNOTAVAIL: ({ host, option }) =>
    new Failure(
      'usage',
      `This machine has no address ${host}.\n  Say with ${hostFlag(option)} which of its own to listen on.`,
    ),
  ENOTFOUND: ({ host, option }) =>
    new Failure(
      'usage',
      `No address is known for ${host}.\n  Say with ${hostFlag(option)} which one to listen on.`,
    ),
}

/** The network's errors, in words; others as they are. */
export function cannotListen(error: unknown, listener: Listener): unknown {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const problem = problems[(cause as NodeJS.ErrnoException).code ?? '']
    if (problem !== undefined) return Object.assign(problem(listener), { cause: error })
  }
  return error
}

function flag(option: string): string {
  return option.split(' ').at(-1)!
}

function hostFlag(option: string): string {
  return flag(option).replace('port', 'host')
}
