import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import {
  type Catalog,
  type CatalogUpdate,
  type Clock,
  changedService,
  type EntryChange,
  type Revision,
  SeamarkError,
  type ServiceKey,
  type Snapshot,
  serviceId,
  type Timer,
} from '@seamark/core'
import type { Bounds } from './bounds.ts'
import {
  appliedEvent,
  changeEvent,
  claimEvent,
  deleteEvent,
  keepAliveComment,
  putEvent,
  releaseEvent,
  resetEvent,
  retryEvent,
  snapshotEvents,
} from './event-stream.ts'
import { History } from './history.ts'
import { Memo } from './memo.ts'
import type { Seen } from './seen.ts'
import { type Touched, touched } from './touched.ts'

export interface WatchersOptions {
  readonly catalog: Catalog
  readonly clock: Clock
  readonly bounds: Bounds
  /** Told how long (ms) a change waited in the server until it was written to the last watcher. */
  readonly lag: (ms: number) => void
}

/** Seconds between two keep-alive comments of one stream; each second one share of the streams gets its own. */
const keepAliveSlots = 15

/**
 * The streams that watch. A change is encoded once, and written to all who watch it. A stream that does not drain costs
 * the keys that changed meanwhile, and then gets their latest state.
 */
export class Watchers {
  readonly #catalog: Catalog
  readonly #clock: Clock
  readonly #bounds: Bounds
  readonly #lag: (ms: number) => void
  readonly #subscription: Disposable
  readonly #everything = new Set<Watcher>()
  readonly #byService = new Map<string, Set<Watcher>>()
  readonly #slots: readonly Set<Watcher>[] = Array.from({ length: keepAliveSlots }, () => new Set())
  readonly #history: History<Touched>
  #epoch = newEpoch()
  /** Up to where the watchers were told. */
  #told: Revision
  /** Updates not told yet: those of one turn of the event loop are told together. */
  #pending: CatalogUpdate[] = []
  #pendingSince = 0
  #joined = 0
  #size = 0
  #slow = 0
  #slot = 0
  #keepAlive: Timer
  #closed = false

  constructor({ catalog, clock, bounds, lag }: WatchersOptions) {
    this.#catalog = catalog
    this.#clock = clock
    this.#bounds = bounds
    this.#lag = lag
    this.#told = catalog.revision
    this.#history = new History(bounds.historyChanges, this.#told)
    this.#subscription = catalog.subscribe((update) => this.#hear(update))
    this.#keepAlive = this.#nextKeepAlive()
  }

  /** Names one life of the registry: revisions of different epochs cannot be compared. */
  get epoch(): string {
    // What the catalog shows already may be of another one.
    this.#tell()
    return this.#epoch
  }

  get size(): number {
    return this.#size
  }

  /** How many do not read as fast as it changes. */
  get slow(): number {
    return this.#slow
  }

