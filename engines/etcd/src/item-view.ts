import { isUtf8 } from 'node:buffer'
import { type Item, type ItemBatch, type ItemChange, type Revision, storedItem } from '@seamark/core'
import type { IEvent, IKeyValue } from 'etcd3'
import { keysBelow } from './key-range.ts'
import type { Skipped } from './skipped.ts'
import type { Subject, View } from './watching.ts'

/** As large as an item may be, a page has at most 100 MB; most have a few kB. */
const pageKeys = 200

/** Items whose keys begin with `prefix`, kept below `root`. */
export function itemSubject(root: string, skipped: Skipped, prefix: string): Subject<ItemBatch> {
  return {
    ranges: [keysBelow(root + prefix)],
    pageKeys,
    view: () => new ItemView(Buffer.byteLength(root), skipped),
  }
}

class ItemView implements View<ItemBatch> {
  /** Bytes of a key that come before the item's own. */
  readonly #rootBytes: number
  readonly #skipped: Skipped
  #listed: Item[] = []
  #revision: Revision = 0

  constructor(rootBytes: number, skipped: Skipped) {
    this.#rootBytes = rootBytes
    this.#skipped = skipped
  }

  get revision(): Revision {
    return this.#revision
  }

  add(kv: IKeyValue): void {
    const item = this.#item(kv)
    if (item !== undefined) this.#listed.push(item)
  }

  reset(revision: Revision): ItemBatch {
    const items = this.#listed
    this.#listed = []
    this.#revision = revision
    return { revision, changes: [{ type: 'reset', items }] }
  }

  apply(events: readonly IEvent[]): ItemBatch | undefined {
    const changes: ItemChange[] = []
    const known = this.#revision
    for (const { type, kv } of events) {
      const revision = Number(kv.mod_revision)
      // A member that is behind may begin earlier than it was asked to (etcd-io/etcd#20221).
      if (revision <= known) continue
      this.#revision = revision
      if (type === 'Put') {
        const item = this.#item(kv)
        if (item !== undefined) changes.push({ type: 'put', item })
      } else changes.push({ type: 'delete', key: this.#key(kv).toString() })
    }
    return this.#revision === known ? undefined : { revision: this.#revision, changes }
  }

  #key({ key }: IKeyValue): Buffer {
    return key.subarray(this.#rootBytes)
  }

  #item(kv: IKeyValue): Item | undefined {
    return this.#skipped.unlessUnreadable(kv, (value) => {
      const key = this.#key(kv)
      if (!isUtf8(key)) throw new Error('its key is no text')
      return storedItem({
        key: key.toString(),
        value,
        createdRevision: Number(kv.create_revision),
        modifiedRevision: Number(kv.mod_revision),
      })
    })
  }
}
