import type { Revision } from '@seamark/core'
import { ConsulError } from './answer.ts'
import type { Ask, Question } from './ask.ts'
import type { ConsulContext } from './context.ts'
import { goDuration } from './go-duration.ts'

/** Milliseconds; Consul's (`agent/consul/rpc.go`). */
const defaultWait = 300_000
const longestWait = 600_000
/** Consul waits up to a sixteenth longer, so that those who began together do not come back together. */
const jitter = 1 / 16
const jitterSteps = 16

/** How a read wants to be done: what all of Consul's reads understand. */
export interface Reading {
  /** What the client knows already; 0: it does not wait. */
  readonly index: Revision
  /** Milliseconds. */
  readonly wait: number
  readonly consistency: 'leader' | 'consistent' | 'stale'
  readonly cached: boolean
}

/** What was read, and the index to wait from. */
export interface Seen<T> {
  readonly index: Revision
  readonly value: T
}

/** Throws what Consul says to parameters that it cannot read. */
export function reading(context: Pick<ConsulContext, 'settings'>, ask: Question): Reading {
  const consistent = ask.has('consistent')
  const cached = ask.has('cached')
  if (ask.has('stale') && consistent)
    throw new ConsulError(400, 'Cannot specify ?stale with ?consistent, conflicting semantics.')
  if (cached && consistent)
    throw new ConsulError(400, 'Cannot specify ?cached with ?consistent, conflicting semantics.')
  const waiting = waitOf(ask)
  knownDatacenter(context, ask)
  return {
    ...waiting,
    consistency: consistent ? 'consistent' : ask.has('stale') ? 'stale' : 'leader',
    cached,
  }
}

/** `?index=` and `?wait=`, as Consul reads them. */
export function waitOf(ask: Question): { readonly index: Revision; readonly wait: number } {
  const [asked, known] = [ask.get('wait'), ask.get('index')]
  const wait = asked === '' ? defaultWait : goDuration(asked)
  if (wait === undefined) throw new ConsulError(400, 'Invalid wait time')
  // 20 digits are as many as 64 bits can have.
  if (known !== '' && !/^\d{1,20}$/.test(known)) throw new ConsulError(400, 'Invalid index')
  return { index: Number(known), wait: Math.min(wait <= 0 ? defaultWait : wait, longestWait) }
}

/** There is only one datacenter. */
export function knownDatacenter({ settings }: Pick<ConsulContext, 'settings'>, ask: Question): void {
  const asked = ask.get('dc')
  if (asked !== '' && asked !== settings.datacenter) throw new ConsulError(500, 'No path to datacenter')
}

/**
 * Looks, and when the client knows that already, waits until one of the topics changes so that the index is higher, or
 * until its time is over: then it gets what there is. An index higher than all that was ever written here is of another
 * life of the registry, and answered at once, so that the client begins anew.
 */
export async function blocking<T>(
  context: ConsulContext,
  ask: Ask,
  { index, wait }: Pick<Reading, 'index' | 'wait'>,
  topics: readonly string[],
  look: () => Seen<T>,
): Promise<Seen<T>> {
  let seen = look()
  const highest = Math.max(context.revision, seen.index)
  if (index === 0 || seen.index > index || index > highest) return seen
  const changed = () => {
    seen = look()
    return seen.index > index
  }
  await context.topics.until(topics, changed, waitTime(wait), ask.closed)
  return look()
}

/**
 * Milliseconds that one who asks for `wait` really waits. Of a few different lengths only: timers of the same length cost
 * next to nothing.
 */
export function waitTime(wait: number): number {
  return wait * (1 + (Math.floor(Math.random() * jitterSteps) / jitterSteps) * jitter)
}

/** What Consul says of a read in headers. */
export function readHeaders(
  context: ConsulContext,
  how: Pick<Reading, 'consistency' | 'cached'>,
  index?: Revision,
): Record<string, string> {
  return { 'X-Consul-Effective-Consistency': how.consistency, ...plainHeaders(context, how, index) }
}

/** The same where Consul does not say how consistent it is. */
export function plainHeaders(
  { server, revision }: ConsulContext,
  { cached }: Pick<Reading, 'cached'>,
  index: Revision = revision,
): Record<string, string> {
  const { staleSince } = server.catalog
  return {
    'X-Consul-Index': String(Math.max(1, index)),
    'X-Consul-Knownleader': String(staleSince === undefined),
    'X-Consul-Lastcontact': String(
      staleSince === undefined ? 0 : Math.max(0, server.clock.date() - staleSince),
    ),
    // All is answered from a replica that is told of every change.
    ...(cached && { 'X-Cache': 'HIT', Age: '0' }),
  }
}
