/** Lets those who would write the same keys go one after the other, so that they do not get in each other's way. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>()

  async take<T>(keys: readonly string[], task: () => Promise<T>): Promise<T> {
    let done!: () => void
    const mine = new Promise<void>((resolve) => {
      done = resolve
    })
    const before = keys.map((key) => this.#last.get(key))
    for (const key of keys) this.#last.set(key, mine)
    try {
      await Promise.all(before)
      return await task()
    } finally {
      for (const key of keys) if (this.#last.get(key) === mine) this.#last.delete(key)
      done()
    }
  }
}
