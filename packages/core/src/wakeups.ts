import type { Clock, Timer } from './clock.ts'

interface Wakeup {
  readonly at: number
  readonly callbacks: Set<() => void>
  readonly timer: Timer
}

/**
 * Wakes those together who may as well wake together, so that what they then send shares one request. A wake-up nobody
 * shares yet is put somewhere inside its window at random, so that processes do not march in step.
 */
export class Wakeups {
  readonly #clock: Clock
  readonly #wakeups = new Set<Wakeup>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves between `earliest` and `latest` ms from now; at once when `signal` aborts. */
  sleep(earliest: number, latest: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const wakeup = this.#within(earliest, latest)
      const wake = () => {
        signal.removeEventListener('abort', wake)
        wakeup.callbacks.delete(wake)
        if (wakeup.callbacks.size === 0) this.#forget(wakeup)
        resolve()
      }
      wakeup.callbacks.add(wake)
      signal.addEventListener('abort', wake, { once: true })
    })
  }

  #within(earliest: number, latest: number): Wakeup {
    const now = this.#clock.now()
    for (const wakeup of this.#wakeups)
      if (wakeup.at >= now + earliest && wakeup.at <= now + latest) return wakeup
    const delay = earliest + Math.random() * (latest - earliest)
    const callbacks = new Set<() => void>()
    const timer = this.#clock.after(delay, () => {
      for (const wake of callbacks) wake()
    })
    const wakeup: Wakeup = { at: now + delay, callbacks, timer }
    this.#wakeups.add(wakeup)
    return wakeup
  }

  #forget(wakeup: Wakeup): void {
    wakeup.timer.cancel()
    this.#wakeups.delete(wakeup)
  }
}