  /** Throws `too_many` or `draining` if there may be no further watcher. */
  admit(): void {
    if (this.#closed) throw new SeamarkError('draining', 'The server is shutting down: watch another one.')
    if (this.#size >= this.#bounds.watchers)
      throw new SeamarkError(
        'too_many',
        `The server has ${this.#bounds.watchers} watchers already: try again later.`,
      )
  }

  /**
   * Writes to a response whose head is sent, until its connection closes: what was missed since `seen` if that is still
   * known, else a reset; then every change. `services` undefined means everything.
   */
  join(response: ServerResponse, services: readonly ServiceKey[] | undefined, seen: Seen | undefined): void {
    this.#tell()
    const watcher = new Watcher(response, services)
    const groups = this.#groups(services)
    const slot = this.#slots[this.#joined++ % keepAliveSlots]!
    for (const group of groups) group.add(watcher)
    slot.add(watcher)
    this.#size++
    response.once('close', () => {
      slot.delete(watcher)
      for (const group of groups) group.delete(watcher)
      for (const service of services ?? [])
        if (this.#byService.get(serviceId(service))?.size === 0) this.#byService.delete(serviceId(service))
      this.#size--
      if (watcher.counted) this.#slow--
    })
    response.on('drain', () => {
      watcher.blocked = false
      if (!response.writableEnded) this.#pump(watcher)
    })
    const missed = this.#missed(services, seen)
    if (missed === undefined) watcher.reset = true
    else this.#begin(watcher, this.#latest(missed.values()))
    response.cork()
    response.write(retryEvent)
    this.#pump(watcher)
    response.uncork()
  }

  /** Ends all streams; nobody may join any more. One that does not drain is cut off: its reader may be gone for good. */
  close(): void {
    if (this.#closed) return
    this.#tell()
    this.#closed = true
    this.#subscription[Symbol.dispose]()
    this.#keepAlive.cancel()
    for (const slot of this.#slots)
      for (const { response, blocked } of slot)
        if (blocked) response.destroy()
        else response.end()
  }

  #groups(services: readonly ServiceKey[] | undefined): readonly Set<Watcher>[] {
    if (services === undefined) return [this.#everything]
    return services.map((service) => {
      const id = serviceId(service)
      const group = this.#byService.get(id) ?? new Set()
      this.#byService.set(id, group)
      return group
    })
  }

  #missed(
    services: readonly ServiceKey[] | undefined,
    seen: Seen | undefined,
  ): Map<string, Touched> | undefined {
    if (seen === undefined || seen.epoch !== this.#epoch) return undefined
    const missed = this.#history.since(seen.revision, this.#told)
    if (missed === undefined || services === undefined) return missed
    const ids = new Set(services.map(serviceId))
    for (const [id, { key }] of missed) if (!ids.has(serviceId(key))) missed.delete(id)
    return missed
  }

  #hear(update: CatalogUpdate): void {
    if (this.#pending.length === 0) {
      this.#pendingSince = this.#clock.now()
      setImmediate(() => this.#tell())
    }
    this.#pending.push(update)
  }

  #tell(): void {
    if (this.#pending.length === 0 || this.#closed) return
    const updates = this.#pending
    this.#pending = []
    this.#note(updates)
    this.#lag(this.#clock.now() - this.#pendingSince)
  }

  #note(updates: readonly CatalogUpdate[]): void {
    const changes = new Map<string, EntryChange>()
    const keys = new Map<string, Touched>()
    // One who watches must be told by a reset as well, so as to know that nobody saw them go: see decision 6.
    let anew = updates.some(({ emptied }) => emptied.length > 0)
    let former = this.#told
    let count = 0
    for (const update of updates) {
      // An engine that started anew counts from the beginning, and may have come as far as before: what was seen says
      // nothing now.
      if (update.revision <= former) {
        this.#epoch = newEpoch()
        this.#history.clear(update.revision)
        keys.clear()
      }
      former = update.revision
      count += update.changes.length
      // So much changed that its latest state costs no more than its changes.
      anew ||= count > this.#bounds.historyChanges
      if (anew) continue
      for (const change of update.changes) {
        const [id, key] = touched(change)
        changes.set(id, change)
        keys.set(id, key)
      }
    }
    this.#told = former
    if (anew) {
      this.#history.clear(former)
      this.#resetWatchers(updates.flatMap(({ services }) => services))
    } else {
      this.#history.add(former, keys)
      if (this.#size > 0) this.#fanOut(changes)
    }
  }

  #resetWatchers(services: readonly ServiceKey[]): void {
    const affected = new Set(this.#everything)
    for (const service of services)
      for (const watcher of this.#byService.get(serviceId(service)) ?? []) affected.add(watcher)
    for (const watcher of affected) {
      watcher.reset = true
      this.#pump(watcher)
    }
  }

  #fanOut(changes: ReadonlyMap<string, EntryChange>): void {
    const applied = appliedEvent(this.#epoch, this.#told)
    const parts = new Map<string, EntryChange[]>()
    for (const change of changes.values()) {
      const service = serviceId(changedService(change))
      const part = parts.get(service)
      if (part === undefined) parts.set(service, [change])
      else part.push(change)
    }
    if (this.#everything.size > 0) {
      const all = [...changes.values()]
      const frame = encode(all, applied)
      for (const watcher of this.#everything) this.#offer(watcher, frame, all)
    }
    /** Those of several services that changed at once: they get one batch. */
    const several = new Map<Watcher, EntryChange[]>()
    for (const [service, part] of parts) {
      const group = this.#byService.get(service)
      if (group === undefined) continue
      const frame = encode(part, applied)
      for (const watcher of group) {
        const own = several.get(watcher)
        if (own !== undefined) own.push(...part)
        else if (parts.size > 1 && watcher.services!.length > 1) several.set(watcher, [...part])
        else this.#offer(watcher, frame, part)
      }
    }
    for (const [watcher, own] of several) this.#offer(watcher, encode(own, applied), own)
  }

  #offer(watcher: Watcher, frame: Buffer, changes: readonly EntryChange[]): void {
    if (watcher.flowing) {
      watcher.blocked = !watcher.response.write(frame)
      if (watcher.blocked) this.#count(watcher)
      return
    }
    if (watcher.reset) return
    for (const change of changes) watcher.touched.set(...touched(change))
    if (watcher.touched.size > this.#bounds.watcherKeys) {
      watcher.touched.clear()
      watcher.reset = true
    }
  }

  /** Writes what a watcher still has to get, as far as its connection takes it. */
  #pump(watcher: Watcher): void {
    const { response } = watcher
    response.cork()
    while (!watcher.blocked) {
      const frame = this.#next(watcher)
      if (frame === undefined) break
      if (frame.length > 0 && !response.write(frame)) watcher.blocked = true
    }
    response.uncork()
    this.#count(watcher)
  }

  #count(watcher: Watcher): void {
    const slow = !watcher.flowing
    if (slow === watcher.counted) return
    watcher.counted = slow
    this.#slow += slow ? 1 : -1
  }

  #next(watcher: Watcher): string | Buffer | undefined {
    if (watcher.work === undefined) {
      if (watcher.reset) {
        watcher.reset = false
        watcher.touched.clear()
        this.#begin(watcher, this.#everythingOf(watcher.services))
      } else if (watcher.touched.size > 0) {
        const keys = watcher.touched
        watcher.touched = new Map()
        this.#begin(watcher, this.#latest(keys.values()))
      } else return undefined
    }
    const { done, value } = watcher.work!.next()
    if (!done) return value
    watcher.work = undefined
    return appliedEvent(watcher.epoch, watcher.base)
  }

  /** A batch that tells at least all that happened up to now; what happens while it is written follows in the next. */
  #begin(watcher: Watcher, work: Iterator<string | Buffer>): void {
    watcher.work = work
    watcher.base = this.#told
    watcher.epoch = this.#epoch
  }

  *#everythingOf(services: readonly ServiceKey[] | undefined): Generator<string | Buffer> {
    yield resetEvent
    if (services === undefined)
      for (const service of this.#catalog.services()) yield snapshotEvents(this.#catalog.snapshot(service))
    else for (const service of services) yield frames.get(this.#catalog.snapshot(service))
  }

  *#latest(keys: Iterable<Touched>): Generator<string> {
    for (const { type, key } of keys) {
      if (type === 'instance') {
        const entry = this.#catalog.entry(key)
        yield entry === undefined ? deleteEvent(key) : putEvent(entry)
      } else {
        const holder = this.#catalog.snapshot(key).holders.find(({ name }) => name === key.name)
        yield holder === undefined ? releaseEvent(key) : claimEvent(holder)
      }
    }
  }

  #nextKeepAlive(): Timer {
    return this.#clock.after(1_000, () => {
      for (const watcher of this.#slots[this.#slot]!)
        if (watcher.flowing) {
          watcher.blocked = !watcher.response.write(keepAliveComment)
          this.#count(watcher)
        }
      this.#slot = (this.#slot + 1) % keepAliveSlots
      this.#keepAlive = this.#nextKeepAlive()
    })
  }
}

