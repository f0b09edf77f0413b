import { experimental, Metadata, type ServiceConfig, status } from '@grpc/grpc-js'
import type { Service } from '@seamark/client'
import { candidates, type Entry, select } from '@seamark/core'
import type { Target } from './target.ts'

/** How one target is resolved. */
export interface Resolution {
  readonly service: Service
  readonly filter: Target['filter']
  readonly serviceConfig: ServiceConfig
  /** The share of healthy instances below which health is not believed. */
  readonly panic: number
}

const { statusOrFromError, statusOrFromValue } = experimental

/**
 * Tells a channel who there is, when it begins and after each change. What is known stays while the registry is away; an
 * error is told only when nothing was ever known, or nobody is there.
 */
export class PushedResolver implements experimental.Resolver {
  readonly #resolution: Resolution
  readonly #listener: experimental.ResolverListener
  #subscription: Disposable | undefined
  /** The addresses last told, as text. */
  #told: string | undefined

  constructor(resolution: Resolution, listener: experimental.ResolverListener) {
    this.#resolution = resolution
    this.#listener = listener
  }

  /** Begins, the first time; later there is nothing new to be asked for. */
  updateResolution(): void {
    if (this.#subscription !== undefined) return
    const { service } = this.#resolution
    const subscription = service.subscribe(() => this.#tell())
    this.#subscription = subscription
    service.known().then(
      () => {
        if (this.#subscription === subscription) this.#tell()
      },
      (error: Error) => {
        if (this.#subscription === subscription && this.#told === undefined) this.#fail(error.message)
      },
    )
  }

  destroy(): void {
    this.#subscription?.[Symbol.dispose]()
    this.#subscription = undefined
    this.#told = undefined
  }

  #tell(): void {
    const { service, filter, panic, serviceConfig } = this.#resolution
    const { entries } = service.snapshot
    if (!service.isKnown && entries.length === 0) return
    const addresses = uniqueAddresses(candidates(select(entries, filter), panic))
    const told = JSON.stringify(addresses)
    // A balancer begins anew with each list, be it the same.
    if (told === this.#told) return
    this.#told = told
    const endpoints = addresses.map((address) => ({ addresses: [address] }))
    this.#listener(statusOrFromValue(endpoints), {}, statusOrFromValue(serviceConfig), '')
    // With an empty list alone, round robin lets calls wait for ever.
    if (endpoints.length === 0) this.#fail(service.absence(filter).message)
  }

  #fail(details: string): void {
    const error = { code: status.UNAVAILABLE, details, metadata: new Metadata() }
    this.#listener(statusOrFromError(error), {}, statusOrFromValue(this.#resolution.serviceConfig), '')
  }
}

/** Two registrations of one address are one server, that gets no more calls for it. */
function uniqueAddresses(entries: readonly Entry[]): readonly { host: string; port: number }[] {
  const addresses = new Map(
    entries
      .filter(({ instance }) => instance.port !== 0)
      .map(({ instance: { address: host, port } }) => [`${host} ${port}`, { host, port }]),
  )
  return [...addresses.values()]
}
