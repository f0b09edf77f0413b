import type { Answer } from './answer.ts'

/** An answer, and for how long. */
export interface Made {
  readonly answer: Answer
  /** Whether it still says what there is. Asked after changes only. Without it, the answer is not kept. */
  readonly holds: (() => boolean) | undefined
}

/** What answers are made of, such as a catalog. */
export interface Replica {
  readonly staleSince: number | undefined
  /** Calls back after each change. */
  subscribe(listener: () => void): Disposable
}

interface Kept {
  /** The question, and the URLs that asked it. */
  readonly keys: string[]
  readonly make: () => Made
  answer: Answer
  holds: () => boolean
  /** When it was last known to hold. */
  generation: number
}

interface Followed {
  readonly replica: Replica
  readonly subscription: Disposable
  staleSince: number | undefined
}

/** What a kept answer takes beside its body and its keys, and a key beside its text, roughly. */
const overhead = 1_024

/**
 * Answers by what was asked: by the question, and by the exact URL that asked it, so that a lookup costs no routing and
 * no parsing. One that holds no more is made again when it is next asked for. The oldest go when they are too many.
 */
export class AnswerCache {
  readonly #bound: number
  readonly #byKey = new Map<string, Kept>()
  readonly #oldestFirst = new Set<Kept>()
  readonly #followed: Followed[] = []
  /** Grows with every change of a replica: within one, nothing needs to be compared. */
  #generation = 0
  #bytes = 0

  /** Keeps at most `bound` bytes. */
  constructor(bound: number) {
    this.#bound = bound
  }

  /** Asks from now on whether answers still hold after the replica changed, was lost, or came back. */
  follow(replica: Replica): void {
    const subscription = replica.subscribe(() => this.invalidate())
    this.#followed.push({ replica, subscription, staleSince: replica.staleSince })
  }

  /** Something changed that answers may be made of. */
  invalidate(): void {
    this.#generation++
  }

  /** What is kept under `key`, as of now. `undefined` too if it cannot be made any more: asking anew says why. */
  get(key: string): Answer | undefined {
    // That a replica was lost is no change to its listeners.
    for (const followed of this.#followed) {
      const { staleSince } = followed.replica
      if (staleSince === followed.staleSince) continue
      followed.staleSince = staleSince
      this.invalidate()
    }
    const kept = this.#byKey.get(key)
    if (kept === undefined || kept.generation === this.#generation) return kept?.answer
    return this.#renewed(kept)
  }

  /** What is kept under `key`; otherwise it is made, and kept if it may be. Throws what `make` throws. */
  getOrMake(key: string, make: () => Made): Answer {
    const ready = this.get(key)
    if (ready !== undefined) return ready
    const { answer, holds } = make()
    if (holds !== undefined) this.#keep({ keys: [key], make, answer, holds, generation: this.#generation })
    return answer
  }

  /** Finds what is kept under `key` under another key too. */
  alias(key: string, other: string): void {
    const kept = this.#byKey.get(key)
    if (kept === undefined || this.#byKey.get(other) === kept) return
    this.#dropKey(other)
    kept.keys.push(other)
    this.#byKey.set(other, kept)
    this.#bytes += sizeOfKey(other)
    this.#trim()
  }

  close(): void {
    for (const { subscription } of this.#followed) subscription[Symbol.dispose]()
  }

  #renewed(kept: Kept): Answer | undefined {
    try {
      if (!kept.holds()) {
        const { answer, holds } = kept.make()
        if (holds === undefined) {
          this.#drop(kept)
          return answer
        }
        this.#bytes += answer.body.length - kept.answer.body.length
        kept.answer = answer
        kept.holds = holds
      }
    } catch {
      this.#drop(kept)
      return undefined
    }
    kept.generation = this.#generation
    const { answer } = kept
    // It alone must not push all others out.
    if (sizeOf(kept) > this.#bound) this.#drop(kept)
    this.#trim()
    return answer
  }

  #keep(kept: Kept): void {
    if (sizeOf(kept) > this.#bound) return
    for (const key of kept.keys) {
      this.#dropKey(key)
      this.#byKey.set(key, kept)
    }
    this.#oldestFirst.add(kept)
    this.#bytes += sizeOf(kept)
    this.#trim()
  }

  #trim(): void {
    for (const oldest of this.#oldestFirst) {
      if (this.#bytes <= this.#bound) break
      this.#drop(oldest)
    }
  }

  #dropKey(key: string): void {
    const kept = this.#byKey.get(key)
    if (kept !== undefined) this.#drop(kept)
  }

  #drop(kept: Kept): void {
    this.#oldestFirst.delete(kept)
    for (const key of kept.keys) this.#byKey.delete(key)
    this.#bytes -= sizeOf(kept)
  }
}

function sizeOf({ answer, keys }: Kept): number {
  return keys.reduce((sum, key) => sum + sizeOfKey(key), answer.body.length + overhead)
}

function sizeOfKey(key: string): number {
  return key.length * 2 + overhead / 8
}
