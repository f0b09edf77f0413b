import type { CheckResult, HealthStatus, ScheduledCheck } from '@seamark/core'
import type { Outcome } from './check-runner.ts'

/**
 * What is believed of one check. It takes `failureThreshold` failures in a row to become critical, and
 * `successThreshold` successes in a row not to be critical any more; between passing and warning, which are both
 * successes, it follows at once.
 */
export class Verdict {
  readonly #thresholds: Pick<ScheduledCheck, 'successThreshold' | 'failureThreshold'>
  #status: HealthStatus
  #output: string
  #succeeding = false
  #streak = 0

  /** Begins with what is known; what was never seen alive is critical. */
  constructor(
    thresholds: Pick<ScheduledCheck, 'successThreshold' | 'failureThreshold'>,
    known: Pick<CheckResult, 'status' | 'output'> = { status: 'critical', output: '' },
  ) {
    this.#thresholds = thresholds
    this.#status = known.status
    this.#output = known.output
  }

  get status(): HealthStatus {
    return this.#status
  }

  /** Of the last outcome that agreed with the status. */
  get output(): string {
    return this.#output
  }

  observe({ status, output }: Outcome): void {
    const success = status !== 'critical'
    this.#streak = success === this.#succeeding ? this.#streak + 1 : 1
    this.#succeeding = success
    const { successThreshold, failureThreshold } = this.#thresholds
    const agrees = success === (this.#status !== 'critical')
    if (!agrees && this.#streak < (success ? successThreshold : failureThreshold)) return
    this.#status = status
    this.#output = output
  }
}
