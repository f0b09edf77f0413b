import { changedService, type EntryChange } from './change.ts'
import type { Clock } from './clock.ts'
import { Contact } from './contact.ts'
import { SeamarkError } from './errors.ts'
import { displayName, type InstanceKey, type ServiceKey, serviceId } from './names.ts'
import type { Batch, Change, Directory, Entry, Holder, Notify, Revision, Source } from './ports.ts'
import { Room } from './room.ts'
import type { Snapshot } from './snapshot.ts'

/** What one batch came to. A reset is told as the difference it made. */
export interface CatalogUpdate {
  readonly revision: Revision
  readonly changes: readonly EntryChange[]
  /** Those whose snapshot is another one now. */
  readonly services: readonly ServiceKey[]
  /** Those of them that have no instances since a reset: nobody saw them go. */
  readonly emptied: readonly ServiceKey[]
}

/** The in-memory replica of an engine: all that a face may read. Synchronous once warm; it never writes. */
export interface Catalog extends AsyncDisposable {
  /** Highest revision applied. */
  readonly revision: Revision
  /** Milliseconds since 1970 when the source was lost; `undefined` while in contact. What was known stays. */
  readonly staleSince: number | undefined
  /** How many instances there are. */
  readonly size: number
  /** The namespaces that have instances. */
  namespaces(): readonly string[]
  /** The services that have instances; the same array until that set changes. */
  services(namespace?: string): readonly ServiceKey[]
  /** The same object until something in the service changes; without entries if nothing is known of it. */
  snapshot(service: ServiceKey): Snapshot
  entry(key: InstanceKey): Entry | undefined
  /** The instance that has this id, in whichever service of the namespace. */
  locate(namespace: string, id: string): InstanceKey | undefined
  /** Since when (ms since 1970) the service's entries are only kept because the source says there are none. */
  keptSince(service: ServiceKey): number | undefined
  /** Resolves with the service's snapshot once the source has told of it; a catalog on demand begins to watch it. */
  ready(service: ServiceKey, signal?: AbortSignal): Promise<Snapshot>
  /** Resolves once the source has told of everything watched. */
  warm(signal?: AbortSignal): Promise<void>
  /** Resolves once this revision is applied: what was written at it can be read. */
  reached(revision: Revision, signal?: AbortSignal): Promise<void>
  /** Calls back after each batch that changed something, in the order in which they were applied. */
  subscribe(listener: (update: CatalogUpdate) => void): Disposable
}

export interface CatalogOptions {
  /** Default the system's. */
  clock?: Clock
  /** Default: nobody is told. */
  notify?: Notify
  /**
   * Keep what is known of a service when a reset says that it is empty, as after a registry's restart, until it has
   * instances again. A deletion that is seen happening is always believed. Default true for a catalog on demand, which is
   * a client's; false for one of everything, which is a server's.
   */
  protectEmpty?: boolean
}

export interface WatchingCatalogOptions extends CatalogOptions {
  /** What a former run knew at `date` (ms since 1970): served, and stale, until the source answers. */
  initial?: { readonly entries: readonly Entry[]; readonly date: number }
}

/** Services that one catalog on demand watches at most. */
const watchedBound = 10_000

/** A replica of everything in a directory: for servers. */
export function catalog(directory: Directory, options: CatalogOptions = {}): Catalog {
  return new FullCatalog(directory, options)
}

/** A replica of the services that were asked for: for clients. All of them share one watch. */
export function watchingCatalog(source: Source, options: WatchingCatalogOptions = {}): Catalog {
  return new WatchingCatalog(source, options)
}

abstract class Replica implements Catalog {
  readonly #contact: Contact<CatalogUpdate>
  readonly #protectEmpty: boolean
  readonly #rooms = new Map<string, Room>()
  /** By namespace, then by id. */
  readonly #locations = new Map<string, Map<string, Room>>()
  #services = new Map<string | undefined, readonly ServiceKey[]>()
  #size = 0
  revision: Revision = 0

