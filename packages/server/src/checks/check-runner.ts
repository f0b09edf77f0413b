import { type CheckDefinition, type Instance, limits } from '@seamark/core'
import type { CheckPolicy } from './target-policy.ts'

/** What one run of a check came to. */
export interface Outcome {
  readonly status: 'passing' | 'warning' | 'critical'
  /** For people. */
  readonly output: string
}

export interface RunContext {
  readonly instance: Instance
  readonly policy: CheckPolicy
  /** Aborts at the check's timeout, and when nobody wants the outcome any more. It lives as long as the run. */
  readonly signal: AbortSignal
}

/**
 * Runs a check of one type once. An error means critical, and its message is the output. Once the signal aborts, it
 * settles at once, and leaves no socket, process or timer behind.
 */
export type CheckRunner<Check extends CheckDefinition> = (
  check: Check,
  context: RunContext,
) => Promise<Outcome>

/** Collects the beginning of a stream: no more of an output is ever kept. */
export class OutputBuffer {
  readonly #chunks: Buffer[] = []
  #missing: number = limits.outputBytes

  /** Answers whether more fits. */
  add(chunk: Buffer): boolean {
    if (this.#missing > 0) this.#chunks.push(chunk.subarray(0, this.#missing))
    this.#missing -= Math.min(chunk.length, this.#missing)
    return this.#missing > 0
  }

  /** What is not UTF-8 is shown as replacement characters; a character cut in half is left out. */
  toString(): string {
    return new TextDecoder().decode(Buffer.concat(this.#chunks), { stream: true }).trim()
  }
}
