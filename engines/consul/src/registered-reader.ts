import { type Entry, type Holder, type InstanceKey, instanceId, type ServiceKey } from '@seamark/core'
import type { Item } from './agent.ts'
import type { Keys } from './keys.ts'
import { type ClaimRecord, claimRecord, entry, type InstanceRecord, instanceRecord } from './record.ts'

/** What Seamark's part of Consul's KV store says at one index. */
export interface Registered {
  /** By `instanceId`. */
  readonly entries: ReadonlyMap<string, Entry>
  /** By `instanceId`, with the claim's name as the id. */
  readonly holders: ReadonlyMap<string, Holder>
}

interface Read {
  readonly modifyIndex: number
  readonly createIndex: number
  readonly instance?: { readonly entry: Entry; readonly lease: string }
  readonly claim?: { readonly holder: Holder; readonly lease: string }
}

/** Reads listings of entries; what did not change since the last one is not read again, and stays the same object. */
export class RegisteredReader {
  readonly #keys: Keys
  readonly #covers: (key: ServiceKey) => boolean
  readonly #skipped: (key: string, error: unknown) => void
  #read = new Map<string, Read>()

  constructor(
    keys: Keys,
    covers: (key: ServiceKey) => boolean,
    skipped: (key: string, error: unknown) => void,
  ) {
    this.#keys = keys
    this.#covers = covers
    this.#skipped = skipped
  }

  fold(items: readonly Item[]): Registered {
    const read = new Map<string, Read>()
    const entries = new Map<string, Entry>()
    const leases = new Map<string, string>()
    const claims: Required<Read>['claim'][] = []
    for (const item of items) {
      const before = this.#read.get(item.Key)
      const one =
        before?.modifyIndex === item.ModifyIndex && before.createIndex === item.CreateIndex
          ? before
          : this.#parse(item)
      read.set(item.Key, one)
      if (one.instance !== undefined && this.#covers(one.instance.entry.instance)) {
        const id = instanceId(one.instance.entry.instance)
        entries.set(id, one.instance.entry)
        leases.set(id, one.instance.lease)
      } else if (one.claim !== undefined && this.#covers(one.claim.holder)) claims.push(one.claim)
    }
    this.#read = read
    // A claim whose lease is not the instance's any more is over, whether or not its entry was removed yet.
    const held = claims.filter(({ holder, lease }) => leases.get(instanceId(holder)) === lease)
    const holders = new Map(held.map(({ holder }) => [claimId(holder), holder]))
    return { entries, holders }
  }

  #parse(item: Item): Read {
    const read = { modifyIndex: item.ModifyIndex, createIndex: item.CreateIndex }
    try {
      const record = storedRecord(this.#keys, item)
      if ('name' in record) return { ...read, claim: { holder: holderOf(record, item), lease: record.lease } }
      return { ...read, instance: { entry: entry(record, item), lease: record.lease } }
    } catch (error) {
      this.#skipped(item.Key, error)
      return read
    }
  }
}

/** Throws when the entry is no record, or one of something else than its key says. */
export function storedRecord(keys: Keys, { Key, Value }: Item): InstanceRecord | ClaimRecord {
  const isClaim = Key.startsWith(keys.services) && Key.split('/').at(-2) === 'claims'
  const record = isClaim ? claimRecord(Value) : instanceRecord(Value)
  const expected = 'name' in record ? keys.claim(record) : keys.instance(record.instance)
  if (expected !== Key) throw new TypeError('the record is of another key')
  return record
}

export function holderOf(
  { namespace, service, id, name }: ClaimRecord,
  { CreateIndex }: Pick<Item, 'CreateIndex'>,
): Holder {
  return Object.freeze({ namespace, service, id, name, fence: CreateIndex })
}

export function claimId(holder: InstanceKey & { readonly name: string }): string {
  return instanceId({ ...holder, id: holder.name })
}
