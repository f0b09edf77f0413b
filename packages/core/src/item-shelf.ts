import { put, remove, type Transaction } from './commits.ts'
import type { Item, ItemBatch, ItemChange, Revision, WriteOperation } from './ports.ts'

/** The items of an embedded engine. */
export class ItemShelf {
  readonly #items = new Map<string, Item>()

  load(items: Iterable<Item>): void {
    for (const item of items) this.#items.set(item.key, item)
  }

  /** Answers the revision, which `advance` gives; 0 when nothing had to change, `undefined` when a comparison did not hold. */
  write(
    transaction: Transaction & { readonly itemChanges: ItemChange[] },
    operations: readonly WriteOperation[],
    advance: () => Revision,
  ): Revision | undefined {
    for (const { key, at } of operations)
      if (at !== undefined && at !== (this.#items.get(key)?.modifiedRevision ?? 0)) return undefined
    const effective = operations.filter(
      ({ type, key }) => type === 'put' || (type === 'delete' && this.#items.has(key)),
    )
    if (effective.length === 0) return 0
    const revision = advance()
    for (const operation of effective)
      if (operation.type === 'put') {
        const { key } = operation
        const createdRevision = this.#items.get(key)?.createdRevision ?? revision
        // A copy: what the writer does with its bytes later is not written.
        const value = Uint8Array.from(operation.value)
        const item: Item = Object.freeze({ key, value, createdRevision, modifiedRevision: revision })
        put(transaction, this.#items, key, item)
        transaction.writes.push({ type: 'put-item', item })
        transaction.itemChanges.push({ type: 'put', item })
      } else {
        const { key } = operation
        remove(transaction, this.#items, key)
        transaction.writes.push({ type: 'delete-item', key })
        transaction.itemChanges.push({ type: 'delete', key })
      }
    return revision
  }

  reset(prefix: string, revision: Revision): ItemBatch {
    const items = [...this.#items.values()].filter(({ key }) => key.startsWith(prefix))
    return { revision, changes: [{ type: 'reset', items }] }
  }
}

/** What of a batch is under the prefix. */
export function under(prefix: string): (batch: ItemBatch) => ItemBatch | undefined {
  return (batch) => {
    const changes = batch.changes.filter((change) => itemKey(change).startsWith(prefix))
    return changes.length === 0 ? undefined : { revision: batch.revision, changes }
  }
}

function itemKey(change: ItemChange): string {
  if (change.type === 'put') return change.item.key
  return change.type === 'delete' ? change.key : ''
}
