import { type Clock, sleep } from '@seamark/core'

/**
 * Lets two through at once, and one more each interval: as Consul's documentation asks of those who repeat blocking
 * queries, so that a busy registry is read less often, and a quiet one without delay.
 */
export class TokenBucket {
  readonly #clock: Clock
  /** When the bucket is full again. */
  #full = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `interval` in ms. Rejects with the signal's reason as soon as it aborts. */
  async take(interval: number, signal: AbortSignal): Promise<void> {
    const now = this.#clock.now()
    this.#full = Math.max(now, this.#full) + interval
    const wait = this.#full - now - burst * interval
    if (wait > 0) await sleep(this.#clock, wait, signal)
  }
}

const burst = 2
