import type { Route, ServiceKey } from '@seamark/core'
import type { Routes, Rule } from '../ports.ts'
import { healthCounts } from '../telemetry/metrics.ts'

/** A rule as `/routes` shows it. */
export interface RuleJson extends ServiceKey {
  readonly name: string
  readonly route: Route
  /** What protects it; how is not told, as that may hold what pins a canary. */
  readonly policy: readonly string[]
  readonly origin: string
  /** How many it sends to, by their health, and `all` of them. */
  readonly instances: Readonly<Record<string, number>>
}

/** A rule that is not in force. */
export interface ConflictJson extends ServiceKey {
  readonly name: string
  readonly route: Route
  readonly origin: string
  /** The name of the rule that is in force for the same requests. */
  readonly winner: string
}

/** The route table: in the order in which it is looked at. */
export function routesJson(routes: Routes): {
  readonly routes: readonly RuleJson[]
  readonly conflicts: readonly ConflictJson[]
} {
  const { rules, conflicts } = routes.table
  return {
    routes: rules.map((rule) => ({
      ...head(rule),
      policy: Object.keys(rule.policy),
      instances: { all: routes.snapshot(rule).entries.length, ...healthCounts(routes, rule) },
    })),
    conflicts: conflicts.map(({ rule, winner }) => ({ ...head(rule), winner: winner.name })),
  }
}

function head({ name, service, route, origin }: Rule) {
  return { name, namespace: service.namespace, service: service.service, route, origin }
}
