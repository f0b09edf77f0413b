import {
  type Catalog,
  type Clock,
  type Entry,
  type EntryChange,
  type ServiceKey,
  serviceId,
  type Timer,
} from '@seamark/core'
import type { Policy } from '../policy/policy.ts'
import { noPolicy } from '../policy/policy-input.ts'
import type { Rule } from '../ports.ts'
import type { Candidate } from './route-table.ts'
import { isSameList, ServiceRoutes } from './service-routes.ts'
import type { StatementProblem } from './statement.ts'

/** What instances say of their routes, and is none. */
export interface SkippedRoute extends StatementProblem {
  readonly service: ServiceKey
}

export interface RegistryRoutesOptions {
  readonly catalog: Catalog
  readonly clock: Clock
  /** Whether it matters how old the rule is. */
  readonly isContested: (rule: Rule) => boolean
  /** Called when there are other routes, or other problems, than before. */
  readonly changed: () => void
}

/**
 * Milliseconds for which the routes of a service are kept that has no instances any more: requests are told that it is away
 * (503), and not that there is nothing (404). With a fallback to tell instead, they are kept without end.
 */
const keptFor = 300_000

/**
 * The routes that instances say, kept up to date by the changes of a catalog. A change costs no more than what it changes: none
 * of health changes anything here.
 */
export class RegistryRoutes implements Disposable {
  readonly #options: RegistryRoutesOptions
  readonly #services = new Map<string, ServiceRoutes>()
  readonly #kept = new Map<ServiceRoutes, Timer | undefined>()
  readonly #subscription: Disposable
  #policies: ReadonlyMap<string, Policy> = new Map()

  constructor(options: RegistryRoutesOptions) {
    this.#options = options
    this.#subscription = options.catalog.subscribe(({ changes }) => this.#apply(changes))
  }

  /** Takes what the catalog knows by now. */
  begin(): void {
    const { catalog } = this.#options
    const touched = new Set<ServiceRoutes>()
    for (const service of catalog.services())
      for (const entry of catalog.snapshot(service).entries) this.#put(entry, touched)
    this.#settle(touched)
  }

  *candidates(): Generator<Candidate> {
    for (const { candidates } of this.#services.values()) yield* candidates
  }

  *skipped(): Generator<SkippedRoute> {
    for (const { service, problems } of this.#services.values())
      for (const problem of problems) yield { service, ...problem }
  }

  /** From now on, services have these policies, by their ids. */
  protect(policies: ReadonlyMap<string, Policy>): void {
    this.#policies = policies
    this.#settle(this.#services.values())
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]()
    for (const timer of this.#kept.values()) timer?.cancel()
    this.#kept.clear()
  }

  #apply(changes: readonly EntryChange[]): void {
    const touched = new Set<ServiceRoutes>()
    for (const change of changes)
      if (change.type === 'put') this.#put(change.entry, touched)
      else if (change.type === 'delete') {
        const routes = this.#services.get(serviceId(change.key))
        if (routes?.delete(change.key.id)) touched.add(routes)
      }
    this.#settle(touched)
  }

  #put(entry: Entry, touched: Set<ServiceRoutes>): void {
    const id = serviceId(entry.instance)
    const routes = this.#services.get(id) ?? new ServiceRoutes(entry.instance)
    // Anybody who is there ends what was kept of those who are gone.
    if (!routes.put(entry) && !this.#kept.has(routes)) return
    this.#services.set(id, routes)
    touched.add(routes)
  }

  #settle(touched: Iterable<ServiceRoutes>): void {
    let isChanged = false
    for (const routes of [...touched]) {
      const { candidates: before, problems } = routes
      const policy = this.#policies.get(serviceId(routes.service)) ?? noPolicy
      const isAway = this.#options.catalog.snapshot(routes.service).entries.length === 0
      routes.settle(policy, isAway)
      this.#keep(routes, isAway && routes.candidates.length > 0, policy)
      isChanged ||= problems !== routes.problems || this.#isDifferent(before, routes.candidates)
    }
    if (isChanged) this.#options.changed()
  }

  /** Begins, or ends, to keep routes of a service that has nobody; forgets one that has neither. */
  #keep(routes: ServiceRoutes, isKept: boolean, { fallback }: Policy): void {
    this.#kept.get(routes)?.cancel()
    this.#kept.delete(routes)
    if (isKept)
      this.#kept.set(
        routes,
        fallback === undefined ? this.#options.clock.after(keptFor, () => this.#forget(routes)) : undefined,
      )
    else if (routes.candidates.length === 0 && routes.problems.length === 0)
      this.#services.delete(serviceId(routes.service))
  }

  #forget(routes: ServiceRoutes): void {
    this.#kept.delete(routes)
    this.#services.delete(serviceId(routes.service))
    this.#options.changed()
  }

  #isDifferent(before: readonly Candidate[], after: readonly Candidate[]): boolean {
    if (before === after) return false
    const rules = (candidates: readonly Candidate[]) => candidates.map(({ rule }) => rule)
    if (!isSameList(rules(before), rules(after))) return true
    return after.some((one, index) => one !== before[index] && this.#options.isContested(one.rule))
  }
}
