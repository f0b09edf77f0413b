/**
 * A queue between one writer that cannot wait and one reader that may be slow. Past its bound it forgets what it holds
 * and says so once: the reader must start from the current state.
 */
export class Mailbox<T> {
  readonly #bound: number
  readonly #size: (item: T) => number
  #items: T[] = []
  #held = 0
  #overflowed = false
  #closed = false
  #wake: (() => void) | undefined

  /** `size` says how much of the bound an item takes. */
  constructor(bound: number, size: (item: T) => number) {
    this.#bound = bound
    this.#size = size
  }

  put(item: T): void {
    if (this.#closed || this.#overflowed) return
    this.#held += this.#size(item)
    if (this.#held > this.#bound) {
      this.#items = []
      this.#held = 0
      this.#overflowed = true
    } else this.#items.push(item)
    this.#wake?.()
  }

  /** Forgets what was not taken yet: the reader knows a later state. */
  clear(): void {
    this.#items = []
    this.#held = 0
    this.#overflowed = false
  }

  /** Ends the reading; what was not taken yet is dropped. */
  close(): void {
    this.#closed = true
    this.#items = []
    this.#wake?.()
  }

  /** The next item; `'overflow'` once after items were dropped; `undefined` when closed. For one reader at a time. */
  async take(): Promise<T | 'overflow' | undefined> {
    while (!this.#closed) {
      if (this.#overflowed) {
        this.#overflowed = false
        return 'overflow'
      }
      const item = this.#items.shift()
      if (item !== undefined) {
        this.#held -= this.#size(item)
        return item
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
    return undefined
  }
}
