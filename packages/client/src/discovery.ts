import { randomBytes } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import {
  type Announcement,
  type Batch,
  type Catalog,
  type CheckInput,
  type Clock,
  checkLabel,
  checkNamespaceLabels,
  type Duration,
  type Engine,
  held,
  type Instance,
  type InstanceInput,
  instance,
  invalidField,
  KeptAnnouncement,
  milliseconds,
  type Notify,
  type RouteInput,
  SeamarkError,
  type Selection,
  type ServiceKey,
  type Snapshot,
  type Source,
  serviceId,
  type Tenure,
  Wakeups,
  watchingCatalog,
} from '@seamark/core'
import { fetch, type RequestInfo, type RequestInit, type Response, request } from 'undici'
import { advertisedAddress } from './advertised-address.ts'
import { Campaign, type Primacy } from './campaign.ts'
import { departWithProcess } from './departures.ts'
import type { Endpoint } from './endpoint.ts'
import type { Farewell } from './farewell.ts'
import { HttpEngine } from './http.ts'
import type { FindFilter, Primary, PrimaryFilter } from './primary.ts'
import { Service, type ServiceHost, type WaitOptions } from './service.ts'
import { serviceKey } from './service-key.ts'
import { SnapshotFile, type StoredService } from './snapshot-file.ts'
import { type DispatcherOptions, ServiceDispatcher } from './traffic/service-dispatcher.ts'
import { wholeBody } from './traffic/whole-body.ts'

export interface AnnounceOptions {
  /** The service: a DNS label. */
  readonly name: string
  /** Where it listens, 1–65535. */
  readonly port: number
  /** Default: the discovery's. */
  readonly namespace?: string
  /** Default `<name>-<random>`. */
  readonly id?: string
  /** An IP address or host name. Default: `SEAMARK_ADVERTISE_ADDRESS`, or what this machine seems to be reached at. */
  readonly address?: string
  /** A subnet in CIDR notation; this machine's address in it is advertised. */
  readonly prefer?: string
  /** Default `http`. */
  readonly scheme?: string
  readonly version?: string
  readonly zone?: string
  /** Default 1. */
  readonly weight?: number
  readonly tags?: readonly string[]
  readonly metadata?: Readonly<Record<string, string>>
  readonly checks?: readonly CheckInput[]
  /** How gateways expose it: `{ path: '/tickets' }`. Default not at all. */
  readonly route?: RouteInput
  /** How long the registration outlives this process when that is killed, in ms or as `"10s"`. Default 10 s. */
  readonly ttl?: Duration
  /** How long `close()` waits for callers to notice that the instance is gone, in ms or as `"1s"`. Default 500 ms. */
  readonly drain?: Duration
  /**
   * It wants to be the primary of its service, of which there is one at a time: see `find` with `primary`. A function is
   * called each time it becomes that; once it throws or rejects, another instance gets its turn. Default false.
   */
  readonly primary?: boolean | ((primacy: Primacy) => unknown)
}

/** What undici's `request` takes. */
export type CallOptions = NonNullable<Parameters<typeof request>[1]>

export interface DiscoveryOptions {
  readonly engine: Engine
  /** Hosts of the registry's servers; none for one inside this process. */
  readonly hosts: readonly string[]
  readonly clock: Clock
  readonly notify: Notify
  readonly namespace: string
  readonly cache: string | undefined
  /** Milliseconds. */
  readonly wait: number
  readonly signals: boolean
  readonly traffic: DispatcherOptions
}

/** Services that one discovery knows at most, as many as its catalog watches. */
const mostServices = 10_000

/** Finds, watches, calls and announces services. Made by `connect`. */
export class Discovery implements AsyncDisposable {
  readonly #options: DiscoveryOptions
  readonly #catalog: Catalog
  readonly #file: SnapshotFile | undefined
  readonly #wakeups: Wakeups
  readonly #dispatcher: ServiceDispatcher
  readonly #services = new Map<string, Service>()
  readonly #byName = new Map<string, Service>()
  readonly #announcements = new Set<KeptAnnouncement>()
  readonly #host: ServiceHost
  /** What this caller is called, among those that share large services out. */
  readonly caller = randomBytes(8).toString('hex')
  #departure: Disposable | undefined
  #end: Promise<void> | undefined

