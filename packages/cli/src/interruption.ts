import { constants } from 'node:os'
import { type Clock, systemClock } from '@seamark/core'

/**
 * Milliseconds within which signals count as one. A Ctrl-C under `npm start` arrives twice: from the terminal, and from
 * npm, which passes on what it got itself.
 */
const together = 500

/** The exit code of a process that a signal ended, as shells have it. */
export function signalExitCode(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}

/** What a command in the foreground waits for. */
export interface Interruption extends Disposable {
  /** Aborts with the first SIGINT or SIGTERM, and its name as the reason. A second one ends the process at once. */
  readonly signal: AbortSignal
  /** Resolves, to the signal's name, with the first. */
  readonly arrived: Promise<NodeJS.Signals>
}

/** Listens for SIGINT and SIGTERM, and keeps the process alive meanwhile. */
export function interruption(clock: Clock = systemClock): Interruption {
  const controller = new AbortController()
  const alive = setInterval(() => {}, 2 ** 30)
  let first: number | undefined
  let arrive: (signal: NodeJS.Signals) => void
  const arrived = new Promise<NodeJS.Signals>((resolve) => {
    arrive = resolve
  })
  const listener = (signal: NodeJS.Signals) => {
    if (first === undefined) {
      first = clock.now()
      controller.abort(signal)
      arrive(signal)
    } else if (clock.now() - first > together) process.exit(signalExitCode(signal))
  }
  process.on('SIGINT', listener).on('SIGTERM', listener)
  return {
    signal: controller.signal,
    arrived,
    [Symbol.dispose]() {
      clearInterval(alive)
      process.off('SIGINT', listener).off('SIGTERM', listener)
    },
  }
}
