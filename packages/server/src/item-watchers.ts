import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import {
  type Clock,
  type Item,
  type Items,
  type ItemsUpdate,
  type Revision,
  SeamarkError,
  type Timer,
} from '@seamark/core'
import type { Bounds } from './bounds.ts'
import { appliedEvent, keepAliveComment, resetEvent, retryEvent } from './event-stream.ts'
import { History } from './history.ts'
import { itemJson } from './item-json.ts'
import type { Seen } from './seen.ts'

export interface ItemWatchersOptions {
  readonly items: Items
  readonly clock: Clock
  readonly bounds: Bounds
}

/** Milliseconds between two keep-alive comments of a stream. */
const keepAliveInterval = 15_000

/**
 * The streams that watch items. Like those that watch services, one that does not drain costs the keys that changed
 * meanwhile, and then gets their latest state. Unlike those they are few, and each looks for itself at what changed.
 */
export class ItemWatchers {
  readonly #items: Items
  readonly #clock: Clock
  readonly #bounds: Bounds
  readonly #subscription: Disposable
  readonly #watchers = new Set<ItemWatcher>()
  readonly #history: History<string>
  #epoch = newEpoch()
  /** Up to where the watchers were told. */
  #told: Revision
  #slow = 0
  #keepAlive: Timer
  #closed = false

  constructor({ items, clock, bounds }: ItemWatchersOptions) {
    this.#items = items
    this.#clock = clock
    this.#bounds = bounds
    this.#told = items.revision
    this.#history = new History(bounds.historyChanges, this.#told)
    this.#subscription = items.subscribe((update) => this.#hear(update))
    this.#keepAlive = this.#nextKeepAlive()
  }

  get size(): number {
    return this.#watchers.size
  }

  /** How many do not read as fast as it changes. */
  get slow(): number {
    return this.#slow
  }

  /** Throws `too_many` or `draining` if there may be no further watcher. */
  admit(): void {
    if (this.#closed) throw new SeamarkError('draining', 'The server is shutting down: watch another one.')
    if (this.size >= this.#bounds.watchers)
      throw new SeamarkError(
        'too_many',
        `The server has ${this.#bounds.watchers} watchers of items already: try again later.`,
      )
  }

  /**
   * Writes to a response whose head is sent, until its connection closes: what was missed since `seen` if that is still
   * known, else a reset; then every change under the prefix.
   */
  join(response: ServerResponse, prefix: string, seen: Seen | undefined): void {
    const watcher = new ItemWatcher(response, prefix)
    this.#watchers.add(watcher)
    response.once('close', () => {
      this.#watchers.delete(watcher)
      if (watcher.counted) this.#slow--
    })
    response.on('drain', () => {
      watcher.blocked = false
      if (!response.writableEnded) this.#pump(watcher)
    })
    const missed =
      seen?.epoch === this.#epoch ? this.#history.since(seen.revision, this.#items.revision) : undefined
    if (missed === undefined) watcher.reset = true
    else this.#begin(watcher, this.#latest([...missed.keys()].filter((key) => key.startsWith(prefix))))
    response.cork()
    response.write(retryEvent)
    this.#pump(watcher)
    response.uncork()
  }

  /** Ends all streams; nobody may join any more. One that does not drain is cut off: its reader may be gone for good. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#subscription[Symbol.dispose]()
    this.#keepAlive.cancel()
    for (const { response, blocked } of this.#watchers)
      if (blocked) response.destroy()
      else response.end()
  }

  #hear({ revision, changes }: ItemsUpdate): void {
    // A store that started anew counts from the beginning: what was seen says nothing now.
    const anew = revision <= this.#told
    if (anew) this.#epoch = newEpoch()
    this.#told = revision
    const keys = new Map<string, string>()
    for (const change of changes) {
      const key = change.type === 'put' ? change.item.key : change.key
      keys.set(key, key)
    }
    if (anew) this.#history.clear(revision)
    else this.#history.add(revision, keys)
    const told = new Map<string, string>()
    for (const watcher of this.#watchers)
      if (anew) {
        watcher.reset = true
        this.#pump(watcher)
      } else
        this.#offer(
          watcher,
          [...keys.keys()].filter((key) => key.startsWith(watcher.prefix)),
          told,
        )
  }

  /** `told` has the events that were made for other watchers of the same keys. */
  #offer(watcher: ItemWatcher, keys: readonly string[], told: Map<string, string>): void {
    if (keys.length === 0) return
    if (!watcher.flowing) {
      if (watcher.reset) return
      for (const key of keys) watcher.touched.add(key)
      if (watcher.touched.size > this.#bounds.watcherKeys) {
        watcher.touched.clear()
        watcher.reset = true
      }
      return
    }
    this.#begin(watcher, this.#latest(keys, told))
    this.#pump(watcher)
  }

  /** Writes what a watcher still has to get, as far as its connection takes it. */
  #pump(watcher: ItemWatcher): void {
    const { response } = watcher
    response.cork()
    while (!watcher.blocked) {
      const frame = this.#next(watcher)
      if (frame === undefined) break
      if (!response.write(frame)) watcher.blocked = true
    }
    response.uncork()
    const slow = !watcher.flowing
    if (slow === watcher.counted) return
    watcher.counted = slow
    this.#slow += slow ? 1 : -1
  }

