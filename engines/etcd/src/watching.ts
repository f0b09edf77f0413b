import { Backoff, type Clock, type Revision, sleep } from '@seamark/core'
import type { IEvent, IKeyValue, IResponseHeader } from 'etcd3'
import { type Cluster, mostOperations, revisionOf } from './cluster.ts'
import { Feed } from './feed.ts'
import { after, type KeyRange, span } from './key-range.ts'

/** Streams that may break in a row before they have begun. */
const mostFailures = 3

export interface Watching {
  readonly cluster: Cluster
  readonly clock: Clock
}

/** What a watch is of. */
export interface Subject<B> {
  readonly ranges: readonly KeyRange[]
  /** Keys in one answer of a listing. */
  readonly pageKeys: number
  /** A new one for each listing. */
  view(): View<B>
}

/** The state that a watch shows, folded from what etcd tells. */
export interface View<B> {
  /** Up to where it is known. */
  readonly revision: Revision
  /** A part of a listing. */
  add(kv: IKeyValue): void
  /** Ends a listing. */
  reset(revision: Revision): B
  /** What the events change; `undefined` if it is nothing that is shown. Events that are known already are left out. */
  apply(events: readonly IEvent[]): B | undefined
}

/**
 * Lists, then follows from the listing's revision on: without a gap over streams that break, and with another listing
 * where the history is gone. Several services are followed as the one range that holds them all, so that what etcd tells
 * arrives in the order of its revisions. Ends when `signal` aborts.
 */
export async function* watching<B>(
  world: Watching,
  subject: Subject<B>,
  signal: AbortSignal,
): AsyncGenerator<B> {
  const range = span(subject.ranges)
  while (!signal.aborted) {
    const view = subject.view()
    const listed = await unlessAborted(list(world.cluster, subject, view), signal)
    if (listed === undefined) return
    const reset = view.reset(revisionOf(listed))
    if (range !== undefined) yield* following(world, range, view, listed, reset, signal)
    else {
      yield reset
      await aborted(signal)
    }
  }
}

/** Yields the reset, and what follows on it. Ends when only another listing helps. */
async function* following<B>(
  { cluster, clock }: Watching,
  range: KeyRange,
  view: View<B>,
  listed: IResponseHeader,
  reset: B,
  signal: AbortSignal,
): AsyncGenerator<B> {
  const backoff = new Backoff({ first: 50, most: 1_000 })
  let failures = 0
  let first: B | undefined = reset
  for (;;) {
    const feed = new Feed(cluster, clock, range, view.revision + 1)
    const close = () => feed.close()
    signal.addEventListener('abort', close, { once: true })
    // It may have aborted while the last answer was on its way here.
    if (signal.aborted) close()
    try {
      if (first !== undefined) yield first
      first = undefined
      for (;;) {
        const news = await feed.take()
        if (news === undefined || news === 'overflow' || news.type === 'compacted') return
        if (news.type === 'lost') {
          if (++failures > mostFailures) throw cluster.unavailable(news.error)
          break
        }
        failures = 0
        backoff.reset()
        const batch = news.type === 'events' ? view.apply(news.events) : undefined
        if (batch !== undefined) yield batch
      }
    } finally {
      signal.removeEventListener('abort', close)
      feed.close()
    }
    await sleep(clock, backoff.next(), signal).catch(() => undefined)
    const now = signal.aborted ? undefined : await unlessAborted(cluster.header(), signal)
    if (now === undefined || !follows(now, listed, view.revision)) return
  }
}

/** Whether this is the same history, and further on: data that were lost, or restored from a copy, begin anew. */
function follows(now: IResponseHeader, then: IResponseHeader, revision: Revision): boolean {
  return now.cluster_id === then.cluster_id && revisionOf(now) >= revision
}

/** Reads all ranges at one revision, in pages. Answers the header of the first page. */
async function list(
  cluster: Cluster,
  { ranges, pageKeys }: Subject<unknown>,
  view: View<unknown>,
): Promise<IResponseHeader> {
  let first: IResponseHeader | undefined
  const open = [...ranges]
  do {
    const asked = open.splice(0, mostOperations)
    const limit = Math.ceil(pageKeys / Math.max(1, asked.length))
    const { header, pages } = await cluster.read(
      asked.map((keys) => ({ keys })),
      {
        limit,
        ...(first && { revision: revisionOf(first) }),
      },
    )
    first ??= header
    for (const [index, { kvs, more }] of pages.entries()) {
      for (const kv of kvs) view.add(kv)
      if (more) open.push(after(kvs.at(-1)!.key, asked[index]!))
    }
  } while (open.length > 0)
  return first
}

/** What came of it, or `undefined` as soon as the signal aborts: then nobody waits for it any more. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  promise.catch(() => undefined)
  const waiting = new AbortController()
  try {
    return await Promise.race([promise, aborted(signal, waiting.signal)])
  } finally {
    waiting.abort()
  }
}

function aborted(signal: AbortSignal, unless?: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(undefined)
    const end = () => {
      signal.removeEventListener('abort', end)
      resolve(undefined)
    }
    signal.addEventListener('abort', end, { once: true })
    unless?.addEventListener('abort', end, { once: true })
  })
}
