/** Wakes one reader. Rings that nobody waited for are heard once, however many they were. */
export class Bell {
  #rung = false
  #over = false
  #failure: unknown
  #wake: (() => void) | undefined
  #end: (() => void) | undefined

  ring(): void {
    this.#rung = true
    this.#wake?.()
  }

  /** Ends the waiting: without an error, or with this one. */
  close(failure?: unknown): void {
    if (this.#over) return
    this.#over = true
    this.#failure = failure
    this.#end?.()
    this.#wake?.()
  }

  /** Resolves to true once it rang, and to false once it is closed. Throws what it was closed with. */
  async heard(): Promise<boolean> {
    while (!this.#rung && !this.#over)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    this.#wake = undefined
    this.#rung = false
    if (this.#failure !== undefined) throw this.#failure
    return !this.#over
  }

  /** Waits for the work, but no longer than until the bell is closed: then `undefined`, or what it was closed with. */
  async meanwhile<T>(work: Promise<T>): Promise<T | undefined> {
    const result = await new Promise<T | undefined>((resolve, reject) => {
      this.#end = () => resolve(undefined)
      work.then(resolve, reject)
      if (this.#over) this.#end()
    })
    this.#end = undefined
    if (this.#failure !== undefined) throw this.#failure
    return this.#over ? undefined : result
  }
}