  constructor({ clock, notify, protectEmpty = false, initial }: WatchingCatalogOptions) {
    this.#contact = new Contact({ clock, notify, since: initial?.date })
    this.#protectEmpty = protectEmpty
    const changes: EntryChange[] = []
    for (const entry of initial?.entries ?? []) this.#put(entry, changes)
    for (const room of touched(changes, this.#rooms)) room.settle(0)
  }

  get staleSince(): number | undefined {
    return this.#contact.staleSince
  }

  get size(): number {
    return this.#size
  }

  namespaces(): readonly string[] {
    return [...new Set(this.services().map(({ namespace }) => namespace))]
  }

  services(namespace?: string): readonly ServiceKey[] {
    let services = this.#services.get(namespace)
    if (services === undefined) {
      const found: ServiceKey[] = []
      for (const { key, size } of this.#rooms.values())
        if (size > 0 && (namespace === undefined || key.namespace === namespace)) found.push(key)
      services = Object.freeze(found.sort(byName))
      this.#services.set(namespace, services)
    }
    return services
  }

  snapshot(service: ServiceKey): Snapshot {
    return this.#rooms.get(serviceId(service))?.snapshot() ?? new Room(service).snapshot()
  }

  entry(key: InstanceKey): Entry | undefined {
    return this.#rooms.get(serviceId(key))?.entry(key.id)
  }

  locate(namespace: string, id: string): InstanceKey | undefined {
    const room = this.#locations.get(namespace)?.get(id)
    return room && { ...room.key, id }
  }

  keptSince(service: ServiceKey): number | undefined {
    return this.#rooms.get(serviceId(service))?.keptSince
  }

  async ready(service: ServiceKey, signal?: AbortSignal): Promise<Snapshot> {
    await this.#contact.wait(() => this.isWarm(service), signal)
    return this.snapshot(service)
  }

  warm(signal?: AbortSignal): Promise<void> {
    return this.#contact.wait(() => this.isWarm(), signal)
  }

  reached(revision: Revision, signal?: AbortSignal): Promise<void> {
    return this.#contact.wait(() => this.revision >= revision, signal)
  }

  subscribe(listener: (update: CatalogUpdate) => void): Disposable {
    return this.#contact.subscribe(listener)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#contact.close()
  }

  /** Whether the source has told of the service, or of everything watched. */
  protected abstract isWarm(service?: ServiceKey): boolean

  protected open(): void {
    this.#contact.open()
  }

  /**
   * Follows a watch over its failures, until closed or `signal` aborts. `begun` is called before the first batch of all
   * is applied; `covers` names the services a reset replaces, or `undefined` for everything.
   */
  protected follow(
    watch: (signal: AbortSignal) => AsyncIterable<Batch>,
    covers: ReadonlySet<string> | undefined,
    begun: () => void,
    signal?: AbortSignal,
  ): void {
    let first = true
    const apply = (batch: Batch) => {
      if (first) begun()
      first = false
      this.#apply(batch, covers)
    }
    this.#contact.follow(watch, apply, signal)
  }

  #apply(batch: Batch, covers: ReadonlySet<string> | undefined): void {
    const changes: EntryChange[] = []
    for (const change of batch.changes) this.#change(change, covers, changes)
    // An engine that started anew may come back at a lower revision, and then begins with a reset.
    const renewed = batch.changes.some((change) => change.type === 'reset')
    this.revision = renewed ? batch.revision : Math.max(this.revision, batch.revision)
    const rooms = touched(changes, this.#rooms)
    for (const room of rooms) {
      room.settle(batch.revision)
      this.forget(room)
    }
    if (changes.length > 0) {
      const services = rooms.map(({ key }) => key)
      const emptied = renewed ? rooms.filter(({ size }) => size === 0).map(({ key }) => key) : []
      this.#contact.tell({ revision: batch.revision, changes, services, emptied })
    }
  }

  #change(change: Change, covers: ReadonlySet<string> | undefined, changes: EntryChange[]): void {
    switch (change.type) {
      case 'reset':
        this.#reset(change.entries, change.holders, covers, changes)
        break
      case 'put':
        this.#believe(change.entry.instance, changes)
        this.#put(change.entry, changes)
        break
      case 'delete':
        this.#believe(change.key, changes)
        this.#delete(change.key, changes)
        break
      case 'claim':
        if (this.#room(change.holder).claim(change.holder)) changes.push(change)
        break
      case 'release':
        if (this.#rooms.get(serviceId(change.claim))?.release(change.claim.name)) changes.push(change)
        break
    }
  }

  #reset(
    entries: readonly Entry[],
    holders: readonly Holder[],
    covers: ReadonlySet<string> | undefined,
    changes: EntryChange[],
  ): void {
    const present = new Map<string, Set<string>>()
    for (const { instance } of entries) {
      const service = serviceId(instance)
      const ids = present.get(service)
      if (ids === undefined) present.set(service, new Set([instance.id]))
      else ids.add(instance.id)
    }
    for (const [service, room] of this.#rooms) {
      if (covers !== undefined && !covers.has(service)) continue
      const ids = present.get(service)
      if (ids === undefined && this.#protectEmpty && room.size > 0) {
        if (room.keptSince === undefined) this.#keep(room)
        continue
      }
      room.keptSince = undefined
      for (const id of [...room.ids()]) if (!ids?.has(id)) this.#delete({ ...room.key, id }, changes)
      for (const { name } of room.holders())
        if (!holders.some((holder) => holder.name === name && serviceId(holder) === service)) {
          room.release(name)
          changes.push({ type: 'release', claim: { ...room.key, name } })
        }
    }
    for (const entry of entries) this.#put(entry, changes)
    for (const holder of holders)
      if (this.#room(holder).claim(holder)) changes.push({ type: 'claim', holder })
  }

  #keep(room: Room): void {
    room.keptSince = this.#contact.clock.date()
    this.#contact.notify({
      level: 'warn',
      event: 'empty_answer_kept_out',
      message: `The registry says that ${displayName(room.key)} has no instances, as after a restart: its ${room.size} known ones are kept.`,
      details: { ...room.key, instances: room.size },
    })
  }

  /** News of a service that was only kept: what the source did not confirm since goes. */
  #believe(key: ServiceKey, changes: EntryChange[]): void {
    const room = this.#rooms.get(serviceId(key))
    if (room?.keptSince === undefined) return
    room.keptSince = undefined
    for (const id of [...room.ids()]) this.#delete({ ...room.key, id }, changes)
  }

