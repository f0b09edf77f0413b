import type { Logger } from 'pino'
import type { Inquiry, Report, Rule } from '../ports.ts'
import { type Fault, isFailure } from './fault.ts'

export interface RequestLogOptions {
  /**
   * The share of requests that get a line, 0–1; what went wrong gets one always. Traces that the gateway begins are
   * marked as sampled for the same share. Default 1.
   */
  readonly sample?: number
  /** Whether the query is told with the path. Queries hold secrets, such as tokens. Default false. */
  readonly query?: boolean
}

/** What a request is told with. Headers are not: they hold what nobody else may know. */
export interface RequestLine {
  readonly method: string
  readonly host: string
  /** At most 1,000 characters of it. */
  readonly path: string
  /** What the client got; 0 when it went away before. */
  readonly status: number
  /** Milliseconds. */
  readonly duration: number
  /** The address of who asked. */
  readonly client: string
  readonly bytesIn: number
  readonly bytesOut: number
  readonly traceId: string
  readonly rule?: string
  readonly namespace?: string
  readonly service?: string
  /** The id of the instance that answered. */
  readonly instance?: string
  /** How many instances were tried. */
  readonly tries?: number
  /** Of the verified token. */
  readonly subject?: string
  /** What was wrong: the code of an error, `aborted` (the answer broke off) or `cancelled` (the client went away). */
  readonly error?: Fault
  /** More of it, where the fault is not the client's. */
  readonly reason?: string
  /** What nobody foresaw. */
  readonly err?: Error
}

/** What is told of one that is over. */
export interface Told {
  readonly inquiry: Inquiry
  readonly rule: Rule | undefined
  readonly traceId: string
  /** Whether it is among the share that gets a line in any case. */
  readonly sampled: boolean
  /** Milliseconds. */
  readonly duration: number
  readonly fault: Fault | undefined
  readonly report: Report
}

/** Longer paths are cut in the log. */
const pathCharacters = 1_000

/** One line for each request. */
export class RequestLog {
  readonly #logger: Logger
  readonly #query: boolean

  constructor(logger: Logger, query: boolean) {
    this.#logger = logger
    this.#query = query
  }

  tell(told: Told): void {
    const level = levelOf(told)
    if (level === 'info' && !told.sampled) return
    if (!this.#logger.isLevelEnabled(level)) return
    this.#logger[level](this.#line(told), messageOf(told))
  }

  /** Of one that could not be read, nothing can be told but what it was told. */
  refused(status: number, fault: Fault, error: Error, client: string): void {
    const line = {
      status,
      client,
      error: fault,
      ...(fault === 'internal' ? { err: error } : { reason: error.message }),
    }
    this.#logger[fault === 'internal' ? 'error' : 'info'](line, 'refused')
  }

  #line({ inquiry, rule, traceId, duration, fault, report }: Told): RequestLine {
    const { entry, identity, status } = report
    const path = this.#query ? inquiry.path + inquiry.query : inquiry.path
    return {
      method: inquiry.method,
      host: inquiry.host,
      path: path.length > pathCharacters ? `${path.slice(0, pathCharacters)}…` : path,
      status,
      duration: Math.round(duration * 100) / 100,
      client: inquiry.client,
      bytesIn: report.bytesIn,
      bytesOut: report.bytesOut,
      traceId,
      ...(rule !== undefined && {
        rule: rule.name,
        namespace: rule.service.namespace,
        service: rule.service.service,
        tries: report.tries,
      }),
      ...(entry !== undefined && { instance: entry.instance.id }),
      ...(identity?.subject !== undefined && { subject: identity.subject }),
      ...(fault !== undefined && { error: fault }),
      ...(fault !== undefined && report.error !== undefined && explained(fault, report.error)),
    }
  }
}

function explained(fault: Fault, error: Error): Pick<RequestLine, 'reason' | 'err'> {
  if (fault === 'internal') return { err: error }
  return isFailure(fault) ? { reason: error.message } : {}
}

function levelOf({ fault, report: { status } }: Told): 'info' | 'warn' | 'error' {
  if (fault === 'cancelled') return 'info'
  if (fault === 'internal') return 'error'
  return status >= 500 || (fault !== undefined && isFailure(fault)) ? 'warn' : 'info'
}

function messageOf({ fault }: Told): string {
  if (fault === undefined) return 'answered'
  if (fault === 'cancelled') return 'the client went away'
  return isFailure(fault) ? 'failed' : 'refused'
}