  constructor(options: DiscoveryOptions) {
    const { engine, clock, notify, namespace, cache, wait } = options
    checkNamespaceLabels('namespace', namespace)
    this.#options = options
    this.#wakeups = new Wakeups(clock)
    const source = new ObservedSource(engine)

    this.#file =
      cache === undefined
        ? undefined
        : new SnapshotFile(cache, { clock, notify, content: () => this.#known() })
    const former = [...(this.#file?.former.values() ?? [])]
    this.#catalog = watchingCatalog(source, {
      clock,
      notify,
      ...(former.length > 0 && {
        initial: {
          entries: former.flatMap(({ entries }) => entries),
          date: Math.max(...former.map(({ date }) => date)),
        },
      }),
    })
    this.#catalog.subscribe(({ services }) => {
      for (const key of services) this.#services.get(serviceId(key))?.update(this.#catalog.snapshot(key))
      this.#file?.touch()
    })
    this.#dispatcher = new ServiceDispatcher(this, options.traffic)
    this.#host = {
      catalog: this.#catalog,
      clock,
      dispatcher: this.#dispatcher,
      wait,
      get failure() {
        return source.failure
      },
      failed: () => source.failed(),
    }
  }

  /** Where its time comes from. */
  get clock(): Clock {
    return this.#options.clock
  }

  /** Of names that say none themselves. */
  get namespace(): string {
    return this.#options.namespace
  }

  /** Told what its operator should know of. */
  get notify(): Notify {
    return this.#options.notify
  }

  /**
   * Since when (ms since 1970) the registry is out of reach; `undefined` while in contact, and for one who only announces.
   * What is known is still served.
   */
  get staleSince(): number | undefined {
    return this.#services.size === 0 ? undefined : this.#catalog.staleSince
  }

  /**
   * One service, `name` or `namespace/name`; the same object each time. From now on it is watched, over one connection for
   * all services. Throws `invalid_field` for a name that is no DNS label, `too_many` for the 10,001st service.
   */
  service(name: string): Service {
    return this.#byName.get(name) ?? this.#newService(name)
  }

  /** One healthy instance, chosen at random by weight. See `Service.find`. */
  find(name: string, filter: PrimaryFilter): Promise<Primary>
  find(name: string, filter?: FindFilter): Promise<Endpoint>
  find(name: string, filter?: FindFilter): Promise<Endpoint> {
    const service = this.#byName.get(name)
    return service === undefined ? this.#findNew(name, filter) : service.find(filter)
  }

  /** All healthy instances that fit. See `Service.findAll`. */
  async findAll(name: string, filter?: Selection): Promise<readonly Endpoint[]> {
    return this.service(name).findAll(filter)
  }

  /** One healthy instance, as soon as there is one. See `Service.waitFor`. */
  waitFor(name: string, options: WaitOptions & PrimaryFilter): Promise<Primary>
  waitFor(name: string, options?: WaitOptions): Promise<Endpoint>
  async waitFor(name: string, options?: WaitOptions): Promise<Endpoint> {
    return this.service(name).waitFor(options)
  }

  /** The service's snapshots, each time something changes. See `Service.watch`. */
  watch(name: string, options?: { readonly signal?: AbortSignal }): AsyncIterable<Snapshot> {
    return this.service(name).watch(options)
  }

  /**
   * As undici's `fetch`, but `http://api.seamark/` is the service `api`, and `http://api.shop.seamark/` one in namespace `shop`: see
   * `dispatcher`. Options are `connect`'s `traffic`.
   */
  fetch(input: RequestInfo, init: RequestInit = {}): Promise<Response> {
    const whole = wholeBody(init)
    const dispatcher = whole === undefined ? this.#dispatcher : this.#dispatcher.compose(whole)
    return fetch(input, { dispatcher, ...init })
  }

  /** As undici's `request`, to services by their names as in `fetch`. */
  request(url: string | URL, options?: CallOptions): ReturnType<typeof request> {
    return request(url, { dispatcher: this.#dispatcher, ...options })
  }

  /**
   * Registers an instance and keeps it registered until closed: renews it, and registers it again when the registry lost
   * it. Resolves after the first try; with the registry away that is no error, and it goes on trying. Throws what the
   * registry refuses for good: `invalid_field`, `id_taken`, `not_allowed`, `configuration`.
   */
  async announce(options: AnnounceOptions): Promise<Announcement> {
    this.#open()
    const { ttl = 10_000, drain = 500, primary = false } = options
    const instance = this.#instance(options)
    this.#doubtChecks(instance)
    const campaign = this.#campaign(instance, primary)
    const announcement = new KeptAnnouncement({
      engine: this.#options.engine,
      clock: this.#options.clock,
      notify: this.#options.notify,
      wakeups: this.#wakeups,
      instance,
      ttl: positive('ttl', ttl),
      drain: milliseconds('drain', drain),
      closed: (closed) => this.#forget(closed),
      accompany: (tenure) => this.#accompany(tenure, campaign),
    })
    this.#announcements.add(announcement)
    if (this.#options.signals) this.#departure ??= departWithProcess(this)
    try {
      await held(announcement.first)
    } catch (error) {
      await announcement.close()
      throw error
    }
    return announcement
  }

  /**
   * What `announce` advertises for a service when it is given no address: `SEAMARK_ADVERTISE_ADDRESS`, or what this machine
   * seems to be reached at, if possible in the subnet `prefer` (a notice says when that is a guess).
   */
  advertisedAddress(name: string, prefer?: string): string {
    if (process.env.SEAMARK_ADVERTISE_ADDRESS) return process.env.SEAMARK_ADVERTISE_ADDRESS
    const { hosts, notify } = this.#options
    const { address, guess } = advertisedAddress({ interfaces: networkInterfaces(), servers: hosts, prefer })
    if (guess !== undefined)
      notify({
        level: 'warn',
        event: 'address_guessed',
        message: `${name} is announced at ${address}, which is a guess: ${guess}. Say which with "address", "prefer" or SEAMARK_ADVERTISE_ADDRESS.`,
        details: { address },
      })
    return address
  }

  /** Closes all announcements, each with its drain; then the watch, the snapshot on disk and all connections. */
  close(): Promise<void> {
    this.#end ??= this.#close()
    return this.#end
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The process ends: what was announced goes first. */
  async depart(): Promise<void> {
    await Promise.all([...this.#announcements].map((announcement) => announcement.close()))
  }

  /** What another thread needs in order to deregister everything; `undefined` when no server could be asked to. */
  farewell(): Farewell | undefined {
    const { engine } = this.#options
    const tokens = [...this.#announcements].flatMap(({ token }) => token ?? [])
    return engine instanceof HttpEngine && tokens.length > 0 ? { urls: engine.urls, tokens } : undefined
  }

  async #close(): Promise<void> {
    await this.depart()
    await this.#catalog[Symbol.asyncDispose]()
    for (const service of this.#services.values()) service.end(closed())
    await this.#file?.close()
    await this.#dispatcher.destroy()
    await this.#options.engine[Symbol.asyncDispose]()
  }

  #open(): void {
    if (this.#end !== undefined) throw closed()
  }

  async #findNew(name: string, filter: FindFilter | undefined): Promise<Endpoint> {
    return this.#newService(name).find(filter)
  }

  #newService(name: string): Service {
    this.#open()
    const key = serviceKey(name, this.#options.namespace)
    const id = serviceId(key)
    let service = this.#services.get(id)
    if (service === undefined) {
      if (this.#services.size >= mostServices)
        throw new SeamarkError('too_many', `One client watches at most ${mostServices} services.`)
      service = new Service(this.#host, key)
      this.#services.set(id, service)
    }
    this.#byName.set(name, service)
    return service
  }

  #instance(options: AnnounceOptions): Instance {
    const {
      name,
      namespace = this.#options.namespace,
      id,
      ttl,
      drain,
      primary,
      prefer,
      address,
      ...rest
    } = options
    checkLabel('name', name)
    checkNamespaceLabels('namespace', namespace)
    if (options.port === 0) throw invalidField('port', 'must be a whole number from 1 to 65535')
    const input: InstanceInput = {
      ...rest,
      namespace,
      service: name,
      id: id ?? `${name}-${randomBytes(5).toString('hex')}`,
      address: address ?? this.advertisedAddress(name, prefer),
    }
    return instance(input)
  }

  /** Servers run checks. A registry inside this process has none, so what waits for its first result waits for ever. */
  #doubtChecks({ service, checks }: Instance): void {
    if (this.#options.hosts.length > 0) return
    const waiting = checks.filter(({ type, initial }) => type !== 'reported' && initial !== 'passing')
    if (waiting.length === 0) return
    this.#options.notify({
      level: 'warn',
      event: 'checks_not_run',
      message: `${service} is announced with checks, but nobody runs them: the registry is inside this process, and servers run checks. It stays critical; leave its checks out, or connect to a server.`,
      details: { checks: waiting.map(({ id }) => id) },
    })
  }

  /** How to stand for primary with a lease, if that is wanted. */
  #campaign(
    { namespace, service: name }: Instance,
    primary: NonNullable<AnnounceOptions['primary']>,
  ): ((tenure: Tenure) => Disposable) | undefined {
    if (primary === false) return undefined
    if (primary !== true && typeof primary !== 'function')
      throw invalidField('primary', 'must be true, false or a function')
    const { engine, clock, notify } = this.#options
    const service = this.service(`${namespace}/${name}`)
    const elected = primary === true ? () => {} : primary
    return (tenure) => new Campaign({ engine, clock, notify, service, tenure, elected })
  }

  /** What goes along with each lease of an announcement. */
  #accompany(tenure: Tenure, campaign: ((tenure: Tenure) => Disposable) | undefined): Disposable {
    const { engine } = this.#options
    const company: Disposable[] = []
    if (engine instanceof HttpEngine) company.push(engine.present(tenure.lease, () => tenure.doubt()))
    if (campaign !== undefined) company.push(campaign(tenure))
    return {
      [Symbol.dispose]: () => {
        for (const one of company) one[Symbol.dispose]()
      },
    }
  }

  #forget(announcement: KeptAnnouncement): void {
    this.#announcements.delete(announcement)
    if (this.#announcements.size > 0) return
    this.#departure?.[Symbol.dispose]()
    this.#departure = undefined
  }

  /** What is worth keeping on disk: what was heard of the services that were asked for. */
  *#known(): Generator<StoredService> {
    const date = this.#catalog.staleSince ?? this.#options.clock.date()
    for (const { snapshot } of this.#services.values())
      if (snapshot.entries.length > 0) yield { date, entries: snapshot.entries }
  }
}

/** Remembers what last went wrong with a source. */
class ObservedSource implements Source {
  readonly freshness: Source['freshness']
  readonly #source: Source
  readonly #waiting = new Set<() => void>()
  #next: Promise<void> | undefined
  failure: unknown

  constructor(source: Source) {
    this.#source = source
    this.freshness = source.freshness
  }

  /** Resolves when the source next fails. */
  failed(): Promise<void> {
    this.#next ??= new Promise((resolve) => this.#waiting.add(resolve))
    return this.#next
  }

  async *watch(services: readonly ServiceKey[], signal: AbortSignal): AsyncGenerator<Batch> {
    try {
      for await (const batch of this.#source.watch(services, signal)) {
        this.failure = undefined
        yield batch
      }
    } catch (error) {
      this.failure = error
      this.#next = undefined
      for (const resolve of this.#waiting) resolve()
      this.#waiting.clear()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function positive(field: string, duration: Duration): number {
  const ms = milliseconds(field, duration)
  if (ms === 0) throw invalidField(field, 'must be more than 0')
  return ms
}

function closed(): SeamarkError {
  return new SeamarkError('closed', 'The discovery was closed.')
}
