import {
  type ItemBatch,
  type ItemChange,
  type Revision,
  type Item as StoredItem,
  storedItem,
} from '@seamark/core'
import type { Answer, Item } from './agent.ts'
import type { Keys } from './keys.ts'

export interface ItemViewOptions {
  readonly keys: Keys
  /** Told of each entry that is no item. */
  readonly skipped: (key: string, error: unknown) => void
}

/** By the key of the entry; `undefined` where it is no item. */
type Read = ReadonlyMap<string, { readonly entry: Item; readonly item: StoredItem | undefined }>

/** What a watch of items has shown, and what it has heard since: each answer of Consul is the whole, at an index. */
export class ItemView {
  readonly #keys: Keys
  readonly #skipped: ItemViewOptions['skipped']
  #heard: Read = new Map()
  #shown: Read = this.#heard
  #revision: Revision = 0
  #lost = false
  index = 0
  /** Of the last answer, roughly. */
  bytes = 0

  constructor({ keys, skipped }: ItemViewOptions) {
    this.#keys = keys
    this.#skipped = skipped
  }

  hear({ index, value }: Answer<readonly Item[]>): void {
    // Backward: Consul was restored from a snapshot, or gave up its memory of deletions.
    if (index < this.index) this.#lost = true
    this.index = index
    const before = this.#heard
    const heard = new Map<string, { entry: Item; item: StoredItem | undefined }>()
    this.bytes = 0
    for (const entry of value) {
      this.bytes += entry.Key.length + (entry.Value?.length ?? 0)
      const known = before.get(entry.Key)
      const { Value: _, ...place } = entry
      heard.set(
        entry.Key,
        known !== undefined && isSame(known.entry, entry)
          ? known
          : { entry: { ...place, Value: null }, item: this.#parse(entry) },
      )
    }
    this.#heard = heard
  }

  /** All that was heard. */
  reset(): ItemBatch {
    this.#revision = this.#lost ? this.index : Math.max(this.index, this.#revision)
    this.#lost = false
    this.#shown = this.#heard
    const items = [...this.#shown.values()].flatMap(({ item }) => item ?? [])
    return { revision: this.#revision, changes: [{ type: 'reset', items }] }
  }

  /** What was heard and not shown, if only that the revision went on; `undefined`: nothing. */
  next(): ItemBatch | undefined {
    if (this.#lost) return this.reset()
    const changes = difference(this.#shown, this.#heard)
    if (changes.length === 0 && this.index <= this.#revision) return undefined
    this.#revision = this.index
    this.#shown = this.#heard
    return { revision: this.index, changes }
  }

  #parse({
    Key,
    Value,
    CreateIndex: createdRevision,
    ModifyIndex: modifiedRevision,
  }: Item): StoredItem | undefined {
    try {
      const key = this.#keys.itemKey(Key)
      if (key === undefined) throw new TypeError('it is not the key of an item')
      const value = Buffer.from(Value ?? '', 'base64')
      return storedItem({ key, value, createdRevision, modifiedRevision })
    } catch (error) {
      this.#skipped(Key, error)
      return undefined
    }
  }
}

function isSame(one: Item, other: Item): boolean {
  return one.ModifyIndex === other.ModifyIndex && one.CreateIndex === other.CreateIndex
}

function difference(before: Read, after: Read): ItemChange[] {
  const changes: ItemChange[] = []
  for (const [entry, { item }] of before)
    if (item !== undefined && !after.has(entry)) changes.push({ type: 'delete', key: item.key })
  for (const [entry, { item }] of after)
    if (item !== undefined && before.get(entry)?.item !== item) changes.push({ type: 'put', item })
  return changes
}
