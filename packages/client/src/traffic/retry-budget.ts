import { type Clock, invalidField } from '@seamark/core'

export interface RetryBudgetOptions {
  /** Retries per request. Default 0.2, as Finagle. */
  readonly share?: number
  /** Retries per second that are always allowed. Default 10, as Finagle. */
  readonly perSecond?: number
}

/** Throws `invalid_field`. */
export function checkedBudget(options: RetryBudgetOptions): RetryBudgetOptions {
  for (const field of ['share', 'perSecond'] as const)
    if (options[field] !== undefined && !(options[field] >= 0))
      throw invalidField(`retryBudget/${field}`, 'must be a number of at least 0')
  return options
}

/** Seconds for which retries that were not needed may be saved up, as Finagle. */
const saving = 10

/** Keeps retries from adding load to a service that fails because of load. */
export class RetryBudget {
  readonly #clock: Clock
  readonly #share: number
  readonly #perSecond: number
  #balance: number
  #at: number

  constructor(clock: Clock, { share = 0.2, perSecond = 10 }: RetryBudgetOptions = {}) {
    this.#clock = clock
    this.#share = share
    this.#perSecond = perSecond
    this.#balance = perSecond
    this.#at = clock.now()
  }

  /** A request was made. */
  deposit(): void {
    this.#balance += this.#share
  }

  /** Whether a retry may be made; then it is paid for. */
  withdraw(): boolean {
    const now = this.#clock.now()
    const earned = ((now - this.#at) / 1_000) * this.#perSecond
    this.#at = now
    const most = Math.max(saving * this.#perSecond, 1, 500 * this.#share)
    this.#balance = Math.min(this.#balance + earned, most)
    if (this.#balance < 1) return false
    this.#balance--
    return true
  }
}
