import type { Revision } from '@seamark/core'

/** What one batch touched. */
interface Page<T> {
  readonly revision: Revision
  readonly touched: ReadonlyMap<string, T>
}

/**
 * What was touched lately, so that a watcher that comes back gets the latest state of that, and nothing else. It keeps
 * keys, not states: those are the catalog's.
 */
export class History<T> {
  readonly #bound: number
  #pages: Page<T>[] = []
  /** Pages at the beginning that are forgotten, and not yet removed: removing moves all the others. */
  #forgotten = 0
  #size = 0
  /** The revision before the oldest page: who has seen it has missed no more than the pages. */
  #base: Revision

  /** Holds at most `bound` touched keys. */
  constructor(bound: number, base: Revision) {
    this.#bound = bound
    this.#base = base
  }

  add(revision: Revision, touched: ReadonlyMap<string, T>): void {
    this.#pages.push({ revision, touched })
    this.#size += touched.size
    while (this.#size > this.#bound) {
      const oldest = this.#pages[this.#forgotten++]!
      this.#base = oldest.revision
      this.#size -= oldest.touched.size
    }
    if (this.#forgotten > this.#pages.length / 2) {
      this.#pages = this.#pages.slice(this.#forgotten)
      this.#forgotten = 0
    }
  }

  /** What was touched after `revision`; `undefined` when that is not known any more, or not yet. */
  since(revision: Revision, latest: Revision): Map<string, T> | undefined {
    if (revision < this.#base || revision > latest) return undefined
    const all = new Map<string, T>()
    const first = this.#pages.findLastIndex((page) => page.revision <= revision) + 1
    for (const { touched } of this.#pages.slice(first)) for (const [id, key] of touched) all.set(id, key)
    return all
  }

  clear(base: Revision): void {
    this.#pages = []
    this.#forgotten = 0
    this.#size = 0
    this.#base = base
  }
}
