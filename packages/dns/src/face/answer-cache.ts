import type { PreparedAnswer } from './prepared-answer.ts'

interface Kept {
  readonly answer: PreparedAnswer
  readonly holds: () => boolean
}

/** Answers that were given before, as long as they hold. Past its bound, the oldest goes. */
export class AnswerCache {
  readonly #answers = new Map<string, Kept>()
  readonly #bound: number
  #bytes = 0

  /** Bytes. */
  constructor(bound: number) {
    this.#bound = bound
  }

  get(key: string): PreparedAnswer | undefined {
    const kept = this.#answers.get(key)
    if (kept === undefined) return undefined
    if (kept.holds()) return kept.answer
    this.#delete(key, kept)
    return undefined
  }

  put(key: string, answer: PreparedAnswer, holds: () => boolean): void {
    const before = this.#answers.get(key)
    if (before !== undefined) this.#delete(key, before)
    this.#answers.set(key, { answer, holds })
    this.#bytes += answer.size
    for (const [oldest, kept] of this.#answers) {
      if (this.#bytes <= this.#bound) return
      this.#delete(oldest, kept)
    }
  }

  #delete(key: string, { answer }: Kept): void {
    this.#answers.delete(key)
    this.#bytes -= answer.size
  }
}
