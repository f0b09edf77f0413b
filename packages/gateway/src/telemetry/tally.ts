import type { Report, Rule } from '../ports.ts'
import { type Fault, isFailure } from './fault.ts'

/** What methods are counted as. */
export const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'other'] as const

/** What statuses are counted as. The client of a cancelled request went away before the answer was whole. */
export const statuses = ['cancelled', '1xx', '2xx', '3xx', '4xx', '5xx'] as const

/** Upper bounds of durations, in seconds. */
export const bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const

const methodIndex = new Map<string, number>(methods.map((method, index) => [method, index]))
const otherMethod = methods.length - 1

/** What is counted of the requests of one rule; plain numbers, so that a request costs additions. */
export class Tally {
  readonly rule: string
  readonly namespace: string
  readonly service: string
  /** By method, then status. */
  readonly answers = new Float64Array(methods.length * statuses.length)
  /** By bound; the last is of those beyond all. */
  readonly durations = new Float64Array(bounds.length + 1)
  seconds = 0
  inFlight = 0
  retries = 0
  bytesIn = 0
  bytesOut = 0
  readonly rejected = new Map<Fault, number>()
  readonly failed = new Map<Fault, number>()

  constructor(rule: Pick<Rule, 'name' | 'service'>) {
    this.rule = rule.name
    this.namespace = rule.service.namespace
    this.service = rule.service.service
  }

  count(method: string, duration: number, fault: Fault | undefined, report: Report): void {
    const { status, tries } = report
    const column = fault === 'cancelled' ? 0 : Math.floor(status / 100)
    const row = methodIndex.get(method) ?? otherMethod
    this.answers[row * statuses.length + column]!++
    // A connection that was upgraded lasts as long as its ends want: that is no time that somebody waited.
    if (status !== 101) {
      this.durations[bucket(duration)]!++
      this.seconds += duration
    }
    if (tries > 1) this.retries += tries - 1
    this.bytesIn += report.bytesIn
    this.bytesOut += report.bytesOut
    if (fault !== undefined && fault !== 'cancelled') this.#blame(fault)
  }

  /** One that could not be read: nothing is known of it but what it was told. */
  refuse(status: number, fault: Fault): void {
    this.answers[otherMethod * statuses.length + Math.floor(status / 100)]!++
    this.#blame(fault)
  }

  #blame(fault: Fault): void {
    const reasons = isFailure(fault) ? this.failed : this.rejected
    reasons.set(fault, (reasons.get(fault) ?? 0) + 1)
  }
}

function bucket(seconds: number): number {
  let index = 0
  while (index < bounds.length && seconds > bounds[index]!) index++
  return index
}
