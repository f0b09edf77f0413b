import type { Guard, Routes, Rule } from '../ports.ts'
import { type GuardHost, guard } from './guard.ts'

export interface GuardsHost extends GuardHost {
  readonly routes: Pick<Routes, 'subscribe'>
}

interface Stationed {
  readonly guard: Guard
  /** What it was made for. */
  readonly order: string
}

/**
 * The guards of all rules. A rule's guard, and what it has seen, stays for as long as the table has a rule of that name with the
 * same service and policy, whatever else changes in it.
 */
export class Guards implements Disposable {
  readonly #host: GuardsHost
  readonly #byName = new Map<string, Stationed>()
  readonly #byRule = new WeakMap<Rule, Guard>()
  readonly #subscription: Disposable

  constructor(host: GuardsHost) {
    this.#host = host
    this.#subscription = host.routes.subscribe(({ rules }) => this.#keep(rules))
  }

  of(rule: Rule): Guard {
    let known = this.#byRule.get(rule)
    if (known === undefined) {
      known = this.#station(rule)
      this.#byRule.set(rule, known)
    }
    return known
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]()
    this.#byName.clear()
  }

  #station(rule: Rule): Guard {
    const order = orderOf(rule)
    const stationed = this.#byName.get(rule.name)
    if (stationed?.order === order) return stationed.guard
    const made = guard(rule, this.#host)
    this.#byName.set(rule.name, { guard: made, order })
    return made
  }

  /** Rules that left, or were given another policy, take what was seen with them. */
  #keep(rules: readonly Rule[]): void {
    const orders = new Map(rules.map((rule) => [rule.name, orderOf(rule)]))
    for (const [name, { order }] of this.#byName) if (orders.get(name) !== order) this.#byName.delete(name)
  }
}

function orderOf({ policy, service }: Rule): string {
  return JSON.stringify([policy, service.namespace, service.service])
}
