import type { Revision } from '@seamark/core'
import type { Session } from './session.ts'

export interface ReadingOptions {
  readonly session: Session
  /** What the handle wrote or showed before: shared by its watches, so that no reset goes back behind it. */
  readonly known: { revision: Revision }
  /**
   * Rounds of reading that may end with news before what is known is shown nevertheless: then it may hold half of a
   * transaction. Default never.
   */
  readonly patientRounds?: number
}

/**
 * Reads nodes, and reads them again when they changed, by watches on each of them. These are one-shot: what fired is marked, and
 * read again with a new watch, which leaves no gap. Nothing waits in a queue: a slow reader finds more marks, and
 * gets the difference to what it was shown last.
 *
 * ZooKeeper tells of a transaction before it answers anything from after it. So when nothing is marked at the end of a round of
 * reading, all transactions up to the last answer are known, and that one's zxid is the revision of what is shown.
 */
export class Reading {
  readonly #session: Session
  readonly #known: ReadingOptions['known']
  readonly #patientRounds: number
  /** What reads a node again, by path. */
  readonly #readers = new Map<string, () => Promise<void>>()
  #marked = new Set<string>()
  #wake: (() => void) | undefined
  /** Of what was shown last. */
  #revision: Revision = -1
  /** Whether more was seen than the revision shown says. */
  #behind = false

  constructor({ session, known, patientRounds = Number.POSITIVE_INFINITY }: ReadingOptions) {
    this.#session = session
    this.#known = known
    this.#patientRounds = patientRounds
  }

  /**
   * What `show` makes of what was read, at a revision: first of everything (a reset, which may say a lower one), then of
   * what was read since. Ends when `signal` aborts; throws when the session ends before.
   */
  async *batches<B extends { readonly revision: Revision }>(
    signal: AbortSignal,
    show: (seen: Revision, first: boolean) => B,
  ): AsyncGenerator<B> {
    const wake = () => this.#wake?.()
    signal.addEventListener('abort', wake)
    this.#session.lost.addEventListener('abort', wake)
    try {
      // What was acknowledged before must be seen. At a lower zxid, it is other data: its revisions begin anew.
      if ((await this.#session.sync()) < this.#known.revision) this.#known.revision = 0
      let rounds = 0
      while (!signal.aborted) {
        await this.#news(signal)
        if (signal.aborted) return
        this.#behind = false
        const from = this.#session.zxid
        const paths = [...this.#marked]
        this.#marked.clear()
        await Promise.all(paths.map((path) => this.#readers.get(path)?.()))
        rounds++
        if (signal.aborted) return
        const quiet = this.#marked.size === 0
        if (!quiet && rounds < this.#patientRounds) continue
        const seen = quiet ? this.#session.zxid : from
        if (seen <= this.#revision) continue
        rounds = 0
        const first = this.#revision < 0
        const batch = show(seen, first)
        this.#revision = batch.revision
        if (!first) this.#known.revision = Math.max(this.#known.revision, seen)
        yield batch
        // A reset may be at a lower revision than what it has seen, such as the removal of what it no longer holds: that comes
        // after it.
        if (first && !signal.aborted) {
          await this.#session.stat('/')
          this.#behind = this.#session.zxid > this.#revision
        }
      }
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      signal.removeEventListener('abort', wake)
      this.#session.lost.removeEventListener('abort', wake)
      for (const path of this.#readers.keys()) this.#session.unlisten(path, this.#mark)
    }
  }

  /** The last zxid is mostly of what has nothing to do with this: two resets of the same state have one revision. */
  resetRevision(seen: Revision, modified: Iterable<Revision>): Revision {
    let revision = Math.min(this.#known.revision, seen)
    for (const one of modified) revision = Math.max(revision, one)
    return revision
  }

  /** Has a node read in the next round, and again whenever it changed. */
  follow(path: string, read: () => Promise<void>): void {
    this.listen(path, read)
    this.#marked.add(path)
  }

  /** The same, without the next round: whoever calls reads it in this one. */
  listen(path: string, read: () => Promise<void>): void {
    this.#readers.set(path, read)
    this.#session.listen(path, this.#mark)
  }

  unfollow(path: string): void {
    this.#readers.delete(path)
    this.#session.unlisten(path, this.#mark)
    this.#marked.delete(path)
  }

  follows(path: string): boolean {
    return this.#readers.has(path)
  }

  /** The names of a node's children, watched; none without that node, which is watched then. */
  async children(path: string): Promise<readonly string[]> {
    for (;;) {
      const children = await this.#session.children(path, true)
      if (children !== undefined) return children
      if ((await this.#session.stat(path, true)) === undefined) return []
    }
  }

  async #news(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#marked.size === 0 && this.#revision >= 0 && !this.#behind) {
      this.#session.lost.throwIfAborted()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
    if (!signal.aborted) this.#session.lost.throwIfAborted()
  }

  readonly #mark = (path: string) => {
    this.#marked.add(path)
    this.#wake?.()
  }
}
