import { EventEmitter } from 'node:events'
import { select } from '@seamark/core'
import type { Discovery } from './discovery.ts'
import { type Endpoint, endpoint } from './endpoint.ts'
import type { Filter, Service } from './service.ts'

interface AvailabilityEvents {
  available: [endpoint: Endpoint]
  unavailable: [endpoint: Endpoint]
  // Every emitter's own.
  newListener: [event: string | symbol, listener: () => void]
  removeListener: [event: string | symbol, listener: () => void]
}

const told: readonly (string | symbol)[] = ['available', 'unavailable']

/** Tells of the instances of one service that come and go. Made by `availability`. */
export class Availability extends EventEmitter<AvailabilityEvents> {
  readonly #service: Service
  readonly #filter: Filter
  readonly #told = new Map<string, Endpoint>()
  #subscription: Disposable | undefined
  #isDue = false

  constructor(service: Service, filter: Filter) {
    super()
    this.#service = service
    this.#filter = filter
    this.on('newListener', (event) => {
      if (told.includes(event)) this.#begin()
    })
    this.on('removeListener', () => {
      if (told.every((event) => this.listenerCount(event) === 0)) this.#end()
    })
  }

  /** Those that are available now, as far as one can tell from here. */
  get endpoints(): readonly Endpoint[] {
    return select(this.#service.snapshot.entries, this.#filter)
      .filter(({ health: { status } }) => status === 'passing' || status === 'warning')
      .map(endpoint)
  }

  #begin(): void {
    if (this.#subscription !== undefined) return
    this.#subscription = this.#service.subscribe(() => this.#soon())
    this.#soon()
  }

  #end(): void {
    this.#subscription?.[Symbol.dispose]()
    this.#subscription = undefined
    this.#told.clear()
  }

  /** In a turn of its own: a listener that throws is to be none of the catalog's business, and one that comes now hears all. */
  #soon(): void {
    if (this.#isDue) return
    this.#isDue = true
    queueMicrotask(() => {
      this.#isDue = false
      this.#tell()
    })
  }

  #tell(): void {
    if (this.#subscription === undefined) return
    const now = new Map(this.endpoints.map((endpoint) => [endpoint.id, endpoint]))
    const gone = [...this.#told.values()].filter(({ id, origin }) => now.get(id)?.origin !== origin)
    const come = [...now.values()].filter(({ id, origin }) => this.#told.get(id)?.origin !== origin)
    // All of it before the first is told, so that nothing is told twice when a listener throws.
    for (const { id } of gone) this.#told.delete(id)
    for (const endpoint of come) this.#told.set(endpoint.id, endpoint)
    for (const endpoint of gone) this.emit('unavailable', endpoint)
    for (const endpoint of come) this.emit('available', endpoint)
  }
}

/**
 * The instances of a service that come and go, as events: those that fit the filter and are passing or have a warning. The first
 * listener is told of all that are there; later ones only of changes. Throws `invalid_field`.
 */
export function availability(
  discovery: Pick<Discovery, 'service'>,
  name: string,
  filter: Filter = {},
): Availability {
  select([], filter)
  return new Availability(discovery.service(name), filter)
}
