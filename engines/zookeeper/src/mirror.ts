import { isDeepStrictEqual } from 'node:util'
import {
  type Batch,
  type Change,
  type CheckResult,
  defaultNamespace,
  type Entry,
  type Health,
  type Holder,
  health,
  type InstanceKey,
  instanceId,
  type Notify,
  type Revision,
  type ServiceKey,
  serviceId,
} from '@seamark/core'
import { type CuratorRecord, curatorRecord } from './curator.ts'
import { type Paths, unescaped } from './paths.ts'
import { Reading } from './reading.ts'
import type { Node, Session } from './session.ts'
import { noState, type State, stateOf } from './state.ts'

export interface MirrorOptions {
  readonly session: Session
  readonly paths: Paths
  /** Default everything. */
  readonly services?: readonly ServiceKey[]
  /** What the handle wrote or showed before: shared by its mirrors, so that no reset goes back behind it. */
  readonly known: { revision: Revision }
  /** Called with what a record is called that cannot be read. */
  skip(name: string, error: unknown): void
}

/** Rounds of reading that may end with news before what is known is shown nevertheless. */
const patientRounds = 8

/** One instance: two nodes, and what was last shown of them. */
interface Row {
  readonly room: Room
  readonly key: InstanceKey
  readonly path: string
  readonly statePath: string
  record: (CuratorRecord & { readonly created: Revision; readonly modified: Revision }) | undefined
  state: State
  gone: boolean
  shown: Entry | undefined
  held: ReadonlyMap<string, Revision>
}

/** One service. */
interface Room {
  readonly key: ServiceKey
  readonly path: string
  /** By the name of the node. */
  readonly rows: Map<string, Row>
  readonly holders: Map<string, Holder>
}

/** What a watch of the registry knows of ZooKeeper's nodes. */
export class Mirror {
  readonly #session: Session
  readonly #paths: Paths
  readonly #skip: MirrorOptions['skip']
  readonly #reading: Reading
  readonly #rooms = new Map<string, Room>()
  readonly #stale = new Set<Row>()

  constructor({ session, paths, services, known, skip }: MirrorOptions) {
    this.#session = session
    this.#paths = paths
    this.#reading = new Reading({ session, known, patientRounds })
    this.#skip = skip
    if (services !== undefined) for (const key of services) this.#openRoom(key)
    else {
      this.#reading.follow(paths.base, () => this.#readNamespace(defaultNamespace, paths.base))
      this.#reading.follow(paths.namespaces, () => this.#readNamespaces())
    }
  }

  /** The first batch is a reset. Ends when `signal` aborts; throws when the session ends before. */
  batches(signal: AbortSignal): AsyncGenerator<Batch> {
    return this.#reading.batches(signal, (seen, first) => this.#batch(seen, first))
  }

  // Reading.