  #next(watcher: ItemWatcher): string | undefined {
    if (watcher.work === undefined) {
      if (watcher.reset) {
        watcher.reset = false
        watcher.touched.clear()
        this.#begin(watcher, resetOf(this.#items.list(watcher.prefix)))
      } else if (watcher.touched.size > 0) {
        const keys = watcher.touched
        watcher.touched = new Set()
        this.#begin(watcher, this.#latest(keys))
      } else return undefined
    }
    const { done, value } = watcher.work!.next()
    if (!done) return value
    watcher.work = undefined
    return appliedEvent(watcher.epoch, watcher.base)
  }

  /** A batch that tells at least all that happened up to now; what happens while it is written follows in the next. */
  #begin(watcher: ItemWatcher, work: Iterator<string>): void {
    watcher.work = work
    watcher.base = this.#items.revision
    watcher.epoch = this.#epoch
  }

  *#latest(keys: Iterable<string>, told?: Map<string, string>): Generator<string> {
    for (const key of keys) {
      let event = told?.get(key)
      if (event === undefined) {
        const item = this.#items.get(key)
        event = item === undefined ? deleteEvent(key) : putEvent(item)
        told?.set(key, event)
      }
      yield event
    }
  }

  #nextKeepAlive(): Timer {
    return this.#clock.after(keepAliveInterval, () => {
      for (const watcher of this.#watchers)
        if (watcher.flowing) watcher.blocked = !watcher.response.write(keepAliveComment)
      this.#keepAlive = this.#nextKeepAlive()
    })
  }
}

class ItemWatcher {
  readonly response: ServerResponse
  readonly prefix: string
  /** The connection takes no more for now. */
  blocked = false
  /** It must get everything anew. */
  reset = false
  /** The keys of what it must get the latest state of. */
  touched = new Set<string>()
  /** What is still to be written of the batch under way. */
  work: Iterator<string> | undefined
  /** What the batch under way tells up to. */
  base: Revision = 0
  epoch = ''
  /** Whether it is counted among the slow ones. */
  counted = false

  constructor(response: ServerResponse, prefix: string) {
    this.response = response
    this.prefix = prefix
  }

  /** Nothing waits: a change can be written as it comes. */
  get flowing(): boolean {
    return !this.blocked && !this.reset && this.work === undefined && this.touched.size === 0
  }
}

function* resetOf(items: readonly Item[]): Generator<string> {
  yield resetEvent
  for (const item of items) yield putEvent(item)
}

function putEvent(item: Item): string {
  return `event: put\ndata: ${itemJson(item)}\n\n`
}

function deleteEvent(key: string): string {
  return `event: delete\ndata: ${JSON.stringify({ key })}\n\n`
}

function newEpoch(): string {
  return randomBytes(8).toString('hex')
}
