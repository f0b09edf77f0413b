import {
  type Clock,
  type Duration,
  displayName,
  invalidField,
  milliseconds,
  SeamarkError,
  select,
} from '@seamark/core'
import type { Dispatcher } from 'undici'
import type { Filter, Service } from '../service.ts'
import { Deadlines } from './deadlines.ts'
import type { Errand, ExchangeSetting } from './exchange.ts'
import type { PoolsOptions } from './pools.ts'
import { Traffic, type TrafficOptions, type TrafficSetting, trafficSetting } from './traffic.ts'

/** How requests to services by their names go. */
export interface RequestOptions extends TrafficOptions {
  /** What names of services end with: `http://api.seamark/`, `http://api.shop.seamark/` in namespace `shop`. Default `.seamark`. */
  readonly suffix?: string
  /** Which instances are wanted, by service as it is named in the URL: `{ api: { version: '^2' } }`. */
  readonly filters?: Readonly<Record<string, Filter>>
  /** What a request is about, for the balancer `affinity`. */
  readonly key?: (options: Dispatcher.DispatchOptions) => string | undefined
  /** How often a request is tried at different instances. Default 3. */
  readonly tries?: number
  /**
   * How long a try may take until it is answered, in ms or as `"1s"`; for a body that is a stream, counted from the last piece that was sent.
   * Default 30 s.
   */
  readonly tryTimeout?: Duration
  /** How long all tries together may take until one is answered. Default: as long as they take. */
  readonly timeout?: Duration
  /** Ask a second instance when the first has not answered for so long; only what is idempotent. Default never. */
  readonly hedgeAfter?: Duration
}

/** What requests to services need of a discovery. */
export interface TrafficSource {
  readonly clock: Clock
  /** What this caller is called, among those that share a service out. */
  readonly caller: string
  service(name: string): Service
}

/** A misspelt option would be believed to hold. */
const known: ReadonlySet<string> = new Set<keyof RequestOptions | keyof PoolsOptions>([
  'suffix',
  'filters',
  'key',
  'tries',
  'tryTimeout',
  'timeout',
  'hedgeAfter',
  'balancer',
  'zone',
  'subset',
  'panic',
  'slowStart',
  'outliers',
  'retryBudget',
  'connections',
  'connect',
])

/** Origins that are remembered. */
const mostOrigins = 10_000

/** Where requests to one name go. */
export interface Destination {
  readonly service: Service
  readonly errand: Errand
}

/** What is behind the names of services in URLs. */
export class Destinations {
  /** How requests are tried. */
  readonly setting: Omit<ExchangeSetting, 'carrier' | 'ended'>
  readonly #source: TrafficSource
  readonly #options: RequestOptions
  readonly #suffix: string
  readonly #byOrigin = new Map<string, Destination | null>()
  readonly #traffic: TrafficSetting
  readonly #traffics = new Map<Service, Traffic>()
  readonly #subscriptions: Disposable[] = []

  /** Throws `invalid_field`. */
  constructor(source: TrafficSource, options: RequestOptions = {}) {
    const { clock } = source
    for (const field of Object.keys(options))
      if (!known.has(field)) throw invalidField(field, `is none of ${[...known].join(', ')}`)
    const { suffix = '.seamark', tries = 3, tryTimeout = 30_000, timeout, hedgeAfter } = options
    if (!/^(\.[a-z0-9-]+)+$/.test(suffix))
      throw invalidField('suffix', 'must be a domain with a dot before it, such as ".seamark"')
    if (!Number.isInteger(tries) || tries < 1 || tries > 10)
      throw invalidField('tries', 'must be a whole number from 1 to 10')
    if (options.balancer === 'affinity' && options.key === undefined)
      throw invalidField('key', 'must say what a request is about: equal keys go to the same instance')
    for (const filter of Object.values(options.filters ?? {})) select([], filter)
    const deadlines = (field: string, duration: Duration | undefined) =>
      duration === undefined ? undefined : new Deadlines(clock, milliseconds(field, duration))
    this.#source = source
    this.#options = options
    this.#suffix = suffix
    this.setting = {
      clock,
      tries,
      tryTimeout: deadlines('tryTimeout', tryTimeout),
      timeout: deadlines('timeout', timeout),
      hedge: deadlines('hedgeAfter', hedgeAfter),
    }
    this.#traffic = trafficSetting(options)
  }

  /** `null` when it names no service. Throws `invalid_field` for a name that cannot be one. */
  find(origin: string | URL | undefined): Destination | null {
    if (origin === undefined) return null
    const text = typeof origin === 'string' ? origin : origin.origin
    const known = this.#byOrigin.get(text)
    if (known !== undefined) return known
    const destination = URL.canParse(text) ? this.#newDestination(new URL(text)) : null
    if (this.#byOrigin.size >= mostOrigins) this.#byOrigin.clear()
    this.#byOrigin.set(text, destination)
    return destination
  }

  /** What is asked of the service by this request. */
  errand({ errand }: Destination, options: Dispatcher.DispatchOptions): Errand {
    const { key } = this.#options
    return key === undefined ? errand : { ...errand, wish: { ...errand.wish, key: key(options) } }
  }

  /** What is learned of instances is learned once, however a service is written. */
  traffic(service: Service): Traffic {
    let traffic = this.#traffics.get(service)
    if (traffic === undefined) {
      const { clock, caller } = this.#source
      const host = { clock, caller, random: Math.random, snapshot: () => service.snapshot }
      const own = new Traffic(host, this.#traffic)
      this.#subscriptions.push(service.subscribe(() => own.refresh()))
      this.#traffics.set(service, own)
      traffic = own
    }
    return traffic
  }

  /** The service's own, in URLs. */
  origin({ key }: Service): string {
    return `http://${key.service}.${key.namespace}${this.#suffix}`
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]()
    for (const traffic of this.#traffics.values()) traffic.close()
  }

  #newDestination({ hostname, host, protocol }: URL): Destination | null {
    if (!hostname.endsWith(this.#suffix) || (protocol !== 'http:' && protocol !== 'https:')) return null
    const inner = hostname.slice(0, -this.#suffix.length)
    const dot = inner.indexOf('.')
    const name = dot === -1 ? inner : `${inner.slice(dot + 1)}/${inner.slice(0, dot)}`
    const service = this.#source.service(name)
    const filter = this.#options.filters?.[name]
    return {
      service,
      errand: {
        traffic: this.traffic(service),
        authority: host,
        name,
        // Whoever asks for TLS does not get less.
        wish: { filter, secure: protocol === 'https:' },
        absence: () => absence(service, filter, protocol === 'https:'),
      },
    }
  }
}

/** Why no instance of a service can be sent a request. */
export function absence(service: Service, filter: Filter | undefined, secure = false): SeamarkError {
  const fitting = select(service.snapshot.entries, filter ?? {})
  const isWeb = fitting.some(
    ({ instance: { scheme } }) => scheme === 'https' || (scheme === 'http' && !secure),
  )
  const [one] = fitting
  if (one === undefined || isWeb) return service.absence(filter)
  const { id, scheme } = one.instance
  return new SeamarkError(
    'no_match',
    `${displayName(service.key)} is not served over ${secure ? 'HTTPS' : 'HTTP'}: ${id} has the scheme "${scheme}".`,
  )
}
