import type { Revision, WriteOperation } from '@seamark/core'

/** Of an item that is there, what a transaction has to know. */
export interface KnownItem {
  readonly created: Revision
  readonly modified: Revision
}

/** Rows to write, as they are in the end. */
export interface ItemWrites {
  readonly put: readonly (KnownItem & { readonly key: string; readonly value: Uint8Array })[]
  readonly gone: readonly { readonly key: string; readonly revision: Revision }[]
}

/** The items that a transaction is about, and what becomes of them. */
export class ItemDraft {
  readonly #known: Map<string, KnownItem>
  readonly #put = new Map<string, Uint8Array>()
  readonly #gone = new Map<string, Revision>()

  constructor(known: ReadonlyMap<string, KnownItem>) {
    this.#known = new Map(known)
  }

  /** As `Store.write`; the revision is what `advance` gives. */
  write(operations: readonly WriteOperation[], advance: () => Revision): Revision | undefined {
    for (const { key, at } of operations)
      if (at !== undefined && at !== (this.#known.get(key)?.modified ?? 0)) return undefined
    const effective = operations.filter(
      ({ type, key }) => type === 'put' || (type === 'delete' && this.#known.has(key)),
    )
    if (effective.length === 0) return 0
    const revision = advance()
    for (const operation of effective)
      if (operation.type === 'put') this.#putItem(operation.key, operation.value, revision)
      else this.#deleteItem(operation.key, revision)
    return revision
  }

  /** What to write; `undefined`: nothing. */
  writes(): ItemWrites | undefined {
    if (this.#put.size + this.#gone.size === 0) return undefined
    return {
      put: [...this.#put].map(([key, value]) => ({ key, value, ...this.#known.get(key)! })),
      gone: [...this.#gone].map(([key, revision]) => ({ key, revision })),
    }
  }

  #putItem(key: string, value: Uint8Array, revision: Revision): void {
    this.#known.set(key, { created: this.#known.get(key)?.created ?? revision, modified: revision })
    this.#put.set(key, value)
    this.#gone.delete(key)
  }

  #deleteItem(key: string, revision: Revision): void {
    this.#known.delete(key)
    this.#put.delete(key)
    this.#gone.set(key, revision)
  }
}
