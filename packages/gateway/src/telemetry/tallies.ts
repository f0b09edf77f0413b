import type { Clock } from '@seamark/core'
import type { Routes, Rule } from '../ports.ts'
import { Tally } from './tally.ts'

/**
 * Milliseconds for which the counts of a rule that left are shown: it may come back, as when the only instance of a
 * service restarts, and Prometheus wants to read the last of them.
 */
const kept = 300_000

/** So many more tallies than rules are made before those that left are looked for, even if nobody reads them. */
const spare = 100

/** One tally for each rule. */
export class Tallies {
  /** Of requests that fit no rule. */
  readonly none = new Tally({ name: 'none', service: { namespace: '', service: '' } })
  readonly #byName = new Map<string, Tally>()
  /** Since when rules are gone, in ms. */
  readonly #gone = new Map<string, number>()
  readonly #routes: Routes
  readonly #clock: Clock
  #most = spare

  constructor(routes: Routes, clock: Clock) {
    this.#routes = routes
    this.#clock = clock
  }

  of(rule: Rule): Tally {
    const { name, service } = rule
    const found = this.#byName.get(name)
    if (found?.service === service.service && found.namespace === service.namespace) return found
    const tally = new Tally(rule)
    this.#byName.set(name, tally)
    if (this.#byName.size > this.#most) this.#sweep(0)
    return tally
  }

  /** All that count, without those that left. */
  all(): readonly Tally[] {
    this.#sweep(kept)
    return [this.none, ...this.#byName.values()]
  }

  /** Drops those whose rules were gone for `patience` ms. */
  #sweep(patience: number): void {
    const now = this.#clock.now()
    const names = new Set(this.#routes.table.rules.map(({ name }) => name))
    for (const name of this.#byName.keys()) {
      const since = names.has(name) ? undefined : (this.#gone.get(name) ?? now)
      if (since === undefined) this.#gone.delete(name)
      else if (now - since < patience) this.#gone.set(name, since)
      else {
        this.#gone.delete(name)
        this.#byName.delete(name)
      }
    }
    this.#most = this.#byName.size + spare
  }
}