  #room(key: ServiceKey): Room {
    const service = serviceId(key)
    let room = this.#rooms.get(service)
    if (room === undefined) {
      room = new Room(key)
      this.#rooms.set(service, room)
    }
    return room
  }

  #put(entry: Entry, changes: EntryChange[]): void {
    const room = this.#room(entry.instance)
    const { size } = room
    if (!room.put(entry)) return
    changes.push({ type: 'put', entry })
    this.#size += room.size - size
    if (size === 0) this.#services = new Map()
    const { namespace, id } = entry.instance
    let locations = this.#locations.get(namespace)
    if (locations === undefined) {
      locations = new Map()
      this.#locations.set(namespace, locations)
    }
    locations.set(id, room)
  }

  #delete(key: InstanceKey, changes: EntryChange[]): void {
    const room = this.#rooms.get(serviceId(key))
    if (!room?.delete(key.id)) return
    changes.push({ type: 'delete', key })
    this.#size--
    if (room.size === 0) this.#services = new Map()
    const locations = this.#locations.get(key.namespace)
    if (locations?.get(key.id) === room) locations.delete(key.id)
    if (locations?.size === 0) this.#locations.delete(key.namespace)
  }

  /** Called with rooms that changed: one that is empty, and that nobody asked for, need not be remembered. */
  protected forget(room: Room): void {
    if (room.size === 0) this.#rooms.delete(serviceId(room.key))
  }
}

class FullCatalog extends Replica {
  #warm = false

  constructor(directory: Directory, options: CatalogOptions) {
    super(options)
    this.follow(
      (signal) => directory.watchAll(signal),
      undefined,
      () => {
        this.#warm = true
      },
    )
  }

  protected override isWarm(): boolean {
    return this.#warm
  }
}

/**
 * Each time a service is asked for that is not watched yet, a new watch over all of them takes the place of the old,
 * which goes on until the new one's first batch.
 */
class WatchingCatalog extends Replica {
  readonly #source: Source
  readonly #watched = new Map<string, ServiceKey>()
  #warm: ReadonlySet<string> = new Set()
  /** The watches that run, oldest first. */
  #generations: AbortController[] = []
  #scheduled = false

  constructor(source: Source, options: WatchingCatalogOptions) {
    super({ protectEmpty: true, ...options })
    this.#source = source
  }

  override async ready(service: ServiceKey, signal?: AbortSignal): Promise<Snapshot> {
    this.open()
    const id = serviceId(service)
    if (!this.#watched.has(id)) {
      if (this.#watched.size >= watchedBound)
        throw new SeamarkError('too_many', `One client watches at most ${watchedBound} services.`)
      const { namespace, service: name } = service
      this.#watched.set(id, { namespace, service: name })
      this.#schedule()
    }
    return super.ready(service, signal)
  }

  protected override isWarm(service?: ServiceKey): boolean {
    if (service !== undefined) return this.#warm.has(serviceId(service))
    return [...this.#watched.keys()].every((id) => this.#warm.has(id))
  }

  /** Services asked for in one turn share a watch. */
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#begin()
    })
  }

  #begin(): void {
    const covers = new Set(this.#watched.keys())
    const services = [...this.#watched.values()]
    const generation = new AbortController()
    this.#generations.push(generation)
    const begun = () => {
      while (this.#generations[0] !== generation) this.#generations.shift()?.abort()
      this.#warm = covers
    }
    this.follow((signal) => this.#source.watch(services, signal), covers, begun, generation.signal)
  }
}

function touched(changes: readonly EntryChange[], rooms: ReadonlyMap<string, Room>): readonly Room[] {
  const found = new Set<Room>()
  for (const change of changes) {
    const room = rooms.get(serviceId(changedService(change)))
    if (room !== undefined) found.add(room)
  }
  return [...found]
}

function byName(a: ServiceKey, b: ServiceKey): number {
  return compare(a.namespace, b.namespace) || compare(a.service, b.service)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
