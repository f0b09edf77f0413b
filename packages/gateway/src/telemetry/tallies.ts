import type { Clock } from '@seamark/core'
import type { Routes, RouteTable, Rule } from '../ports.ts'
import { Tally } from './tally.ts'

/**
 * Milliseconds for which the counts of a rule that left are kept: it may come back, as when the only instance of a
 * service restarts, and Prometheus wants to read the last of them.
 */
const kept = 300_000

/** One tally for each rule, and no more than there are rules. */
export class Tallies {
  /** Of requests that fit no rule. */
  readonly none = new Tally({ name: 'none', service: { namespace: '', service: '' } })
  readonly #byName = new Map<string, Tally>()
  /** Since when rules are gone, in ms. */
  readonly #gone = new Map<string, number>()
  readonly #routes: Routes
  readonly #clock: Clock
  readonly #subscription: Disposable

  constructor(routes: Routes, clock: Clock) {
    this.#routes = routes
    this.#clock = clock
    this.#subscription = routes.subscribe((table) => this.#sweep(table))
  }

  of(rule: Rule): Tally {
    const found = this.#byName.get(rule.name)
    if (
      found !== undefined &&
      found.service === rule.service.service &&
      found.namespace === rule.service.namespace
    )
      return found
    const tally = new Tally(rule)
    this.#byName.set(rule.name, tally)
    return tally
  }

  /** All that count, without those that left. */
  all(): readonly Tally[] {
    this.#sweep(this.#routes.table)
    return [this.none, ...this.#byName.values()]
  }

  close(): void {
    this.#subscription[Symbol.dispose]()
  }

  #sweep({ rules }: RouteTable): void {
    const now = this.#clock.now()
    const names = new Set(rules.map(({ name }) => name))
    for (const name of this.#byName.keys()) {
      if (names.has(name)) {
        this.#gone.delete(name)
        continue
      }
      const since = this.#gone.get(name)
      if (since === undefined) this.#gone.set(name, now)
      else if (now - since >= kept) {
        this.#gone.delete(name)
        this.#byName.delete(name)
      }
    }
  }
}
