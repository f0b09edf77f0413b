import { type ErrorCode, isSeamarkError } from '@seamark/core'
import type { Report } from '../ports.ts'

/**
 * What was wrong with a request, if anything: the code of the gateway's own answer, or of what a fallback answered instead of;
 * that its client went away; or that the instance's answer broke off.
 */
export type Fault = ErrorCode | 'cancelled' | 'aborted'

/** The service could not be asked, or did not answer to the end; all others say that the gateway would not ask it. */
const failures: ReadonlySet<Fault> = new Set<Fault>([
  'unavailable',
  'attempts_failed',
  'timeout',
  'aborted',
  'service_not_found',
  'no_match',
  'engine_unavailable',
  'internal',
])

export function isFailure(fault: Fault): boolean {
  return failures.has(fault)
}

/** Of one that was turned away by itself. */
export function refusedWith(error: Error): { readonly status: number; readonly fault: Fault } {
  if (isSeamarkError(error)) return { status: error.status, fault: error.code }
  return { status: 500, fault: 'internal' }
}

export function faultOf({ status, error }: Report): Fault | undefined {
  if (status === 0 || error?.name === 'AbortError') return 'cancelled'
  if (error === undefined) return undefined
  if (isSeamarkError(error)) return error.code
  // What nobody foresaw is answered so; anything else went wrong once an answer was on its way.
  return status === 500 ? 'internal' : 'aborted'
}
