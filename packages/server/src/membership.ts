import {
  type Catalog,
  type Clock,
  type InstanceInput,
  type InstanceKey,
  instance,
  instanceId,
  KeptAnnouncement,
  type Notify,
  type Registry,
  rendezvous,
  type ServiceKey,
  serviceId,
  Wakeups,
} from '@seamark/core'

/** Where servers find one another: as any services do. */
const servers: ServiceKey = { namespace: 'seamark', service: 'server' }

/** How long (ms) a server that died goes on counting as one: its share of the checks rests as long. */
const ttl = 10_000

export interface MembershipOptions {
  readonly engine: Pick<Registry, 'register' | 'release'>
  readonly catalog: Catalog
  readonly clock: Clock
  readonly notify: Notify
  /** Unique among the servers over one engine, and the same after a restart. */
  readonly name: string
  /** Where this server is reached. */
  readonly place: Pick<InstanceInput, 'address' | 'port' | 'version' | 'metadata'>
}

/**
 * One of several servers over one engine. It registers itself, finds the others in the catalog, and shares the work
 * with them: each instance's checks run on one, by rendezvous hashing. When one leaves or dies, its share falls to the
 * others; while the engine is away, each goes on with the share it had.
 */
export class Membership implements AsyncDisposable {
  readonly #name: string
  readonly #catalog: Catalog
  readonly #announcement: KeptAnnouncement
  readonly #subscription: Disposable
  readonly #listeners = new Set<() => void>()
  #members: readonly string[]

  constructor({ engine, catalog, clock, notify, name, place }: MembershipOptions) {
    this.#name = name
    this.#catalog = catalog
    this.#members = [name]
    this.#subscription = catalog.subscribe(({ services }) => {
      if (services.some((service) => serviceId(service) === serviceId(servers))) this.#follow()
    })
    this.#announcement = new KeptAnnouncement({
      engine,
      clock,
      notify,
      wakeups: new Wakeups(clock),
      instance: instance({ ...servers, id: name, ...place }),
      ttl,
      drain: 0,
      closed: () => {},
    })
    this.#announcement.first.catch((error: unknown) =>
      notify({
        level: 'error',
        event: 'membership_refused',
        message: `The engine does not take this server, "${name}", as one of several: the others do not know it.`,
        details: { error },
      }),
    )
  }

  get name(): string {
    return this.#name
  }

  /** The names of all servers, this one among them. */
  get members(): readonly string[] {
    return this.#members
  }

  /** Whether the work on an instance is this server's. */
  owns(key: InstanceKey): boolean {
    return rendezvous(this.#members, instanceId(key)) === this.#name
  }

  /** Calls back when what it owns may have changed. */
  subscribe(listener: () => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]()
    this.#listeners.clear()
    await this.#announcement.close()
  }

  #follow(): void {
    const others = this.#catalog.snapshot(servers).entries.map(({ instance }) => instance.id)
    const members = [...new Set([this.#name, ...others])].sort()
    if (members.join('\n') === this.#members.join('\n')) return
    this.#members = members
    for (const listener of this.#listeners) listener()
  }
}
