import type { Entry } from '@seamark/core'
import { Agent, Dispatcher, errors } from 'undici'
import { type Destination, Destinations, type RequestOptions, type TrafficSource } from './destinations.ts'
import { type Errand, Exchange, type ExchangeSetting } from './exchange.ts'
import { type NativeHandler, nativeHandler } from './native-handler.ts'
import { Pools, type PoolsOptions } from './pools.ts'

export interface DispatcherOptions extends RequestOptions, PoolsOptions {}

/**
 * A dispatcher of undici's that sends requests to services by their names, over connections of its own to each instance; all
 * other requests go where they say.
 */
export class ServiceDispatcher extends Dispatcher {
  readonly destinations: Destinations
  readonly #pools: Pools
  readonly #others: Agent
  readonly #setting: ExchangeSetting
  /** For the first contact with the registry. */
  readonly #waiting = new Set<Exchange>()
  #underway = 0
  #idle: (() => void) | undefined
  #closed: Promise<void> | undefined
  #destroyed: Promise<void> | undefined

  /** Throws `invalid_field`. */
  constructor(source: TrafficSource, options: DispatcherOptions = {}) {
    super()
    this.destinations = new Destinations(source, options)
    this.#pools = new Pools(source.clock, options)
    this.#others = new Agent(options.connect && { connect: options.connect })
    this.#setting = { ...this.destinations.setting, carrier: this.#pools, ended: () => this.#ended() }
  }

  get closed(): boolean {
    return this.#closed !== undefined
  }

  get destroyed(): boolean {
    return this.#destroyed !== undefined
  }

  /** For undici's WebSocket and EventSource, which look for their limits here. */
  get webSocketOptions(): unknown {
    return (this.#others as unknown as ServiceDispatcher).webSocketOptions
  }

  get eventSourceOptions(): unknown {
    return (this.#others as unknown as ServiceDispatcher).eventSourceOptions
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const native = nativeHandler(handler)
    let destination: Destination | null
    try {
      destination = this.destinations.find(options?.origin)
    } catch (error) {
      native.onError(error as Error)
      return false
    }
    if (destination === null) return this.#others.dispatch(options, handler)
    const exchange = this.#exchange(this.destinations.errand(destination, options), options, native)
    if (exchange === undefined) return false
    const { service } = destination
    if (service.isKnown) exchange.begin()
    else {
      this.#waiting.add(exchange)
      exchange.beginAfter(service.known().finally(() => this.#waiting.delete(exchange)))
    }
    return true
  }

  /** Sends what is asked of a service that is known to one of its instances; with an entry, to that one first. */
  send(
    errand: Errand,
    options: Dispatcher.DispatchOptions,
    handler: NativeHandler,
    first: Entry | undefined,
  ): boolean {
    const exchange = this.#exchange(errand, options, handler)
    exchange?.begin(first)
    return exchange !== undefined
  }

  /** Takes no more requests, and resolves once all are answered and their connections closed. */
  override close(): Promise<void>
  override close(callback: () => void): void
  override close(callback?: () => void): Promise<void> | void {
    this.#closed ??= this.#close()
    return callback === undefined ? this.#closed : void this.#closed.then(callback, callback)
  }

  /** Ends all requests with this error (default undici's `ClientDestroyedError`), and resolves once their connections are closed. */
  override destroy(): Promise<void>
  override destroy(error: Error | null): Promise<void>
  override destroy(callback: () => void): void
  override destroy(error: Error | null, callback: () => void): void
  override destroy(
    error: Error | null | (() => void) = null,
    callback = typeof error === 'function' ? error : undefined,
  ): Promise<void> | void {
    const reason = error instanceof Error ? error : new errors.ClientDestroyedError()
    this.#destroyed ??= this.#destroy(reason)
    return callback === undefined ? this.#destroyed : void this.#destroyed.then(callback, callback)
  }

  #exchange(
    errand: Errand,
    options: Dispatcher.DispatchOptions,
    handler: NativeHandler,
  ): Exchange | undefined {
    if (this.closed || this.destroyed) {
      handler.onError(this.destroyed ? new errors.ClientDestroyedError() : new errors.ClientClosedError())
      return undefined
    }
    this.#underway++
    return new Exchange(this.#setting, errand, options, handler)
  }

  async #close(): Promise<void> {
    const others = this.#others.close()
    if (this.#underway > 0)
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    this.destinations.close()
    await Promise.all([others, this.#pools.close()])
  }

  async #destroy(reason: Error): Promise<void> {
    this.destinations.close()
    const ended = [this.#pools.destroy(reason), this.#others.destroy(reason)]
    for (const exchange of this.#waiting) exchange.abort(reason)
    await Promise.all(ended)
  }

  #ended(): void {
    this.#underway--
    if (this.#underway === 0) this.#idle?.()
  }
}

/**
 * A dispatcher for undici's `fetch`, `request` and all else, and for `setGlobalDispatcher`: a request to `http://api.seamark/` goes to
 * an instance of `api`; to another one, when the first fails and the request may be repeated. Ports in such URLs make no difference:
 * the registry knows them. Close it when it is no longer needed. Throws `invalid_field`.
 */
export function dispatcher(source: TrafficSource, options?: DispatcherOptions): ServiceDispatcher {
  return new ServiceDispatcher(source, options)
}
