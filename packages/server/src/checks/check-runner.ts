import type { Instance, ScheduledCheck } from '@seamark/core'
import type { CheckPolicy } from './target-policy.ts'

/** What one run of a check came to. */
export interface Outcome {
  readonly status: 'passing' | 'warning' | 'critical'
  /** For people. */
  readonly output: string
}

export interface RunContext {
  readonly instance: Instance
  readonly policy: CheckPolicy
  /** Aborts at the check's timeout, and when nobody wants the outcome any more. It lives as long as the run. */
  readonly signal: AbortSignal
}

/**
 * Runs a check of one type once. An error means critical, and its message is the output. Once the signal aborts, it
 * settles at once, and leaves no socket, process or timer behind.
 */
export type CheckRunner<Check extends ScheduledCheck> = (
  check: Check,
  context: RunContext,
) => Promise<Outcome>
