import {
  type Batch,
  type Change,
  type Entry,
  type Health,
  type Holder,
  type Instance,
  instanceId,
  type Revision,
  registeredHealth,
  type ServiceKey,
  serviceId,
} from '@seamark/core'
import type { IEvent, IKeyValue } from 'etcd3'
import type { Format, Place } from './format.ts'
import { decodeClaim, decodeHealth } from './records.ts'
import type { Skipped } from './skipped.ts'
import type { Subject, View } from './watching.ts'

/** Instances are small; their metadata and tags are bounded. */
const pageKeys = 2_000

/** `services`: what to show; default everything. */
export function registrySubject(
  format: Format,
  skipped: Skipped,
  services: readonly ServiceKey[] | undefined,
): Subject<Batch> {
  return {
    ranges: format.ranges(services),
    pageKeys,
    view: () => new RegistryView(format, skipped, services),
  }
}

/** What is known of one instance: two keys make it. */
interface Row {
  instance: Instance | undefined
  health: Health | undefined
  created: Revision
  modified: Revision
  /** As it was last shown. */
  entry: Entry | undefined
}

class RegistryView implements View<Batch> {
  readonly #format: Format
  readonly #skipped: Skipped
  readonly #services: ReadonlySet<string> | undefined
  readonly #rows = new Map<string, Row>()
  /** By `instanceId`, with the claim's name as the id. */
  readonly #holders = new Map<string, Holder>()
  #revision: Revision = 0

  constructor(format: Format, skipped: Skipped, services: readonly ServiceKey[] | undefined) {
    this.#format = format
    this.#skipped = skipped
    this.#services = services && new Set(services.map(serviceId))
  }

  get revision(): Revision {
    return this.#revision
  }

  add(kv: IKeyValue): void {
    const place = this.#place(kv)
    if (place === undefined) return
    if (place.kind === 'claim') {
      const holder = this.#holder(place, kv)
      if (holder !== undefined) this.#holders.set(holderId(holder), holder)
    } else this.#keep(place, kv)
  }

  reset(revision: Revision): Batch {
    this.#revision = revision
    const entries: Entry[] = []
    for (const row of this.#rows.values()) {
      row.entry = entryOf(row)
      if (row.entry !== undefined) entries.push(row.entry)
    }
    return { revision, changes: [{ type: 'reset', entries, holders: [...this.#holders.values()] }] }
  }

  apply(events: readonly IEvent[]): Batch | undefined {
    const changes: Change[] = []
    const touched = new Map<string, Row>()
    const known = this.#revision
    for (const { type, kv } of events) {
      const revision = Number(kv.mod_revision)
      // A member that is behind may begin earlier than it was asked to (etcd-io/etcd#20221).
      if (revision <= known) continue
      if (revision > this.#revision) this.#show(touched, changes)
      this.#revision = revision
      const place = this.#place(kv)
      if (place === undefined) continue
      if (place.kind === 'claim') this.#claim(place, type === 'Put' ? kv : undefined, changes)
      else {
        const row = type === 'Put' ? this.#keep(place, kv) : this.#drop(place, revision)
        if (row !== undefined) touched.set(instanceId(place.key), row)
      }
    }
    this.#show(touched, changes)
    return this.#revision === known ? undefined : { revision: this.#revision, changes }
  }

  #place(kv: IKeyValue): Place | undefined {
    const place = this.#format.place(kv.key)
    if (place === undefined || this.#services === undefined) return place
    return this.#services.has(serviceId(place.key)) ? place : undefined
  }

  #keep({ kind, key }: Exclude<Place, { kind: 'claim' }>, kv: IKeyValue): Row {
    const row = this.#rows.get(instanceId(key)) ?? newRow()
    this.#rows.set(instanceId(key), row)
    row.modified = Math.max(row.modified, Number(kv.mod_revision))
    if (kind === 'instance') {
      row.created = Number(kv.create_revision)
      row.instance = this.#skipped.unlessUnreadable(kv, (value) => this.#format.decode(key, value).instance)
    } else row.health = this.#skipped.unlessUnreadable(kv, decodeHealth)
    return row
  }

  #drop({ kind, key }: Exclude<Place, { kind: 'claim' }>, revision: Revision): Row | undefined {
    const row = this.#rows.get(instanceId(key))
    if (row === undefined) return undefined
    row[kind] = undefined
    row.modified = revision
    return row
  }

  #claim(place: Extract<Place, { kind: 'claim' }>, kv: IKeyValue | undefined, changes: Change[]): void {
    const id = instanceId({ ...place.key, id: place.key.name })
    const holder = kv && this.#holder(place, kv)
    if (holder !== undefined) {
      this.#holders.set(id, holder)
      changes.push({ type: 'claim', holder })
    } else if (this.#holders.delete(id)) changes.push({ type: 'release', claim: place.key })
  }

  #holder({ key }: Extract<Place, { kind: 'claim' }>, kv: IKeyValue): Holder | undefined {
    const id = this.#skipped.unlessUnreadable(kv, decodeClaim)
    return id === undefined ? undefined : Object.freeze({ ...key, id, fence: Number(kv.create_revision) })
  }

  /** Tells what a revision made of the instances that it touched. */
  #show(touched: Map<string, Row>, changes: Change[]): void {
    for (const [id, row] of touched) {
      const former = row.entry
      row.entry = entryOf(row)
      if (row.entry !== undefined) changes.push({ type: 'put', entry: row.entry })
      else if (former !== undefined) {
        const { namespace, service, id } = former.instance
        changes.push({ type: 'delete', key: { namespace, service, id } })
      }
      if (row.instance === undefined && row.health === undefined) this.#rows.delete(id)
    }
    touched.clear()
  }
}

function newRow(): Row {
  return { instance: undefined, health: undefined, created: 0, modified: 0, entry: undefined }
}

/** Without a key of its own, the health is that of an instance of which nothing was observed. */
function entryOf({ instance, health, created, modified }: Row): Entry | undefined {
  if (instance === undefined) return undefined
  return Object.freeze({
    instance,
    health: health ?? registeredHealth(instance.checks, undefined),
    createdRevision: created,
    modifiedRevision: modified,
  })
}

function holderId({ namespace, service, name }: Holder): string {
  return instanceId({ namespace, service, id: name })
}
