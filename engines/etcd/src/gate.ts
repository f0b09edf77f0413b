interface Waiting {
  resolve(): void
  reject(error: unknown): void
}

/** Lets so many through at a time; the others wait, in order. A failure may be one for all who wait. */
export class Gate {
  readonly #isForAll: (error: unknown) => boolean
  readonly #waiting = new Set<Waiting>()
  #free: number

  constructor(most: number, isForAll: (error: unknown) => boolean) {
    this.#free = most
    this.#isForAll = isForAll
  }

  /** Throws what `work` throws, or what another threw that is for all. */
  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve, reject) => this.#waiting.add({ resolve, reject }))
    try {
      return await work()
    } catch (error) {
      if (this.#isForAll(error)) this.#dismiss(error)
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
