import type { PreparedAnswer } from './prepared-answer.ts'
import { Recent } from './recent.ts'

interface Kept {
  readonly answer: PreparedAnswer
  readonly holds: () => boolean
}

/** Answers that were given before, as long as they hold. */
export class AnswerCache {
  readonly #answers: Recent<Kept>

  /** Bytes. */
  constructor(bound: number) {
    this.#answers = new Recent(bound, ({ answer }) => answer.size)
  }

  get(key: string): PreparedAnswer | undefined {
    const kept = this.#answers.get(key)
    if (kept === undefined) return undefined
    if (kept.holds()) return kept.answer
    this.#answers.delete(key)
    return undefined
  }

  put(key: string, answer: PreparedAnswer, holds: () => boolean): void {
    this.#answers.set(key, { answer, holds })
  }
}
