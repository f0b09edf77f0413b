import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import { type Catalog, type Clock, healthStatuses } from '@seamark/core'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Census } from './census.ts'
import type { ItemWatchers } from './item-watchers.ts'
import type { Presences } from './presences.ts'
import type { Watchers } from './watchers.ts'

export interface Measured {
  readonly catalog: Catalog
  readonly census: Census
  readonly watchers: Watchers
  readonly itemWatchers: ItemWatchers
  readonly presences: Presences
  readonly waiters: readonly { readonly size: number }[]
  readonly clock: Clock
}

/** Milliseconds between two looks at the event loop. */
const resolution = 10

/** What the server counts about itself, for Prometheus. What can be looked up is looked up at a scrape. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #requests = new Map<string, { readonly labels: Labels; count: number }>()
  readonly #loop: IntervalHistogram
  readonly renewals: Counter
  readonly expiries: Counter
  readonly presenceEndings: Counter
  readonly watchLag: Histogram

  constructor() {
    const registers = [this.#registry]
    this.renewals = new Counter({
      name: 'seamark_lease_renewals_total',
      help: 'Leases renewed.',
      registers,
    })
    this.expiries = new Counter({
      name: 'seamark_lease_expiries_total',
      help: 'Leases that ended because nobody renewed them.',
      registers,
    })
    this.presenceEndings = new Counter({
      name: 'seamark_presence_endings_total',
      help: 'Leases ended because the connection of their client closed.',
      registers,
    })
    this.watchLag = new Histogram({
      name: 'seamark_watch_lag_seconds',
      help: 'From a change reaching the server until it was written to the last watcher.',
      buckets: [0.001, 0.005, 0.025, 0.1, 0.25, 1, 5],
      registers,
    })
    const requests = this.#requests
    new Counter({
      name: 'seamark_http_requests_total',
      help: 'Requests answered.',
      labelNames: ['method', 'route', 'status'],
      registers,
      collect() {
        this.reset()
        for (const { labels, count } of requests.values()) this.inc({ ...labels }, count)
      },
    })
    this.#loop = monitorEventLoopDelay({ resolution })
    this.#loop.enable()
    this.#eventLoop()
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }

  /** Where to count requests answered so. `route` is the pattern, not the path: there are only so many. */
  answered(method: string, route: string, status: number): { count: number } {
    const key = `${method} ${route} ${status}`
    let found = this.#requests.get(key)
    if (found === undefined) {
      found = { labels: { method, route, status }, count: 0 }
      this.#requests.set(key, found)
    }
    return found
  }

  /** Adds what is looked up at a scrape. */
  measure({ catalog, census, watchers, itemWatchers, presences, waiters, clock }: Measured): void {
    const registers = [this.#registry]
    new Gauge({
      name: 'seamark_instances',
      help: 'Instances registered.',
      labelNames: ['health'],
      registers,
      collect() {
        const counts = census.byHealth()
        for (const health of healthStatuses) this.set({ health }, counts[health])
      },
    })
    const gauges: Record<string, readonly [help: string, value: () => number]> = {
      seamark_services: ['Services that have instances.', () => catalog.services().length],
      seamark_watch_streams: ['Streams that watch.', () => watchers.size + itemWatchers.size],
      seamark_watch_streams_slow: [
        'Streams that do not read as fast as it changes.',
        () => watchers.slow + itemWatchers.slow,
      ],
      seamark_presence_streams: ['Streams by which clients show that they live.', () => presences.size],
      seamark_waiting_requests: [
        'Requests that wait for a change.',
        () => waiters.reduce((sum, { size }) => sum + size, 0),
      ],
      seamark_revision: ['Highest revision the catalog shows.', () => catalog.revision],
      seamark_catalog_stale_seconds: [
        'For how long the engine is out of reach; 0 while in contact.',
        () => (catalog.staleSince === undefined ? 0 : Math.max(0, clock.date() - catalog.staleSince) / 1_000),
      ],
      process_resident_memory_bytes: ['Resident memory.', () => process.memoryUsage.rss()],
    }
    for (const [name, [help, value]] of Object.entries(gauges))
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(value())
        },
      })
  }

  close(): void {
    this.#loop.disable()
    this.#registry.clear()
  }

  #eventLoop(): void {
    const loop = this.#loop
    new Gauge({
      name: 'seamark_event_loop_delay_seconds',
      help: 'How late the event loop was, since the last scrape.',
      labelNames: ['quantile'],
      registers: [this.#registry],
      collect() {
        for (const quantile of [0.5, 0.99, 1]) {
          // The histogram holds the whole time between two looks, in nanoseconds.
          const late = loop.count === 0 ? 0 : loop.percentile(quantile * 100) / 1e9 - resolution / 1e3
          this.set({ quantile }, Math.max(0, late))
        }
        loop.reset()
      },
    })
  }
}

interface Labels {
  readonly method: string
  readonly route: string
  readonly status: number
}
