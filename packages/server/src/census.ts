import {
  type Catalog,
  type HealthStatus,
  healthStatuses,
  type ServiceKey,
  type Snapshot,
  serviceId,
} from '@seamark/core'

/** How many instances a service has, by health. */
export type Counts = Readonly<Record<HealthStatus, number>> & { readonly instances: number }

/** How many services and instances a namespace has. */
export interface NamespaceCounts {
  readonly namespace: string
  readonly services: number
  readonly instances: number
}

/**
 * Counts what is registered. Only services that changed since are counted anew, and only when somebody asks: a scrape
 * of a million instances costs what changed since the last.
 */
export class Census {
  readonly #catalog: Catalog
  readonly #subscription: Disposable
  readonly #counts = new Map<string, Counts>()
  readonly #namespaces = new Map<string, { services: number; instances: number }>()
  readonly #byHealth: Record<HealthStatus, number> = { passing: 0, warning: 0, critical: 0, maintenance: 0 }
  #changed = new Map<string, ServiceKey>()

  constructor(catalog: Catalog) {
    this.#catalog = catalog
    for (const service of catalog.services()) this.#changed.set(serviceId(service), service)
    this.#subscription = catalog.subscribe(({ services }) => {
      for (const service of services) this.#changed.set(serviceId(service), service)
    })
  }

  byHealth(): Readonly<Record<HealthStatus, number>> {
    this.#count()
    return this.#byHealth
  }

  /** In the order of their names. */
  namespaces(): readonly NamespaceCounts[] {
    this.#count()
    return [...this.#namespaces]
      .map(([namespace, counts]) => ({ namespace, ...counts }))
      .sort((a, b) => (a.namespace < b.namespace ? -1 : 1))
  }

  close(): void {
    this.#subscription[Symbol.dispose]()
  }

  #count(): void {
    const changed = this.#changed
    if (changed.size === 0) return
    this.#changed = new Map()
    for (const [id, service] of changed) {
      const before = this.#counts.get(id) ?? none
      const counts = countOf(this.#catalog.snapshot(service))
      if (counts.instances === 0) this.#counts.delete(id)
      else this.#counts.set(id, counts)
      for (const status of healthStatuses) this.#byHealth[status] += counts[status] - before[status]
      const total = this.#namespaces.get(service.namespace) ?? { services: 0, instances: 0 }
      total.services += Number(counts.instances > 0) - Number(before.instances > 0)
      total.instances += counts.instances - before.instances
      if (total.services === 0) this.#namespaces.delete(service.namespace)
      else this.#namespaces.set(service.namespace, total)
    }
  }
}

const none: Counts = { instances: 0, passing: 0, warning: 0, critical: 0, maintenance: 0 }

export function countOf({ entries }: Snapshot): Counts {
  const counts = { ...none, instances: entries.length }
  for (const { health } of entries) counts[health.status]++
  return counts
}
