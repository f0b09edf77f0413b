import { type Clock, Mailbox, type Revision, type Timer } from '@seamark/core'
import { castGrpcError, type IEvent, type IWatchResponse } from 'etcd3'
import type { Cluster } from './cluster.ts'
import type { KeyRange } from './key-range.ts'
import type { WatchStream } from './member.ts'

export type News =
  | { readonly type: 'events'; readonly events: readonly IEvent[] }
  /** The member watches. */
  | { readonly type: 'begun' }
  /** The history begins after the revision asked for: only a new listing helps. */
  | { readonly type: 'compacted' }
  /** The stream is over. */
  | { readonly type: 'lost'; readonly error: unknown }

/** Events that may wait for a reader, a large one being as many as it has pages; past that a listing has to come again. */
const bound = 10_000
/** Bytes. */
const page = 4_096
/** Milliseconds that a member has to begin. */
const beginning = 2_000

/**
 * One watch of etcd, from a revision on, as long as its stream lasts. It is read at once, whatever the reader does: a
 * stream that waits would hold up all that shares its connection.
 *
 * The driver's own watcher is not used. When its stream breaks, it goes on after the revision in the *header* of the last
 * answer, which is that of the whole store: events that the member had yet to send are never seen.
 */
export class Feed {
  readonly #mailbox = new Mailbox<News>(bound, weight)
  readonly #timer: Timer
  #stream: WatchStream | undefined
  #failed: (() => void) | undefined
  #closed = false

  constructor(cluster: Cluster, clock: Clock, { from, end }: KeyRange, revision: Revision) {
    this.#timer = clock.after(beginning, () => this.#lose(new Error(`no watch began within ${beginning} ms`)))
    const request = { key: from, range_end: end, start_revision: revision }
    cluster.watch().then(
      ({ stream, failed }) => this.#read(stream, failed, request),
      (error) => this.#lose(error),
    )
  }

  /** `'overflow'`: the reader was too slow; `undefined`: closed. */
  take(): Promise<News | 'overflow' | undefined> {
    return this.#mailbox.take()
  }

  close(): void {
    this.#closed = true
    this.#timer.cancel()
    this.#mailbox.close()
    this.#stream?.cancel()
  }

  #read(stream: WatchStream, failed: () => void, create_request: object): void {
    // A stream that ends by `close` says so with an error, too.
    stream.on('error', (error) => this.#lose(castGrpcError(error)))
    this.#stream = stream
    if (this.#closed) {
      stream.cancel()
      return
    }
    this.#failed = failed
    stream.on('end', () => this.#lose(new Error('the member ended the watch')))
    stream.on('data', (response) => this.#take(response))
    stream.write({ create_request })
  }

  #take(response: IWatchResponse): void {
    this.#timer.cancel()
    const { canceled, compact_revision, cancel_reason, created, events } = response
    if (canceled && compact_revision !== '0') this.#mailbox.put({ type: 'compacted' })
    else if (canceled) this.#lose(new Error(cancel_reason))
    else if (created) this.#mailbox.put({ type: 'begun' })
    if (events.length > 0) this.#mailbox.put({ type: 'events', events })
  }

  #lose(error: unknown): void {
    this.#timer.cancel()
    if (this.#closed) return
    this.#failed?.()
    this.#mailbox.put({ type: 'lost', error })
  }
}

function weight(news: News): number {
  if (news.type !== 'events') return 0
  return news.events.reduce((sum, { kv }) => sum + Math.max(1, Math.ceil(kv.value.length / page)), 0)
}
