import type { Clock } from '@seamark/core'
import type { Logger } from 'pino'
import type { Inquiry, Passage, Report, Routes, Rule, Telemetry } from '../ports.ts'
import { faultOf, refusedWith } from './fault.ts'
import { Metrics } from './metrics.ts'
import { openTelemetry, type SpanOfRequest, type Tracing } from './open-telemetry.ts'
import { RequestLog, type RequestLogOptions } from './request-log.ts'
import { Tallies } from './tallies.ts'
import type { Tally } from './tally.ts'
import { type TraceContext, traceContext } from './trace-context.ts'

export interface TelemetryOptions {
  readonly clock: Clock
  /** Where requests are told of. */
  readonly logger: Logger
  readonly routes: Routes
  /** `false`: requests are not logged. */
  readonly log?: RequestLogOptions | false
}

/** Telemetry that can be read. */
export interface GatewayTelemetry extends Telemetry {
  /** For `/metrics`. */
  readonly metrics: Pick<Metrics, 'contentType' | 'text'>
}

/** Logs, counts and traces requests. Spans are made when `@opentelemetry/api` is installed. */
export async function telemetry({
  clock,
  logger,
  routes,
  log = {},
}: TelemetryOptions): Promise<GatewayTelemetry> {
  const tracing = await openTelemetry()
  const tallies = new Tallies(routes, clock)
  const { sample = 1, query = false } = log === false ? {} : log
  const requests = log === false ? undefined : new RequestLog(logger, query)
  const isSampled = () => sample === 1 || Math.random() < sample
  const instruments: Instruments = { clock, tallies, log: requests, tracing }
  return {
    metrics: new Metrics(tallies, routes),
    begin: (inquiry) => new MeasuredPassage(instruments, inquiry, isSampled()),
    refused(error, client) {
      const { status, fault } = refusedWith(error)
      tallies.none.refuse(status, fault)
      if (fault === 'internal' || isSampled()) requests?.refused(status, fault, error, client)
    },
  }
}

interface Instruments {
  readonly clock: Clock
  readonly tallies: Tallies
  readonly log: RequestLog | undefined
  readonly tracing: Tracing | undefined
}

class MeasuredPassage implements Passage {
  readonly #instruments: Instruments
  readonly #inquiry: Inquiry
  readonly #sampled: boolean
  readonly #began: number
  readonly #span: SpanOfRequest | undefined
  readonly #trace: TraceContext
  #rule: Rule | undefined
  #tally: Tally

  constructor(instruments: Instruments, inquiry: Inquiry, sampled: boolean) {
    this.#instruments = instruments
    this.#inquiry = inquiry
    this.#sampled = sampled
    this.#began = instruments.clock.now()
    this.#tally = instruments.tallies.none
    this.#span = instruments.tracing?.begin(inquiry)
    this.#trace = this.#span?.trace ?? traceContext(inquiry, sampled)
  }

  get traceparent(): string {
    return this.#trace.traceparent
  }

  get tracestate(): string | undefined {
    return this.#trace.tracestate
  }

  routed(rule: Rule): void {
    this.#rule = rule
    this.#tally = this.#instruments.tallies.of(rule)
    this.#tally.inFlight++
    this.#span?.routed(rule)
  }

  ended(report: Report): void {
    const duration = this.#instruments.clock.now() - this.#began
    const fault = faultOf(report)
    if (this.#rule !== undefined) this.#tally.inFlight--
    this.#tally.count(this.#inquiry.method, duration / 1_000, fault, report)
    this.#span?.ended(report, fault)
    this.#instruments.log?.tell({
      inquiry: this.#inquiry,
      rule: this.#rule,
      traceId: this.#trace.traceId,
      sampled: this.#sampled,
      duration,
      fault,
      report,
    })
  }
}
