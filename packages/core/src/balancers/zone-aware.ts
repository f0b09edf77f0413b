import type { Balancer } from '../balancer.ts'
import type { Entry } from '../ports.ts'

export interface ZoneOptions {
  /** The caller's own. */
  readonly zone: string
  /** All instances of the service by zone, healthy or not: what the zone's share of the requests was made for. */
  readonly registered: readonly Entry[]
}

/** How much more than its share a zone may take before others help: Envoy's overprovisioning factor. */
const overprovisioning = 1.4

/**
 * Keeps requests in the caller's zone for as long as its healthy instances can take them. When less than 1 / 1.4 (72 %) of its
 * weight is left, the others take over in proportion to what is missing; when nothing is left, all of it.
 */
export function zoneAware(balancer: Balancer, { zone, registered }: ZoneOptions): Balancer {
  return (candidates) => {
    const local = candidates.filter(({ instance }) => instance.zone === zone)
    if (local.length === 0 || local.length === candidates.length) return balancer(candidates)
    const capacity = weightOf(registered.filter(({ instance }) => instance.zone === zone))
    const kept = Math.min(1, (overprovisioning * weightOf(local)) / Math.max(capacity, weightOf(local)))
    const near = balancer(local)
    const far = balancer(candidates.filter(({ instance }) => instance.zone !== zone))
    return (choice) => {
      const { random } = choice
      return random < kept
        ? (near({ ...choice, random: random / kept }) ?? far(choice))
        : (far({ ...choice, random: (random - kept) / (1 - kept) }) ?? near(choice))
    }
  }
}

/** Those without a weight count a little: a zone of them is not an empty one. */
function weightOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, { instance }) => sum + Math.max(instance.weight, 0.001), 0)
}