class Watcher {
  readonly response: ServerResponse
  readonly services: readonly ServiceKey[] | undefined
  /** The connection takes no more for now. */
  blocked = false
  /** It must get everything anew. */
  reset = false
  /** What it must get the latest state of. */
  touched = new Map<string, Touched>()
  /** What is still to be written of the batch under way. */
  work: Iterator<string | Buffer> | undefined
  /** What the batch under way tells up to. */
  base: Revision = 0
  epoch = ''
  /** Whether it is counted among the slow ones. */
  counted = false

  constructor(response: ServerResponse, services: readonly ServiceKey[] | undefined) {
    this.response = response
    this.services = services
  }

  /** Nothing waits: a change can be written as it comes. */
  get flowing(): boolean {
    return !this.blocked && !this.reset && this.work === undefined && this.touched.size === 0
  }
}

function encode(changes: readonly EntryChange[], applied: string): Buffer {
  return Buffer.from(changes.map(changeEvent).join('') + applied)
}

/** Many watch the same service: its beginning is encoded once. At most 32 MiB are remembered. */
const frames = new Memo<Snapshot, Buffer>((snapshot) => Buffer.from(snapshotEvents(snapshot)), 33_554_432)

function newEpoch(): string {
  return randomBytes(8).toString('hex')
}
