import type { Catalog, Snapshot } from '@seamark/core'
import type { Answer } from './answer.ts'

interface Kept {
  readonly snapshot: Snapshot
  readonly staleSince: number | undefined
  readonly answer: Answer
  readonly size: number
  /** When it was last known to hold. */
  generation: number
}

/** What a kept answer takes beside its body and its URL, roughly. */
const overhead = 1_024

/**
 * Answers by the exact URL that asked for them, so that a lookup costs no routing and no parsing. One holds while the
 * catalog shows the very snapshot that it was made of. The oldest go when they are too many.
 */
export class AnswerCache {
  readonly #catalog: Catalog
  readonly #bound: number
  readonly #kept = new Map<string, Kept>()
  readonly #subscription: Disposable
  /** Grows with every change of the catalog: within one, nothing needs to be compared. */
  #generation = 0
  #bytes = 0

  /** Keeps at most `bound` bytes. */
  constructor(catalog: Catalog, bound: number) {
    this.#catalog = catalog
    this.#bound = bound
    this.#subscription = catalog.subscribe(() => {
      this.#generation++
    })
  }

  get(url: string): Answer | undefined {
    const kept = this.#kept.get(url)
    if (kept === undefined) return undefined
    if (this.#holds(kept)) return kept.answer
    this.#drop(url, kept)
    return undefined
  }

  put(url: string, snapshot: Snapshot, staleSince: number | undefined, answer: Answer): void {
    const former = this.#kept.get(url)
    if (former !== undefined) this.#drop(url, former)
    const size = answer.body.length + url.length * 2 + overhead
    if (size > this.#bound) return
    this.#kept.set(url, { snapshot, staleSince, answer, size, generation: this.#generation })
    this.#bytes += size
    for (const [oldest, kept] of this.#kept) {
      if (this.#bytes <= this.#bound) break
      this.#drop(oldest, kept)
    }
  }

  close(): void {
    this.#subscription[Symbol.dispose]()
  }

  #holds(kept: Kept): boolean {
    if (this.#catalog.staleSince !== kept.staleSince) return false
    if (kept.generation === this.#generation) return true
    if (this.#catalog.snapshot(kept.snapshot.service) !== kept.snapshot) return false
    kept.generation = this.#generation
    return true
  }

  #drop(url: string, kept: Kept): void {
    this.#kept.delete(url)
    this.#bytes -= kept.size
  }
}
