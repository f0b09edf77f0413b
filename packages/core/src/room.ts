import { isDeepStrictEqual } from 'node:util'
import type { ServiceKey } from './names.ts'
import type { Entry, Holder, Revision } from './ports.ts'
import type { Snapshot } from './snapshot.ts'

/** One service in a catalog: the entries by id, and the snapshot that is made of them when somebody asks. */
export class Room {
  readonly key: ServiceKey
  readonly #entries = new Map<string, Entry>()
  readonly #holders = new Map<string, Holder>()
  /** Ids that changed since `#sorted` was made; `undefined`: too many to tell apart. */
  #changed: Set<string> | undefined = new Set()
  #sorted: readonly Entry[] = Object.freeze([])
  #snapshot: Snapshot | undefined
  #revision: Revision = 0
  /** Since when the entries are only kept because the source says there are none. */
  keptSince: number | undefined

  constructor({ namespace, service }: ServiceKey) {
    this.key = Object.freeze({ namespace, service })
  }

  get size(): number {
    return this.#entries.size
  }

  ids(): IterableIterator<string> {
    return this.#entries.keys()
  }

  entry(id: string): Entry | undefined {
    return this.#entries.get(id)
  }

  holders(): Holder[] {
    return [...this.#holders.values()]
  }

  /** Answers whether that changed anything: an equal entry leaves the one that is there, and its snapshot. */
  put(entry: Entry): boolean {
    const { id } = entry.instance
    const before = this.#entries.get(id)
    if (before !== undefined && sameEntry(before, entry)) return false
    this.#entries.set(id, entry)
    this.#mark(id)
    return true
  }

  delete(id: string): boolean {
    if (!this.#entries.delete(id)) return false
    this.#mark(id)
    return true
  }

  claim(holder: Holder): boolean {
    const before = this.#holders.get(holder.name)
    if (before !== undefined && before.fence === holder.fence && before.id === holder.id) return false
    this.#holders.set(holder.name, holder)
    return true
  }

  release(name: string): boolean {
    return this.#holders.delete(name)
  }

  /** After changes: the former snapshot is over. */
  settle(revision: Revision): void {
    this.#revision = revision
    this.#snapshot = undefined
  }

  snapshot(): Snapshot {
    this.#snapshot ??= Object.freeze({
      service: this.key,
      revision: this.#revision,
      entries: this.#sort(),
      holders: Object.freeze(this.holders()),
    })
    return this.#snapshot
  }

  #mark(id: string): void {
    this.#changed?.add(id)
    // Past this, sorting anew is faster than moving elements one by one.
    if (this.#changed !== undefined && this.#changed.size > 16 + this.#entries.size / 64)
      this.#changed = undefined
  }

  #sort(): readonly Entry[] {
    if (this.#changed === undefined) {
      this.#sorted = Object.freeze(
        [...this.#entries.values()].sort((a, b) => (a.instance.id < b.instance.id ? -1 : 1)),
      )
    } else if (this.#changed.size > 0) {
      const sorted = [...this.#sorted]
      for (const id of this.#changed) {
        const at = position(sorted, id)
        const there = sorted[at]?.instance.id === id
        const entry = this.#entries.get(id)
        if (entry === undefined) sorted.splice(at, there ? 1 : 0)
        else sorted.splice(at, there ? 1 : 0, entry)
      }
      this.#sorted = Object.freeze(sorted)
    }
    this.#changed = new Set()
    return this.#sorted
  }
}

/** Where the id is, or belongs, by binary search. */
function position(sorted: readonly Entry[], id: string): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle]!.instance.id < id) low = middle + 1
    else high = middle
  }
  return low
}

/** Revisions alone do not tell: an engine that lost its data counts them anew. */
function sameEntry(a: Entry, b: Entry): boolean {
  return (
    a === b ||
    (a.modifiedRevision === b.modifiedRevision &&
      a.createdRevision === b.createdRevision &&
      isDeepStrictEqual(a.instance, b.instance) &&
      isDeepStrictEqual(a.health, b.health))
  )
}
