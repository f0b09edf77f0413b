import { isSeamarkError } from '@seamark/core'

interface Waiting {
  resolve(): void
  reject(error: unknown): void
}

/**
 * Lets so many through at a time; the others wait, in order. What turns out to be unavailable for one of them is so for all
 * who wait.
 */
export class Gate {
  readonly #waiting = new Set<Waiting>()
  #free: number

  constructor(most: number) {
    this.#free = most
  }

  /** Throws what `work` throws, and `engine_unavailable` that another did. */
  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve, reject) => this.#waiting.add({ resolve, reject }))
    try {
      return await work()
    } catch (error) {
      if (isSeamarkError(error, 'engine_unavailable') || isSeamarkError(error, 'closed')) this.#dismiss(error)
      throw error
    } finally {
      this.#next()
    }
  }

  #next(): void {
    const [next] = this.#waiting
    if (next === undefined) this.#free++
    else {
      this.#waiting.delete(next)
      next.resolve()
    }
  }

  #dismiss(error: unknown): void {
    for (const { reject } of this.#waiting) reject(error)
    this.#waiting.clear()
  }
}
