import { type HealthStatus, healthStatuses } from '@seamark/core'
import { type Metric, Registry } from 'prom-client'
import type { Routes } from '../ports.ts'
import type { Tallies } from './tallies.ts'
import { bounds, methods, statuses, type Tally } from './tally.ts'

/** One metric as it stands in `/metrics`. */
export interface Definition {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
}

interface Sample {
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
  /** Where it is another than the metric's. */
  readonly metricName?: string
}

interface Source extends Definition {
  samples(measured: Measured): Iterable<Sample>
}

interface Measured {
  readonly tallies: readonly Tally[]
  readonly routes: Routes
}

const own = ['rule', 'namespace', 'service'] as const

/** Every metric of the gateway: `docs/reference/gateway.md` has the same ones. */
const sources = {
  seamark_gateway_requests_total: {
    type: 'counter',
    help: 'Requests that are over.',
    labels: [...own, 'method', 'status'],
    *samples({ tallies }) {
      for (const tally of tallies)
        for (const [index, value] of tally.answers.entries())
          if (value > 0) {
            const method = methods[Math.floor(index / statuses.length)]!
            const status = statuses[index % statuses.length]!
            yield { labels: { ...labelsOf(tally), method, status }, value }
          }
    },
  },
  seamark_gateway_request_duration_seconds: {
    type: 'histogram',
    help: 'From the head of a request until its answer was sent. Upgraded connections do not count.',
    labels: own,
    *samples({ tallies }) {
      for (const tally of tallies) yield* histogram('seamark_gateway_request_duration_seconds', tally)
    },
  },
  seamark_gateway_requests_in_flight: {
    type: 'gauge',
    help: 'Requests under way.',
    labels: own,
    samples: ({ tallies }) => each(tallies, ({ inFlight }) => inFlight),
  },
  seamark_gateway_retries_total: {
    type: 'counter',
    help: 'Further tries at other instances.',
    labels: own,
    samples: ({ tallies }) => each(tallies, ({ retries }) => retries),
  },
  seamark_gateway_upstream_failures_total: {
    type: 'counter',
    help: 'Requests to which the gateway answered that the service could not be asked.',
    labels: [...own, 'reason'],
    samples: ({ tallies }) => reasons(tallies, ({ failed }) => failed),
  },
  seamark_gateway_rejected_total: {
    type: 'counter',
    help: 'Requests that the gateway did not let in.',
    labels: [...own, 'reason'],
    samples: ({ tallies }) => reasons(tallies, ({ rejected }) => rejected),
  },
  seamark_gateway_received_bytes_total: {
    type: 'counter',
    help: 'Bytes of bodies that came from clients.',
    labels: own,
    samples: ({ tallies }) => each(tallies, ({ bytesIn }) => bytesIn),
  },
  seamark_gateway_sent_bytes_total: {
    type: 'counter',
    help: 'Bytes of bodies that went to clients.',
    labels: own,
    samples: ({ tallies }) => each(tallies, ({ bytesOut }) => bytesOut),
  },
  seamark_gateway_routes: {
    type: 'gauge',
    help: 'Rules in force.',
    labels: [],
    samples: ({ routes }) => [{ labels: {}, value: routes.table.rules.length }],
  },
  seamark_gateway_route_conflicts: {
    type: 'gauge',
    help: 'Rules that are not in force, as another one is for the same requests.',
    labels: [],
    samples: ({ routes }) => [{ labels: {}, value: routes.table.conflicts.length }],
  },
  seamark_gateway_instances: {
    type: 'gauge',
    help: 'Instances that a rule sends to.',
    labels: [...own, 'health'],
    *samples({ routes }) {
      for (const rule of routes.table.rules) {
        const counts = healthCounts(routes, rule)
        for (const health of healthStatuses)
          yield {
            labels: { rule: rule.name, ...rule.service, health },
            value: counts[health],
          }
      }
    },
  },
} satisfies Record<string, Source>

export const metricDefinitions: Readonly<Record<string, Definition>> = sources

/** How many of a rule's instances have which health. */
export function healthCounts(routes: Routes, rule: Parameters<Routes['snapshot']>[0]) {
  const counts: Record<HealthStatus, number> = { passing: 0, warning: 0, critical: 0, maintenance: 0 }
  for (const { health } of routes.snapshot(rule).entries) counts[health.status]++
  return counts
}

/** What the gateway counts, for Prometheus. All of it is put together at a scrape. */
export class Metrics {
  readonly #registry = new Registry()

  constructor(tallies: Tallies, routes: Routes) {
    for (const [name, { type, help, samples }] of Object.entries<Source>(sources)) {
      const get = async () => ({
        name,
        help,
        type,
        values: [...samples({ tallies: tallies.all(), routes })],
      })
      // What prom-client registers itself when it puts together metrics of several processes: a name, and a `get`.
      this.#registry.registerMetric({ name, help, type, get } as unknown as Metric)
    }
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }
}

function labelsOf({ rule, namespace, service }: Tally) {
  return { rule, namespace, service }
}

function* each(tallies: readonly Tally[], value: (tally: Tally) => number): Iterable<Sample> {
  for (const tally of tallies) yield { labels: labelsOf(tally), value: value(tally) }
}

function* reasons(
  tallies: readonly Tally[],
  counts: (tally: Tally) => ReadonlyMap<string, number>,
): Iterable<Sample> {
  for (const tally of tallies)
    for (const [reason, value] of counts(tally)) yield { labels: { ...labelsOf(tally), reason }, value }
}

function* histogram(name: string, tally: Tally): Iterable<Sample> {
  const labels = labelsOf(tally)
  let count = 0
  for (const [index, value] of tally.durations.entries()) {
    count += value
    yield { metricName: `${name}_bucket`, labels: { ...labels, le: bounds[index] ?? '+Inf' }, value: count }
  }
  yield { metricName: `${name}_sum`, labels, value: tally.seconds }
  yield { metricName: `${name}_count`, labels, value: count }
}
