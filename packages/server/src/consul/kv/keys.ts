import type { Items, ItemsUpdate, Revision } from '@seamark/core'
import type { Topics } from '../topics.ts'
import { type Entry, entriesUnder, entryOf, entryPrefix } from './entry.ts'
import { Graveyard } from './graveyard.ts'
import { indexAt } from './index-at.ts'

/** What a request waits for that watches this key. */
export function keyTopic(key: string): string {
  return `kv=${key}`
}

/** What a request waits for that watches all keys with this prefix. */
export function prefixTopic(prefix: string): string {
  return `kv*${prefix}`
}

/** All keys as this server sees them, with the indexes by which clients wait for them. */
export class Keys implements Disposable {
  readonly #items: Items
  readonly #topics: Topics
  readonly #graveyard = new Graveyard()
  readonly #listening: Disposable
  /** Of the last change of any key. */
  #latest: Revision = 0
  /** Who holds which lock. */
  readonly #holders = new Map<string, string>()
  readonly #held = new Map<string, Set<string>>()

  constructor({ items, topics }: { readonly items: Items; readonly topics: Topics }) {
    this.#items = items
    this.#topics = topics
    for (const { key, session, modified } of entriesUnder(items, '')) {
      this.#hold(key, session)
      this.#latest = Math.max(this.#latest, modified)
    }
    this.#listening = items.subscribe((update) => this.#update(update))
    items.warm().then(
      () => {
        this.#graveyard.raise(items.revision)
        this.#latest = Math.max(this.#latest, items.revision)
      },
      () => {}, // Closed before it was warm.
    )
  }

  get(key: string): Entry | undefined {
    const item = this.#items.get(entryPrefix + key)
    return item && entryOf(item)
  }

  /** In the order of their keys. */
  list(prefix: string): readonly Entry[] {
    return entriesUnder(this.#items, prefix)
  }

  /** From which on a change of the key is news; for one that is not there, the last change of any, as in Consul. */
  index(key: string): number {
    return indexAt(this.get(key)?.modified ?? this.#latest)
  }

  /** From which on a change under the prefix is news. */
  indexOf(prefix: string, entries: readonly Entry[]): number {
    let highest = 0
    for (const { modified } of entries) highest = Math.max(highest, modified)
    return indexAt(this.#graveyard.under(prefix, highest))
  }

  /** The keys whose locks the session holds. */
  held(session: string): ReadonlySet<string> {
    return this.#held.get(session) ?? none
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]()
  }

  #update({ revision, changes }: ItemsUpdate): void {
    const changed: string[] = []
    for (const change of changes) {
      const name = change.type === 'put' ? change.item.key : change.key
      if (!name.startsWith(entryPrefix)) continue
      const key = name.slice(entryPrefix.length)
      changed.push(key)
      const entry = change.type === 'put' ? entryOf(change.item) : undefined
      this.#hold(key, entry?.session ?? '')
      if (entry === undefined) this.#graveyard.add(key, revision)
    }
    if (changed.length > 0) this.#latest = Math.max(this.#latest, revision)
    if (this.#topics.size > 0) for (const key of changed) this.#wake(key)
  }

  #hold(key: string, session: string): void {
    const before = this.#holders.get(key) ?? ''
    if (before === session) return
    if (before !== '') {
      const group = this.#held.get(before)
      group?.delete(key)
      if (group?.size === 0) this.#held.delete(before)
      this.#holders.delete(key)
    }
    if (session === '') return
    this.#holders.set(key, session)
    const group = this.#held.get(session) ?? new Set()
    this.#held.set(session, group.add(key))
  }

  #wake(key: string): void {
    this.#topics.wake(keyTopic(key))
    for (let length = 0; length <= key.length; length++) {
      const topic = prefixTopic(key.slice(0, length))
      if (this.#topics.has(topic)) this.#topics.wake(topic)
    }
  }
}

const none: ReadonlySet<string> = new Set()
