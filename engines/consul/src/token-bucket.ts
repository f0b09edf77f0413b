import { type Clock, sleep } from '@seamark/core'

/**
 * Lets two through at once, and one more each interval: as Consul's documentation asks of those who repeat blocking
 * queries, so that a busy registry is read less often, and a quiet one without delay.
 */
export class TokenBucket {
  readonly #clock: Clock
  readonly #interval: number
  /** When the bucket is full again. */
  #full = Number.NEGATIVE_INFINITY

  /** `interval` in ms. */
  constructor(clock: Clock, interval: number) {
    this.#clock = clock
    this.#interval = interval
  }

  /** Rejects with the signal's reason as soon as it aborts. */
  async take(signal: AbortSignal): Promise<void> {
    const now = this.#clock.now()
    this.#full = Math.max(now, this.#full) + this.#interval
    const wait = this.#full - now - burst * this.#interval
    if (wait > 0) await sleep(this.#clock, wait, signal)
  }
}

const burst = 2
