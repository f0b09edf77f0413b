import type { Item, Items, Revision } from '@seamark/core'
import { indexAt } from './index-at.ts'
import { unsignedJson } from './unsigned.ts'

/** What is kept under a key. */
export interface Entry {
  readonly key: string
  readonly value: Uint8Array
  /** 64 bits that mean something to the client only. */
  readonly flags: bigint
  /** How often the key was locked. */
  readonly lockIndex: number
  /** Who holds the lock; empty: nobody. */
  readonly session: string
  /** 0: by the write that is being prepared. So for `modified`. */
  readonly created: Revision
  readonly modified: Revision
}

export const entryPrefix = 'consul/kv/'

const version = 1
/** Version, flags, lock index, length of the session. */
const headBytes = 1 + 8 + 8 + 1

/** The item's value: a short head, and the bytes as they came. */
export function encodeEntry({ value, flags, lockIndex, session }: Entry): Uint8Array {
  const head = Buffer.alloc(headBytes + session.length)
  head.writeUInt8(version, 0)
  head.writeBigUInt64BE(flags, 1)
  head.writeBigUInt64BE(BigInt(lockIndex), 9)
  head.writeUInt8(session.length, 17)
  head.write(session, headBytes, 'latin1')
  return Buffer.concat([head, value])
}

const known = new WeakMap<Item, Entry>()

/** `undefined`: it is none, but something else that somebody wrote there. */
export function entryOf(item: Item): Entry | undefined {
  const before = known.get(item)
  if (before !== undefined) return before
  const { buffer, byteOffset, byteLength } = item.value
  const bytes = Buffer.from(buffer, byteOffset, byteLength)
  const end = headBytes + (bytes[headBytes - 1] ?? 0)
  if (bytes[0] !== version || bytes.length < end) return undefined
  const entry: Entry = {
    key: item.key.slice(entryPrefix.length),
    value: bytes.subarray(end),
    flags: bytes.readBigUInt64BE(1),
    lockIndex: Number(bytes.readBigUInt64BE(9)),
    session: bytes.toString('latin1', headBytes, end),
    created: item.createdRevision,
    modified: item.modifiedRevision,
  }
  known.set(item, entry)
  return entry
}

/** In the order of their keys. */
export function entriesUnder(items: Items, prefix: string): readonly Entry[] {
  return items.list(entryPrefix + prefix).flatMap((item) => entryOf(item) ?? [])
}

/** Whether a write of one over the other would change nothing. */
export function sameEntry(a: Entry, b: Entry): boolean {
  return (
    a.flags === b.flags &&
    a.lockIndex === b.lockIndex &&
    a.session === b.session &&
    Buffer.compare(a.value, b.value) === 0
  )
}

/** As Consul prints it; `revision` is that of the write which made it, where it was just made. */
export function entryJson(entry: Entry, revision: Revision = 0, withValue = true): Record<string, unknown> {
  const { key, value, flags, lockIndex, session, created, modified } = entry
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return {
    LockIndex: lockIndex,
    Key: key,
    Flags: unsignedJson(flags),
    Value: withValue && bytes.length > 0 ? bytes.toString('base64') : null,
    ...(session !== '' && { Session: session }),
    CreateIndex: indexAt(created === 0 ? revision : created),
    ModifyIndex: indexAt(modified === 0 ? revision : modified),
  }
}
