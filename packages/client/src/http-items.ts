import {
  type Clock,
  checkPrefix,
  type Item,
  type ItemBatch,
  type ItemChange,
  type Revision,
  type WriteOperation,
} from '@seamark/core'
import { type Assembly, resumedEvents } from './resumed-events.ts'
import type { Transport } from './transport.ts'

/** An item as the API writes it. */
interface ItemJson {
  readonly key: string
  /** In base64. */
  readonly value: string
  readonly createdRevision: Revision
  readonly modifiedRevision: Revision
}

/** The changes of the items under a prefix. */
export async function* httpItems(
  transport: Transport,
  clock: Clock,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ItemBatch> {
  checkPrefix(prefix)
  const path = `/api/v1/items/watch?${new URLSearchParams({ prefix })}`
  yield* resumedEvents({ transport, clock, path, signal, assembly: () => new PendingItems() })
}

export function encodeOperation(operation: WriteOperation): object {
  if (operation.type !== 'put') return operation
  const { buffer, byteOffset, byteLength } = operation.value
  return { ...operation, value: Buffer.from(buffer, byteOffset, byteLength).toString('base64') }
}

class PendingItems implements Assembly<ItemBatch> {
  #changes: ItemChange[] = []
  #reset: Map<string, Item> | undefined

  add(event: string, data: unknown): void {
    if (event === 'reset') this.#reset = new Map()
    else if (event === 'put') this.#put(decodeItem(data as ItemJson))
    else if (event === 'delete') this.#delete((data as Pick<ItemJson, 'key'>).key)
  }

  batch(revision: Revision): ItemBatch {
    if (this.#reset === undefined) return { revision, changes: this.#changes }
    return { revision, changes: [{ type: 'reset', items: [...this.#reset.values()] }] }
  }

  #put(item: Item): void {
    if (this.#reset) this.#reset.set(item.key, item)
    else this.#changes.push({ type: 'put', item })
  }

  #delete(key: string): void {
    if (this.#reset) this.#reset.delete(key)
    else this.#changes.push({ type: 'delete', key })
  }
}

function decodeItem({ key, value, createdRevision, modifiedRevision }: ItemJson): Item {
  const bytes = new Uint8Array(Buffer.from(value, 'base64'))
  return Object.freeze({ key, value: bytes, createdRevision, modifiedRevision })
}
