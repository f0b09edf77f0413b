import { type Item, type Items, limits, type Revision, type WriteOperation } from '@seamark/core'
import { ConsulError } from '../answer.ts'
import { type Entry, encodeEntry, entriesUnder, entryOf, entryPrefix } from './entry.ts'

interface Touched {
  readonly before: Item | undefined
  /** `undefined`: removed, or not there. */
  entry: Entry | undefined
  changed: boolean
}

/** Items that say that a key may not be locked yet. */
export const lockDelayPrefix = 'consul/lock-delay/'
export const sessionPrefix = 'consul/session/'

/**
 * Changes of keys that are to become true together, over what the replica shows. Whatever was looked at becomes a comparison
 * of the write, so that the write happens only if it was looked at right.
 */
export class Draft {
  readonly #items: Items
  readonly #entries = new Map<string, Touched>()
  readonly #compared = new Map<string, Revision>()

  constructor(items: Items) {
    this.#items = items
  }

  entry(key: string): Entry | undefined {
    return this.#touch(key).entry
  }

  put(entry: Entry): void {
    const touched = this.#touch(entry.key)
    touched.entry = entry
    touched.changed = true
  }

  remove(key: string): void {
    const touched = this.#touch(key)
    touched.changed = touched.before !== undefined
    touched.entry = undefined
  }

  /** In the order of their keys. Not compared: it is as the replica shows it. */
  tree(prefix: string): readonly Entry[] {
    const entries = new Map(entriesUnder(this.#items, prefix).map((entry) => [entry.key, entry]))
    for (const [key, { entry }] of this.#entries) {
      if (!key.startsWith(prefix)) continue
      if (entry === undefined) entries.delete(key)
      else entries.set(key, entry)
    }
    return [...entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  /** The item of this name, compared. */
  item(name: string): Item | undefined {
    const item = this.#items.get(name)
    this.#compared.set(name, item?.modifiedRevision ?? 0)
    return item
  }

  /** What to write; without `changes`, only whether all is still as it was looked at. Throws 413. */
  operations(changes = true): WriteOperation[] {
    const operations: WriteOperation[] = []
    for (const [name, at] of this.#compared) operations.push({ type: 'check', key: name, at })
    for (const [key, { before, entry, changed }] of this.#entries) {
      const at = before?.modifiedRevision ?? 0
      const name = entryPrefix + key
      if (!changed || !changes) operations.push({ type: 'check', key: name, at })
      else if (entry !== undefined) operations.push({ type: 'put', key: name, value: encodeEntry(entry), at })
      else if (before !== undefined) operations.push({ type: 'delete', key: name, at })
      else operations.push({ type: 'check', key: name, at: 0 })
    }
    if (operations.length > limits.writeOperations)
      throw new ConsulError(
        413,
        `The transaction concerns ${operations.length} keys, sessions and lock delays: at most ${limits.writeOperations} can change together.`,
      )
    return operations
  }

  #touch(key: string): Touched {
    const known = this.#entries.get(key)
    if (known !== undefined) return known
    const before = this.#items.get(entryPrefix + key)
    const touched: Touched = { before, entry: before && entryOf(before), changed: false }
    this.#entries.set(key, touched)
    return touched
  }
}
