import { limits } from '@seamark/core'

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
