import {
  Backoff,
  type Clock,
  displayName,
  type Entry,
  type Instance,
  type Notify,
  passing,
  type Revision,
  type ServiceKey,
  type Timer,
} from '@seamark/core'
import type { Found } from './lookup.ts'

export interface PollOptions {
  readonly find: (service: ServiceKey, signal: AbortSignal) => Promise<Found>
  /** Milliseconds that an answer is believed for at least, and at most. */
  readonly least: number
  readonly most: number
  readonly clock: Clock
  readonly notify: Notify
}

export type Entries = ReadonlyMap<string, Entry>

/**
 * One service, shared by all watches: while there is one, it is asked for whenever its answer is over. A failure leaves
 * what is known as it is.
 */
export class PolledService {
  readonly key: ServiceKey
  readonly #options: PollOptions
  readonly #grow: () => Revision
  readonly #listeners = new Set<(service: PolledService) => void>()
  readonly #backoff = new Backoff()
  #due = Number.NEGATIVE_INFINITY
  #timer: Timer | undefined
  #asking: AbortController | undefined
  #skipped: Found['skipped'] = new Map()
  #complained = false
  /** By id; the same map until something changes; `undefined` before the first answer. */
  entries: Entries | undefined
  /** Why the last try did not bring an answer. */
  failure: unknown
  /** On the clock, since when no try did. */
  failingSince: number | undefined
  /** Whether `entries` and `failure` say how it is now, and not how it was when it was last watched. */
  settled = false

  /** `grow` answers the next revision of the source. */
  constructor(key: ServiceKey, options: PollOptions, grow: () => Revision) {
    this.key = key
    this.#options = options
    this.#grow = grow
  }

  get watched(): boolean {
    return this.#listeners.size > 0
  }

  /** Tells of each try that came to an end, until disposed of. */
  listen(listener: (service: PolledService) => void): Disposable {
    this.#listeners.add(listener)
    if (this.#listeners.size === 1) this.#begin()
    return {
      [Symbol.dispose]: () => {
        if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.halt()
      },
    }
  }

  /** Ends what is under way, and asks no more until somebody listens again. */
  halt(): void {
    this.#timer?.cancel()
    this.#asking?.abort()
    this.#asking = undefined
    this.settled = false
  }

  /** Says once in an outage that what is shown of it may be old. */
  complain(): void {
    if (this.#complained) return
    this.#complained = true
    const shown = this.entries === undefined ? 'nothing is shown of it' : 'what was known of it is kept'
    this.#options.notify({
      level: 'warn',
      event: 'service_unanswered',
      message: `DNS does not answer for ${displayName(this.key)}, but for others: ${shown}.`,
      details: { ...this.key, error: this.failure },
    })
  }

  #begin(): void {
    const wait = this.#due - this.#options.clock.now()
    if (this.failure === undefined && wait > 0) {
      this.settled = true
      this.#askIn(wait)
    } else void this.#ask()
  }

  #askIn(ms: number): void {
    this.#timer = this.#options.clock.after(ms, () => void this.#ask())
  }

  async #ask(): Promise<void> {
    const asking = new AbortController()
    this.#asking = asking
    let wait: number
    try {
      const found = await this.#options.find(this.key, asking.signal)
      if (asking.signal.aborted) return
      wait = this.#answered(found)
    } catch (error) {
      if (asking.signal.aborted) return
      this.failure = error
      this.failingSince ??= this.#options.clock.now()
      wait = this.#backoff.next()
    }
    this.settled = true
    this.#askIn(wait)
    for (const listener of [...this.#listeners]) listener(this)
  }

  /** Answers for how long (ms) this holds. */
  #answered({ instances, ttl, skipped }: Found): number {
    const { least, most, clock, notify } = this.#options
    this.#show(instances)
    for (const [record, why] of skipped)
      if (!this.#skipped.has(record))
        notify({
          level: 'warn',
          event: 'record_skipped',
          message: `A record of ${displayName(this.key)} (${record}) is left out: ${why}.`,
          details: { ...this.key, record },
        })
    this.#skipped = skipped
    if (this.#complained)
      notify({
        level: 'info',
        event: 'service_answered',
        message: `DNS answers again for ${displayName(this.key)}.`,
        details: { ...this.key },
      })
    this.#complained = false
    this.failure = undefined
    this.failingSince = undefined
    this.#backoff.reset()
    const wait = Math.min(Math.max(ttl * 1_000, least), most)
    this.#due = clock.now() + wait
    return wait
  }

  #show(instances: readonly Instance[]): void {
    const before = this.entries
    const kept = (instance: Instance) => {
      const known = before?.get(instance.id)
      // All else of it follows from its id.
      return known?.instance.weight === instance.weight ? known : undefined
    }
    if (before?.size === instances.length && instances.every(kept)) return
    const revision = this.#grow()
    const entries = new Map<string, Entry>()
    for (const instance of instances)
      entries.set(
        instance.id,
        kept(instance) ??
          Object.freeze({
            instance,
            health: passing,
            createdRevision: before?.get(instance.id)?.createdRevision ?? revision,
            modifiedRevision: revision,
          }),
      )
    this.entries = entries
  }
}
