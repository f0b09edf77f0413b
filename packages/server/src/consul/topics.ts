import { type Clock, SeamarkError } from '@seamark/core'
import type { Asker } from '../asker.ts'

/** Requests that wait for something to change, by what it is: a change of one topic wakes nobody who waits for another. */
export class Topics {
  readonly #clock: Clock
  readonly #bound: number
  readonly #waiting = new Map<string, Set<() => void>>()
  #size = 0
  #closed = false

  /** At most `bound` may wait at the same time. */
  constructor(clock: Clock, bound: number) {
    this.#clock = clock
    this.#bound = bound
  }

  get size(): number {
    return this.#size
  }

  /** Whether somebody waits for the topic. */
  has(topic: string): boolean {
    return this.#waiting.has(topic)
  }

  /** The topics somebody waits for. */
  names(): IterableIterator<string> {
    return this.#waiting.keys()
  }

  /** Lets all who wait for the topic look again. */
  wake(topic: string): void {
    for (const look of [...(this.#waiting.get(topic) ?? [])]) look()
  }

  /** Whether nobody more may wait. */
  get isFull(): boolean {
    return this.#size >= this.#bound
  }

  /**
   * Resolves as soon as one of the topics was woken and `done()` is true, after `wait` ms, when the asker goes away, or
   * when the server closes. Throws `too_many`.
   */
  until(topics: readonly string[], done: () => boolean, wait: number, asker: Asker): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.isFull)
        throw new SeamarkError('too_many', `${this.#bound} requests wait already: try again later.`)
      this.join(topics, done, wait, asker, (error) => (error === undefined ? resolve() : reject(error)))
    })
  }

  /** Calls `over` once, when `until` would resolve, or with what `done` threw. */
  join(
    topics: readonly string[],
    done: () => boolean,
    wait: number,
    asker: Asker,
    over: (error?: unknown) => void,
  ): void {
    if (this.#closed || asker.closed) {
      over()
      return
    }
    this.#size++
    const end = (error?: unknown) => {
      for (const topic of topics) {
        const group = this.#waiting.get(topic)
        group?.delete(look)
        if (group?.size === 0) this.#waiting.delete(topic)
      }
      this.#size--
      timer.cancel()
      asker.off('close', stop)
      over(error)
    }
    const stop = () => end()
    const look = () => {
      try {
        if (!this.#closed && !done()) return
      } catch (error) {
        end(error)
        return
      }
      end()
    }
    const timer = this.#clock.after(wait, stop)
    asker.once('close', stop)
    for (const topic of topics) {
      const group = this.#waiting.get(topic) ?? new Set()
      this.#waiting.set(topic, group)
      group.add(look)
    }
  }

  /** Lets everybody go, now and from now on. */
  close(): void {
    this.#closed = true
    for (const group of [...this.#waiting.values()]) for (const look of [...group]) look()
  }
}