  /** Names of nodes with the names they stand for; what stands for none is left out. */
  async #named(path: string): Promise<Map<string, string>> {
    const named = new Map<string, string>()
    for (const node of await this.#reading.children(path)) {
      const name = unescaped(node)
      if (name === undefined || Buffer.byteLength(name) > 255)
        this.#skip(`${path}/${node}`, new Error('not a name'))
      else named.set(node, name)
    }
    return named
  }

  async #readNamespaces(): Promise<void> {
    const { namespaces } = this.#paths
    const named = await this.#named(namespaces)
    for (const name of named.values()) {
      const path = this.#paths.namespace(name)
      // The default namespace is elsewhere.
      if (name === defaultNamespace || this.#reading.follows(path)) continue
      const read = () => this.#readNamespace(name, path)
      this.#reading.listen(path, read)
      await read()
    }
  }

  async #readNamespace(namespace: string, path: string): Promise<void> {
    const named = await this.#named(path)
    const opened: Promise<void>[] = []
    for (const service of named.values()) {
      const room = this.#openRoom({ namespace, service }, false)
      if (room !== undefined) opened.push(this.#readRoom(room))
    }
    const there = new Set(named.values())
    for (const room of this.#rooms.values())
      if (room.key.namespace === namespace && !there.has(room.key.service)) this.#closeRoom(room)
    await Promise.all(opened)
  }

  #openRoom(key: ServiceKey, mark = true): Room | undefined {
    const id = serviceId(key)
    if (this.#rooms.has(id)) return undefined
    const { namespace, service } = key
    const room: Room = {
      key: Object.freeze({ namespace, service }),
      path: this.#paths.service(key),
      rows: new Map(),
      holders: new Map(),
    }
    this.#rooms.set(id, room)
    this.#reading[mark ? 'follow' : 'listen'](room.path, () => this.#readRoom(room))
    return room
  }

  #closeRoom(room: Room): void {
    this.#rooms.delete(serviceId(room.key))
    this.#reading.unfollow(room.path)
    for (const row of room.rows.values()) this.#closeRow(row)
    room.rows.clear()
  }

  async #readRoom(room: Room): Promise<void> {
    const named = await this.#named(room.path)
    const reads: Promise<void>[] = []
    for (const [node, id] of named) {
      let row = room.rows.get(node)
      if (row === undefined) {
        row = this.#openRow(room, id)
        room.rows.set(node, row)
        reads.push(this.#readRecord(row), this.#readState(row))
      } else if (row.record === undefined) reads.push(this.#readRecord(row))
    }
    for (const [node, row] of room.rows)
      if (!named.has(node)) {
        room.rows.delete(node)
        this.#closeRow(row)
      }
    await Promise.all(reads)
  }

  #openRow(room: Room, id: string): Row {
    const key = Object.freeze({ ...room.key, id })
    const row: Row = {
      room,
      key,
      path: this.#paths.instance(key),
      statePath: this.#paths.state(key),
      record: undefined,
      state: noState,
      gone: false,
      shown: undefined,
      held: new Map(),
    }
    this.#reading.listen(row.path, () => this.#readRecord(row))
    this.#reading.listen(row.statePath, () => this.#readState(row))
    return row
  }

  #closeRow(row: Row): void {
    row.gone = true
    this.#stale.add(row)
    this.#reading.unfollow(row.path)
    this.#reading.unfollow(row.statePath)
  }

  async #readRecord(row: Row): Promise<void> {
    const node = await this.#session.read(row.path, true)
    this.#stale.add(row)
    row.record = node && this.#understood(row.path, () => recordOf(row.key, node))
  }

  async #readState(row: Row): Promise<void> {
    let node: Node | undefined
    do node = await this.#session.read(row.statePath, true)
    while (node === undefined && (await this.#session.stat(row.statePath, true)) !== undefined)
    const { data, stat } = node ?? {}
    this.#stale.add(row)
    row.state = (data && this.#understood(row.statePath, () => stateOf(data, stat!.modified))) ?? noState
  }

  #understood<T>(name: string, read: () => T): T | undefined {
    try {
      return read()
    } catch (error) {
      this.#skip(name, error)
      return undefined
    }
  }

  // Showing.

  #batch(revision: Revision, first: boolean): Batch {
    const changes: Change[] = []
    const claims = new Map<string, { room: Room; name: string }>()
    for (const row of this.#stale) this.#show(row, revision, changes, claims)
    this.#stale.clear()
    for (const { room, name } of claims.values()) this.#settle(room, name, changes)
    if (!first) return { revision, changes }
    const entries: Entry[] = []
    const holders: Holder[] = []
    for (const room of this.#rooms.values()) {
      for (const { shown } of room.rows.values()) if (shown !== undefined) entries.push(shown)
      holders.push(...room.holders.values())
    }
    const modified = [
      ...entries.map(({ modifiedRevision }) => modifiedRevision),
      ...holders.map(({ fence }) => fence),
    ]
    return {
      revision: this.#reading.resetRevision(revision, modified),
      changes: [{ type: 'reset', entries, holders }],
    }
  }

  #show(
    row: Row,
    revision: Revision,
    changes: Change[],
    claims: Map<string, { room: Room; name: string }>,
  ): void {
    const before = row.shown
    const record = row.gone ? undefined : row.record
    row.shown = record && entryOf(record, row.state, revision, before)
    if (row.shown === undefined) {
      if (before !== undefined) changes.push({ type: 'delete', key: row.key })
    } else if (row.shown !== before) changes.push({ type: 'put', entry: row.shown })
    const held = row.shown === undefined ? noState.claims : row.state.claims
    for (const name of new Set([...row.held.keys(), ...held.keys()]))
      if (row.held.get(name) !== held.get(name))
        claims.set(instanceId({ ...row.room.key, id: name }), { room: row.room, name })
    row.held = held
  }

  /** Who holds a name: the latest of those whose state says so. */
  #settle(room: Room, name: string, changes: Change[]): void {
    let holder: Holder | undefined
    for (const { key, held } of room.rows.values()) {
      const fence = held.get(name)
      if (fence !== undefined && fence > (holder?.fence ?? -1))
        holder = Object.freeze({ ...key, name, fence })
    }
    const before = room.holders.get(name)
    if (holder === undefined) {
      if (room.holders.delete(name)) changes.push({ type: 'release', claim: { ...room.key, name } })
    } else if (holder.id !== before?.id || holder.fence !== before.fence) {
      room.holders.set(name, holder)
      changes.push({ type: 'claim', holder })
    }
  }
}

function recordOf(key: InstanceKey, { data, stat: { created, modified } }: Node) {
  return { ...curatorRecord(key, data), created, modified }
}

/**
 * The entry to show, or the one that was shown if nothing changed. What was read while changes kept coming may be newer
 * than the revision it is shown at, and what somebody removed has no revision of its own.
 */
function entryOf(
  { instance, checks, created, modified }: NonNullable<Row['record']>,
  state: State,
  revision: Revision,
  before: Entry | undefined,
): Entry {
  const health = merged(state.health, checks)
  const createdRevision = Math.min(created, revision)
  let modifiedRevision = Math.min(Math.max(modified, state.reported), revision)
  if (before?.createdRevision === createdRevision && modifiedRevision <= before.modifiedRevision) {
    if (isDeepStrictEqual(health, before.health)) return before
    modifiedRevision = revision
  }
  return Object.freeze({ instance, health, createdRevision, modifiedRevision })
}

/** Checks of the record itself come after what was reported, and are no one's to report. */
function merged(reported: Health, own: readonly CheckResult[]): Health {
  if (own.length === 0) return reported
  const ids = new Set(reported.checks.map(({ id }) => id))
  return health([...reported.checks, ...own.filter(({ id }) => !ids.has(id))])
}

/** Says once of each record that it is skipped, and how many there were. */
export function skipper(notify: Notify): MirrorOptions['skip'] {
  const skipped = new Set<string>()
  return (name, error) => {
    // Past this many, more of them say nothing new.
    if (skipped.has(name) || skipped.size >= 10_000) return
    skipped.add(name)
    notify({
      level: 'warn',
      event: 'record_skipped',
      message: `The node ${name} cannot be read; it is left out (${skipped.size} so far).`,
      details: { name, count: skipped.size, error },
    })
  }
}
