import { limits, type WriteOperation } from '@seamark/core'
import type { ConsulContext } from '../context.ts'
import type { Plan } from '../kv/attempt.ts'
import { lockDelayPrefix, sessionPrefix } from '../kv/draft.ts'
import { encodeEntry, entryPrefix } from '../kv/entry.ts'
import type { Keys } from '../kv/keys.ts'
import { endedSession, type Session } from './session-item.ts'

/** Milliseconds. Locks are delayed for at most a minute, as in Consul (`agent/structs`). */
export const longestLockDelay = 60_000

/** Written at each renewal: every server counts the session's TTL from when it saw that. */
export const renewalPrefix = 'consul/session-renewal/'

export interface ReleaseOptions {
  readonly context: ConsulContext
  readonly keys: Keys
  /** What else ends with a session: groups of operations, each to be done in one write. */
  readonly bound: (session: string) => readonly (readonly WriteOperation[])[]
}

/**
 * Releases what a session that is over still holds, as much as one write takes, and with the last of it removes the session.
 * Answers whether that was all.
 */
export function release({ context, keys, bound }: ReleaseOptions, id: string): Plan<boolean> {
  const name = sessionPrefix + id
  const item = context.items.get(name)
  const session = endedSession(item)
  if (session === undefined) return { operations: [], result: () => true }
  const operations: WriteOperation[] = []
  let bytes = 0
  for (const group of groups({ keys, bound }, id, session)) {
    bytes += group.reduce((sum, operation) => sum + ('value' in operation ? operation.value.length : 0), 0)
    const full = operations.length + group.length > limits.writeOperations - 2 || bytes > limits.writeBytes
    if (full && operations.length > 0) return { operations, result: () => false }
    operations.push(...group)
  }
  operations.push(
    { type: 'delete', key: renewalPrefix + id },
    { type: 'delete', key: name, at: item!.modifiedRevision },
  )
  return { operations, result: () => true }
}

/** One after the other, as values may be large. */
function* groups(
  { keys, bound }: Pick<ReleaseOptions, 'keys' | 'bound'>,
  id: string,
  session: Session,
): Generator<readonly WriteOperation[]> {
  const delay = Math.min(session.LockDelay / 1e6, longestLockDelay)
  for (const key of keys.held(id)) {
    const entry = keys.get(key)
    if (entry === undefined) continue
    const [name, at] = [entryPrefix + key, entry.modified]
    const released: WriteOperation =
      session.Behavior === 'delete'
        ? { type: 'delete', key: name, at }
        : { type: 'put', key: name, value: encodeEntry({ ...entry, session: '' }), at }
    const value = Buffer.from(String(delay))
    yield delay > 0 ? [released, { type: 'put', key: lockDelayPrefix + key, value }] : [released]
  }
  yield* bound(id)
}
