import { type Clock, type Duration, invalidField, milliseconds } from '@seamark/core'
import type { Dispatcher } from 'undici'
import type { Filter, Service } from '../service.ts'
import { Deadlines } from './deadlines.ts'
import { type Errand, Exchange, type ExchangeSetting } from './exchange.ts'
import { Traffic, type TrafficOptions, type TrafficSetting, trafficSetting } from './traffic.ts'

export interface InterceptorOptions extends TrafficOptions {
  /** What names of services end with: `http://api.seamark/`, `http://api.shop.seamark/` in namespace `shop`. Default `.seamark`. */
  readonly suffix?: string
  /** Which instances are wanted, by service as it is named in the URL: `{ api: { version: '^2' } }`. */
  readonly filters?: Readonly<Record<string, Filter>>
  /** What a request is about, for the balancer `affinity`. */
  readonly key?: (options: Dispatcher.DispatchOptions) => string | undefined
  /** How often a request is tried at different instances. Default 3. */
  readonly tries?: number
  /** How long a try may take until it is answered, in ms or as `"1s"`. Default 30 s. */
  readonly tryTimeout?: Duration
  /** How long all tries together may take until one is answered. Default: as long as they take. */
  readonly timeout?: Duration
  /** Ask a second instance when the first has not answered for so long; only what is idempotent. Default never. */
  readonly hedgeAfter?: Duration
}

/** What the interceptor needs of a discovery. */
export interface TrafficSource {
  readonly clock: Clock
  /** What this caller is called, among those that share a service out. */
  readonly caller: string
  service(name: string): Service
}

/** Origins that are remembered. */
const mostOrigins = 10_000

/** How requests to one name go. */
interface Route {
  readonly service: Service
  readonly errand: Errand
}

/** Sends requests to services by their names, through any dispatcher of undici's. */
class Interception {
  readonly #source: TrafficSource
  readonly #options: InterceptorOptions
  readonly #suffix: string
  readonly #setting: Omit<ExchangeSetting, 'dispatch'>
  readonly #routes = new Map<string, Route | null>()
  readonly #traffic: TrafficSetting
  readonly #traffics = new WeakMap<Service, Map<Filter | undefined, Traffic>>()

  /** Throws `invalid_field`. */
  constructor(source: TrafficSource, options: InterceptorOptions = {}) {
    const { clock } = source
    const { suffix = '.seamark', tries = 3, tryTimeout = 30_000, timeout, hedgeAfter } = options
    if (!/^(\.[a-z0-9-]+)+$/.test(suffix))
      throw invalidField('suffix', 'must be a domain with a dot before it, such as ".seamark"')
    if (!Number.isInteger(tries) || tries < 1 || tries > 10)
      throw invalidField('tries', 'must be a whole number from 1 to 10')
    const deadlines = (field: string, duration: Duration | undefined) =>
      duration === undefined ? undefined : new Deadlines(clock, milliseconds(field, duration))
    this.#source = source
    this.#options = options
    this.#suffix = suffix
    this.#setting = {
      clock,
      tries,
      tryTimeout: deadlines('tryTimeout', tryTimeout),
      timeout: deadlines('timeout', timeout),
      hedge: deadlines('hedgeAfter', hedgeAfter),
    }
    this.#traffic = trafficSetting(options)
  }

  readonly intercept: Dispatcher.DispatcherComposeInterceptor = (dispatch) => {
    const setting: ExchangeSetting = { ...this.#setting, dispatch }
    return (options, handler) => {
      let route: Route | null
      try {
        route = this.#route(options.origin)
      } catch (error) {
        handler.onResponseError?.(undefined as never, error as Error)
        return true
      }
      if (route === null) return dispatch(options, handler)
      const { key } = this.#options
      const { errand, service } = route
      const own = key === undefined ? errand : { ...errand, wish: { ...errand.wish, key: key(options) } }
      const exchange = new Exchange(setting, own, options, handler)
      if (service.isKnown) exchange.begin()
      else
        service.known().then(
          () => exchange.begin(),
          (error: Error) => handler.onResponseError?.(undefined as never, error),
        )
      return true
    }
  }

  #route(origin: string | URL | undefined): Route | null {
    if (origin === undefined) return null
    const text = typeof origin === 'string' ? origin : origin.origin
    const known = this.#routes.get(text)
    if (known !== undefined) return known
    const route = this.#newRoute(new URL(text))
    if (this.#routes.size >= mostOrigins) this.#routes.clear()
    this.#routes.set(text, route)
    return route
  }

  #newRoute({ hostname, host, protocol }: URL): Route | null {
    if (!hostname.endsWith(this.#suffix)) return null
    const inner = hostname.slice(0, -this.#suffix.length)
    const dot = inner.indexOf('.')
    const name = dot === -1 ? inner : `${inner.slice(dot + 1)}/${inner.slice(0, dot)}`
    const service = this.#source.service(name)
    const filter = this.#options.filters?.[name]
    const traffic = this.#trafficOf(service, filter)
    return {
      service,
      errand: {
        traffic,
        authority: host,
        name,
        // Whoever asks for TLS does not get less.
        wish: { filter, ...(protocol === 'https:' && { scheme: 'https' }) },
        absence: () => service.absence(filter),
      },
    }
  }

  /** What is learned of instances is learned once, however a service is written. */
  #trafficOf(service: Service, filter: Filter | undefined): Traffic {
    const known = this.#traffics.get(service) ?? new Map<Filter | undefined, Traffic>()
    this.#traffics.set(service, known)
    let traffic = known.get(filter)
    if (traffic === undefined) {
      const { clock, caller } = this.#source
      traffic = new Traffic(
        { clock, caller, random: Math.random, snapshot: () => service.snapshot },
        this.#traffic,
      )
      known.set(filter, traffic)
    }
    return traffic
  }
}

/**
 * An interceptor for undici, `new Agent().compose(interceptor(discovery))`: a request to `http://api.seamark/` goes to an instance of
 * `api`; to another one, when the first fails and the request may be repeated. All other requests pass. Ports in such URLs make
 * no difference: the registry knows them. Throws `invalid_field`.
 */
export function interceptor(
  source: TrafficSource,
  options?: InterceptorOptions,
): Dispatcher.DispatcherComposeInterceptor {
  return new Interception(source, options).intercept
}
