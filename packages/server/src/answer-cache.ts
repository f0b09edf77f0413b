import type { Catalog, Snapshot } from '@seamark/core'
import type { Answer } from './answer.ts'

interface Kept {
  readonly snapshot: Snapshot
  readonly staleSince: number | undefined
  readonly answer: Answer
  /** When it was last known to hold. */
  generation: number
}

/** What a kept answer takes beside its body and its key, roughly. */
const overhead = 1_024

/**
 * Answers by what was asked: by the question, and by the exact URL that asked it, so that a lookup costs no routing and
 * no parsing. One holds while the catalog shows the very snapshot that it was made of. The oldest go when they are too
 * many.
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

  get(key: string): Answer | undefined {
    const kept = this.#kept.get(key)
    if (kept === undefined) return undefined
    if (this.#holds(kept)) return kept.answer
    this.#drop(key, kept)
    return undefined
  }

  /** `staleSince` as the catalog said it when the answer was made. */
  put(key: string, snapshot: Snapshot, staleSince: number | undefined, answer: Answer): void {
    // Of a service that is not there, the catalog remembers no snapshot.
    if (snapshot.entries.length > 0)
      this.#keep(key, { snapshot, staleSince, answer, generation: this.#generation })
  }

  /** Keeps what is kept under `key` under another key too. */
  alias(key: string, other: string): void {
    const kept = this.#kept.get(key)
    if (kept !== undefined) this.#keep(other, { ...kept })
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

  #keep(key: string, kept: Kept): void {
    const former = this.#kept.get(key)
    if (former !== undefined) this.#drop(key, former)
    if (sizeOf(key, kept) > this.#bound) return
    this.#kept.set(key, kept)
    this.#bytes += sizeOf(key, kept)
    for (const [oldest, kept] of this.#kept) {
      if (this.#bytes <= this.#bound) break
      this.#drop(oldest, kept)
    }
  }

  #drop(key: string, kept: Kept): void {
    this.#kept.delete(key)
    this.#bytes -= sizeOf(key, kept)
  }
}

function sizeOf(key: string, { answer }: Kept): number {
  return answer.body.length + key.length * 2 + overhead
}
