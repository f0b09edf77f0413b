import type { Clock } from './clock.ts'
import { Contact } from './contact.ts'
import type { Item, ItemBatch, ItemChange, Notify, Revision, Store } from './ports.ts'

/** A change of one item, as against a reset of all. */
export type SingleItemChange = Exclude<ItemChange, { type: 'reset' }>

/** What one batch came to. A reset is told as the difference it made. */
export interface ItemsUpdate {
  readonly revision: Revision
  readonly changes: readonly SingleItemChange[]
}

/** The in-memory replica of a store's items under a prefix. Synchronous once warm; it never writes. */
export interface Items extends AsyncDisposable {
  /** Highest revision applied: of changes of these items, not of the registry's. */
  readonly revision: Revision
  /** Milliseconds since 1970 when the store was lost; `undefined` while in contact. What was known stays. */
  readonly staleSince: number | undefined
  readonly size: number
  get(key: string): Item | undefined
  /** Those whose keys begin with `prefix`, in the order of their keys (by UTF-16 code units). */
  list(prefix: string): readonly Item[]
  /** Resolves once the store has told what there is. */
  warm(signal?: AbortSignal): Promise<void>
  /** Resolves once this revision, which a write of these items answered, is applied. */
  reached(revision: Revision, signal?: AbortSignal): Promise<void>
  /** Calls back after each batch that changed something, in the order in which they were applied. */
  subscribe(listener: (update: ItemsUpdate) => void): Disposable
}

export interface ItemsOptions {
  /** Default the system's. */
  clock?: Clock
  /** Default: nobody is told. */
  notify?: Notify
}

/** A replica of everything under a prefix; an empty one covers all items. */
export function items(store: Pick<Store, 'watchItems'>, prefix: string, options: ItemsOptions = {}): Items {
  return new ItemReplica(store, prefix, options)
}

class ItemReplica implements Items {
  readonly #contact: Contact<ItemsUpdate>
  readonly #items = new Map<string, Item>()
  /** All keys in order; made when somebody lists. */
  #keys: string[] | undefined
  #warm = false
  revision: Revision = 0

  constructor(store: Pick<Store, 'watchItems'>, prefix: string, options: ItemsOptions) {
    this.#contact = new Contact(options)
    this.#contact.follow(
      (signal) => store.watchItems(prefix, signal),
      (batch) => this.#apply(batch),
    )
  }

  get staleSince(): number | undefined {
    return this.#contact.staleSince
  }

  get size(): number {
    return this.#items.size
  }

  get(key: string): Item | undefined {
    return this.#items.get(key)
  }

  list(prefix: string): readonly Item[] {
    this.#keys ??= [...this.#items.keys()].sort()
    const found: Item[] = []
    for (let at = position(this.#keys, prefix); this.#keys[at]?.startsWith(prefix); at++)
      found.push(this.#items.get(this.#keys[at]!)!)
    return found
  }

  warm(signal?: AbortSignal): Promise<void> {
    return this.#contact.wait(() => this.#warm, signal)
  }

  reached(revision: Revision, signal?: AbortSignal): Promise<void> {
    return this.#contact.wait(() => this.revision >= revision, signal)
  }

  subscribe(listener: (update: ItemsUpdate) => void): Disposable {
    return this.#contact.subscribe(listener)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#contact.close()
  }

  #apply({ revision, changes }: ItemBatch): void {
    this.#warm = true
    const made = changes.flatMap((change) => this.#change(change))
    const renewed = changes.some(({ type }) => type === 'reset')
    this.revision = renewed ? revision : Math.max(this.revision, revision)
    if (made.length > 0) this.#contact.tell({ revision, changes: made })
  }

  #change(change: ItemChange): SingleItemChange[] {
    if (change.type === 'reset') return this.#reset(change.items)
    const before = this.#items.get(change.type === 'put' ? change.item.key : change.key)
    if (change.type === 'put') {
      if (before?.modifiedRevision === change.item.modifiedRevision) return []
      this.#items.set(change.item.key, change.item)
      if (before === undefined) this.#insert(change.item.key)
    } else {
      if (before === undefined) return []
      this.#items.delete(change.key)
      this.#keys?.splice(position(this.#keys, change.key), 1)
    }
    return [change]
  }

  /** Revisions alone do not tell: a store that lost its data counts them anew. */
  #reset(items: readonly Item[]): SingleItemChange[] {
    const present = new Set(items.map(({ key }) => key))
    const gone = [...this.#items.keys()].filter((key) => !present.has(key))
    for (const key of gone) this.#items.delete(key)
    const changed = items.filter((item) => {
      const before = this.#items.get(item.key)
      this.#items.set(item.key, item)
      return before === undefined || !same(before, item)
    })
    this.#keys = undefined
    return [
      ...gone.map((key) => ({ type: 'delete', key }) as const),
      ...changed.map((item) => ({ type: 'put', item }) as const),
    ]
  }

  #insert(key: string): void {
    this.#keys?.splice(position(this.#keys, key), 0, key)
  }
}

/** Where the key is, or belongs, by binary search. */
function position(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (keys[middle]! < key) low = middle + 1
    else high = middle
  }
  return low
}

function same(a: Item, b: Item): boolean {
  return (
    a.modifiedRevision === b.modifiedRevision &&
    a.createdRevision === b.createdRevision &&
    Buffer.compare(a.value, b.value) === 0
  )
}
