import type { Clock } from '@seamark/core'

interface Wakeup {
  readonly at: number
  readonly callbacks: Set<() => void>
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
    const wakeup: Wakeup = { at: now + delay, callbacks: new Set() }
    this.#wakeups.add(wakeup)
    this.#clock.after(delay, () => {
      this.#wakeups.delete(wakeup)
      for (const wake of wakeup.callbacks) wake()
    })
    return wakeup
  }
}
