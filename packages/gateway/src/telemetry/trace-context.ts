import { randomFillSync } from 'node:crypto'
import type { Inquiry } from '../ports.ts'

/** Where a request is in its trace, with an id of our own for our part of it. */
export interface TraceContext {
  readonly traceId: string
  /** Such as `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`: what the instance gets. */
  readonly traceparent: string
  readonly tracestate: string | undefined
}

/** As W3C's Trace Context, level 1 (3.2), has it: lower case, no id of zeroes, and `ff` is no version. */
const form = /^(?!ff)[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}(?:$|-)/

/** The length of version `00`, exactly; later ones may have more, after a dash. */
const length = 55

/**
 * Goes on with the caller's trace, or begins one, marked as sampled or not. What was not understood is not passed on:
 * a `tracestate` belongs to its `traceparent`.
 */
export function traceContext(inquiry: Pick<Inquiry, 'header'>, sampled: boolean): TraceContext {
  const traceparent = inquiry.header('traceparent')
  if (traceparent === undefined || !isTraceparent(traceparent)) {
    const traceId = randomId(16)
    return { traceId, traceparent: format(traceId, randomId(8), sampled), tracestate: undefined }
  }
  const traceId = traceparent.slice(3, 35)
  return {
    traceId,
    traceparent: format(traceId, randomId(8), (Number.parseInt(traceparent.charAt(54), 16) & 1) === 1),
    tracestate: inquiry.header('tracestate') || undefined,
  }
}

/** In version `00`, which is the one that we know. Of the flags it has the first only. */
export function format(traceId: string, spanId: string, sampled: boolean): string {
  return `00-${traceId}-${spanId}-0${sampled ? 1 : 0}`
}

function isTraceparent(header: string): boolean {
  return form.test(header) && (header.length === length || !header.startsWith('00'))
}

/** Random bytes, ahead of their use: a call for a few of them costs as much as one for thousands. */
const pool = Buffer.allocUnsafe(12_288)
let used = pool.length

function randomId(bytes: number): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const id = pool.toString('hex', used, used + bytes)
  used += bytes
  // All zeroes would be invalid. It will not happen.
  return id
}
