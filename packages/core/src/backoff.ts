export interface BackoffOptions {
  /** Milliseconds before the second try. Default 100. */
  first?: number
  /** Milliseconds that no wait exceeds. Default 10,000. */
  most?: number
  /** What each wait is multiplied by. Default 2. */
  factor?: number
  /** A source of numbers in [0, 1). Default `Math.random`. */
  random?: () => number
}

/**
 * How long to wait before each next try: exponential, with "equal jitter" (half of the wait is random), so that
 * clients that failed together do not come back together.
 */
export class Backoff {
  readonly #first: number
  readonly #most: number
  readonly #factor: number
  readonly #random: () => number
  #wait: number

  constructor({ first = 100, most = 10_000, factor = 2, random = Math.random }: BackoffOptions = {}) {
    this.#first = first
    this.#most = most
    this.#factor = factor
    this.#random = random
    this.#wait = first
  }

  /** Milliseconds to wait now; the next call answers a longer wait. */
  next(): number {
    const wait = Math.min(this.#wait, this.#most)
    this.#wait = Math.min(this.#wait * this.#factor, this.#most)
    return wait / 2 + this.#random() * (wait / 2)
  }

  /** After a success. */
  reset(): void {
    this.#wait = this.#first
  }
}
