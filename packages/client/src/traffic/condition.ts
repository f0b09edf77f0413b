/** Milliseconds in which what was seen of an instance loses its weight: Finagle's. */
const decay = 10_000
/** What one request under way counts for at an instance of which nothing is known yet, in ms. */
const unknown = 1_000

/** What a carrier keeps for an instance: released when that leaves its service, or goes to another address. */
export interface Connections {
  /** To where: `http://10.0.0.7:8080`. */
  readonly origin: string
  release(): void
}

/** How one instance fares, as one caller sees it. Times are of a monotonic clock, in ms. */
export class Condition {
  /** When it was first seen; long ago for those that were there from the beginning. */
  readonly since: number
  /** Requests under way. */
  pending = 0
  /** Failures without a success in between. */
  failures = 0
  /** Requests that were answered well, and all, since success rates were last compared. */
  successes = 0
  requests = 0
  /** How often it was ejected lately. */
  ejections = 0
  /** Until when it gets nothing: it was ejected, or asked for a rest. */
  outUntil = Number.NEGATIVE_INFINITY
  /** Its carrier's, once something was sent to it. */
  connections: Connections | undefined = undefined
  #latency = 0
  #observedAt = 0

  constructor(since: number) {
    this.since = since
  }

  /**
   * What a request would cost: peak EWMA, as in Finagle. A latency that is higher than expected counts in full at once; after that,
   * it is forgotten over ten seconds. Times the requests under way, and this one.
   */
  cost(now: number): number {
    if (this.#latency === 0) return unknown * this.pending
    return this.#latency * Math.exp((this.#observedAt - now) / decay) * (this.pending + 1)
  }

  /** Takes note of the time to an answer; one who fails is not the cheaper for failing fast. */
  observe(time: number, success: boolean, now: number): void {
    const fading = Math.exp((this.#observedAt - now) / decay)
    const faded = this.#latency * fading
    const latency = success ? time : Math.max(time, faded)
    this.#latency = latency > faded ? latency : faded + latency * (1 - fading)
    this.#observedAt = now
  }
}
