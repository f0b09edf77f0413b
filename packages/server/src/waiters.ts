import {
  type Catalog,
  type Clock,
  type Revision,
  SeamarkError,
  type ServiceKey,
  serviceId,
} from '@seamark/core'
import type { Asker } from './asker.ts'

export interface WaitersOptions {
  readonly catalog: Catalog
  readonly clock: Clock
  /** How many may wait at the same time. */
  readonly bound: number
}

/** Requests that wait until a service is no more as they know it. */
export class Waiters {
  readonly #catalog: Catalog
  readonly #clock: Clock
  readonly #bound: number
  readonly #byService = new Map<string, Set<() => void>>()
  readonly #subscription: Disposable
  #size = 0
  #closed = false

  constructor({ catalog, clock, bound }: WaitersOptions) {
    this.#catalog = catalog
    this.#clock = clock
    this.#bound = bound
    this.#subscription = catalog.subscribe(({ services }) => {
      for (const service of services) for (const wake of this.#byService.get(serviceId(service)) ?? []) wake()
    })
  }

  get size(): number {
    return this.#size
  }

  /**
   * Resolves as soon as the service's revision differs from `index`, after `wait` ms, when the asker goes away, or when the
   * server closes. Throws `too_many`.
   */
  async changed(service: ServiceKey, index: Revision, wait: number, asker: Asker): Promise<void> {
    if (this.#closed || asker.closed || this.#catalog.snapshot(service).revision !== index) return
    if (this.#size >= this.#bound)
      throw new SeamarkError('too_many', `${this.#bound} requests wait already: try again later.`)
    await new Promise<void>((resolve) => {
      const id = serviceId(service)
      const group = this.#byService.get(id) ?? new Set()
      this.#byService.set(id, group)
      this.#size++
      const end = () => {
        if (!group.delete(wake)) return
        if (group.size === 0) this.#byService.delete(id)
        this.#size--
        timer.cancel()
        asker.off('close', end)
        resolve()
      }
      const wake = () => {
        if (this.#closed || this.#catalog.snapshot(service).revision !== index) end()
      }
      const timer = this.#clock.after(wait, end)
      asker.once('close', end)
      group.add(wake)
    })
  }

  /** Lets everybody go, now and from now on. */
  close(): void {
    this.#closed = true
    this.#subscription[Symbol.dispose]()
    for (const group of [...this.#byService.values()]) for (const wake of [...group]) wake()
  }
}
