import { createHash } from 'node:crypto'

/**
 * The beats of one check: moments one interval apart. Which ones is derived from its name, so that checks with the
 * same interval are spread over it evenly, and a check keeps its place over restarts of its instance.
 */
export class Schedule {
  readonly #interval: number
  readonly #phase: number

  /** `interval` in ms. */
  constructor(name: string, interval: number) {
    this.#interval = interval
    this.#phase = Math.floor((createHash('sha256').update(name).digest().readUInt32BE() / 2 ** 32) * interval)
  }

  /** The first beat after `time`, at most an interval later. */
  after(time: number): number {
    return (Math.floor((time - this.#phase) / this.#interval) + 1) * this.#interval + this.#phase
  }
}
