import type { Revision } from '@seamark/core'
import type { Seen } from './blocking.ts'

interface Kept {
  generation: number
  readonly parts: readonly unknown[]
  readonly seen: Seen<readonly unknown[]>
}

/**
 * Lists that are put together from all over, with an index that grows with each change of what is in them, and with none
 * of anything else. The parts are compared as objects: whoever makes them answers the same ones until they change.
 */
export class Observed {
  readonly #bound: number
  readonly #kept = new Map<string, Kept>()

  /** Remembers at most `bound` lists; one that is forgotten may be answered with a lower index, which clients expect. */
  constructor(bound: number) {
    this.#bound = bound
  }

  /**
   * `make` is called once per generation. `floor` is the lowest index that the parts allow, `now` the highest revision
   * there is.
   */
  look<T>(
    name: string,
    generation: number,
    now: Revision,
    make: () => readonly T[],
    floor: (parts: readonly T[]) => Revision,
  ): Seen<readonly T[]> {
    const kept = this.#kept.get(name)
    if (kept?.generation === generation) return kept.seen as Seen<readonly T[]>
    const parts = make()
    if (kept !== undefined && same(kept.parts, parts)) {
      kept.generation = generation
      return kept.seen as Seen<readonly T[]>
    }
    const index = kept === undefined ? floor(parts) : Math.max(now, kept.seen.index + 1)
    const seen = { index, value: parts }
    this.#kept.delete(name)
    this.#kept.set(name, { generation, parts, seen })
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= this.#bound) break
      this.#kept.delete(oldest)
    }
    return seen
  }
}

function same(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((part, index) => part === b[index])
}
