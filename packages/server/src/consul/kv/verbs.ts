import { ConsulError } from '../answer.ts'
import { quote } from '../filter/quote.ts'
import { liveSession } from '../session/session-item.ts'
import { type Draft, lockDelayPrefix, sessionPrefix } from './draft.ts'
import { type Entry, sameEntry } from './entry.ts'
import { indexAt } from './index-at.ts'

/** What a client says of a key. */
export interface Wanted {
  readonly key: string
  readonly value: Uint8Array
  readonly flags: bigint
  readonly session: string
  /** What it compares with. */
  readonly index: bigint
}

/** The holder of a lock keeps it; what counted its locks does not survive a plain write, as in Consul. */
export function set(draft: Draft, { key, value, flags }: Wanted): true {
  const before = draft.entry(key)
  write(draft, { key, value, flags, lockIndex: 0, session: before?.session ?? '' })
  return true
}

/** `false`: the key was changed since; 0 stands for a key that is not there. */
export function cas(draft: Draft, wanted: Wanted): boolean {
  const before = draft.entry(wanted.key)
  if (before === undefined ? wanted.index !== 0n : !isAt(before, wanted.index)) return false
  return set(draft, wanted)
}

/** `false`: another session holds the lock. Throws when the session is none. */
export function lock(draft: Draft, { key, value, flags, session }: Wanted): boolean {
  if (session === '') throw new ConsulError(500, 'missing session')
  if (!sessionExists(draft, session)) throw new ConsulError(500, `invalid session ${quote(session)}`)
  const before = draft.entry(key)
  if (before !== undefined && before.session !== '' && before.session !== session) return false
  const lockIndex = before?.session === session ? before.lockIndex : (before?.lockIndex ?? 0) + 1
  write(draft, { key, value, flags, lockIndex, session })
  return true
}

/** `false`: the session does not hold the lock. */
export function unlock(draft: Draft, { key, value, flags, session }: Wanted): boolean {
  if (session === '') throw new ConsulError(500, 'missing session')
  const before = draft.entry(key)
  if (before === undefined || before.session !== session) return false
  write(draft, { key, value, flags, lockIndex: before.lockIndex, session: '' })
  return true
}

/** Whether a session that held the lock ended so recently that nobody may lock the key yet. */
export function isDelayed(draft: Draft, key: string): boolean {
  return draft.item(lockDelayPrefix + key) !== undefined
}

/** `false`: the key was changed since. One that is not there is gone already. */
export function removeCas(draft: Draft, { key, index }: Wanted): boolean {
  const before = draft.entry(key)
  if (before === undefined) return true
  if (!isAt(before, index)) return false
  draft.remove(key)
  return true
}

export function removeTree(draft: Draft, prefix: string): void {
  for (const { key } of draft.tree(prefix)) draft.remove(key)
}

function sessionExists(draft: Draft, id: string): boolean {
  const problem = uuidProblem(id)
  if (problem !== undefined) throw new ConsulError(500, `failed session lookup: index error: ${problem}`)
  return liveSession(draft.item(sessionPrefix + id)) !== undefined
}

/** Why it is no UUID, in the words of Consul's database. */
export function uuidProblem(id: string): string | undefined {
  if (Buffer.byteLength(id) !== 36) return 'UUID must be 36 characters'
  const hyphens = id.split('-').length - 1
  if (hyphens > 4) return `UUID should have maximum of 4 "-"; got ${hyphens}`
  const digits = id.replaceAll('-', '')
  if (digits.length % 2 !== 0) return 'UUID (without hyphens) must be even length'
  const wrong = /[^0-9a-fA-F]/.exec(digits)?.[0]
  return wrong && `Invalid UUID: encoding/hex: invalid byte: U+${codePoint(wrong)} '${wrong}'`
}

function codePoint(character: string): string {
  return character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')
}

/** What the same transaction wrote is at no index that is known yet. */
export function isAt({ modified }: Entry, index: bigint): boolean {
  return modified !== 0 && index === BigInt(indexAt(modified))
}

function write(draft: Draft, wanted: Omit<Entry, 'created' | 'modified'>): void {
  const before = draft.entry(wanted.key)
  const entry: Entry = { ...wanted, created: before?.created ?? 0, modified: 0 }
  if (before === undefined || !sameEntry(before, entry)) draft.put(entry)
}
