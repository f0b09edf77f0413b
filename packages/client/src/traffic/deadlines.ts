import type { Clock, Timer } from '@seamark/core'

/** One who has a deadline. It is in at most one queue for each of its links. */
export interface Due {
  /** Called once, no sooner than its deadline. */
  expired(): void
}

interface Link {
  readonly due: Due
  readonly at: number
  before: Link | undefined
  after: Link | undefined
}

/** A place in a queue, to be given up. */
export type Place = Link

/**
 * Deadlines that are all equally far away, and nearly all given up before they are over: a queue, and one timer for its head,
 * instead of a timer for each request.
 */
export class Deadlines {
  readonly #clock: Clock
  readonly #delay: number
  #first: Link | undefined
  #last: Link | undefined
  #timer: Timer | undefined

  /** `delay` in ms. */
  constructor(clock: Clock, delay: number) {
    this.#clock = clock
    this.#delay = delay
  }

  add(due: Due, now = this.#clock.now()): Place {
    const link: Link = { due, at: now + this.#delay, before: this.#last, after: undefined }
    if (this.#last === undefined) this.#first = link
    else this.#last.after = link
    this.#last = link
    // A timer that is there already fires earlier, and then looks again.
    this.#timer ??= this.#clock.after(this.#delay, () => this.#expire())
    return link
  }

  remove(link: Place): void {
    if (link.before === undefined && this.#first !== link) return
    if (link.before === undefined) this.#first = link.after
    else link.before.after = link.after
    if (link.after === undefined) this.#last = link.before
    else link.after.before = link.before
    link.before = undefined
    link.after = undefined
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#first = undefined
    this.#last = undefined
  }

  #expire(): void {
    this.#timer = undefined
    const now = this.#clock.now()
    for (let link = this.#first; link !== undefined && link.at <= now; link = this.#first) {
      this.remove(link)
      link.due.expired()
    }
    if (this.#first !== undefined)
      this.#timer ??= this.#clock.after(Math.max(1, this.#first.at - now), () => this.#expire())
  }
}
