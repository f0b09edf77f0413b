import type { Item } from '@seamark/core'
import { indexAt } from '../kv/index-at.ts'

/** A session as Consul prints it, but for its indexes, which are the item's. */
export interface Session {
  readonly ID: string
  readonly Name: string
  readonly Node: string
  /** Nanoseconds. */
  readonly LockDelay: number
  readonly Behavior: 'release' | 'delete'
  /** In Go's notation; empty: it stays until it is destroyed. */
  readonly TTL: string
  readonly NodeChecks: readonly string[] | null
  readonly ServiceChecks: readonly { readonly ID: string; readonly Namespace: string }[] | null
  /** What these were called before there were two kinds. */
  readonly Checks?: readonly string[]
}

interface Kept extends Session {
  /** Its node is one of the servers of this registry, which may come back. */
  readonly atServer?: true
  /** It is over, and its locks are being released. */
  readonly ended?: true
}

const known = new WeakMap<Item, Kept | undefined>()

/** `undefined`: it is none, but something else that somebody wrote there. */
function kept(item: Item): Kept | undefined {
  if (!known.has(item)) known.set(item, decode(item.value))
  return known.get(item)
}

function decode(value: Uint8Array): Kept | undefined {
  try {
    const session = JSON.parse(Buffer.from(value).toString()) as Kept
    return typeof session.ID === 'string' && typeof session.Node === 'string' ? session : undefined
  } catch {
    return undefined
  }
}

/** A session that is not over. */
export function liveSession(item: Item | undefined): Session | undefined {
  const session = item && kept(item)
  return session?.ended ? undefined : session
}

/** A session that is over, whose locks are yet to be released. */
export function endedSession(item: Item | undefined): Session | undefined {
  const session = item && kept(item)
  return session?.ended ? session : undefined
}

/** Whether the session's node is one of the servers. */
export function isAtServer(session: Session): boolean {
  return (session as Kept).atServer === true
}

export function encodeSession(session: Session, atServer: boolean): Uint8Array {
  return Buffer.from(JSON.stringify({ ...session, ...(atServer && { atServer }) }))
}

/** The same, over. */
export function encodeEnded(session: Session): Uint8Array {
  return Buffer.from(JSON.stringify({ ...session, ended: true }))
}

/** As Consul prints it. */
export function sessionJson(item: Item, session: Session): Record<string, unknown> {
  const { ID, Name, Node, LockDelay, Behavior, TTL, NodeChecks, ServiceChecks, Checks } = session
  return {
    ID,
    Name,
    Node,
    LockDelay,
    Behavior,
    TTL,
    NodeChecks,
    ServiceChecks,
    ...(Checks && { Checks }),
    CreateIndex: indexAt(item.createdRevision),
    ModifyIndex: indexAt(item.modifiedRevision),
  }
}
