import { displayName, limits, type Route } from '@seamark/core'
import type { Conflict, Mismatch, RouteTable, Rule } from '../ports.ts'
import { segments } from './forward-path.ts'
import { comparable, lenient } from './request-path.ts'
import { RouteIndex } from './route-index.ts'

/** A rule, and what its rank depends on beside its route. */
export interface Candidate {
  readonly rule: Rule
  /** `former`: of a service that has no instances any more, kept for a while. */
  readonly source: 'file' | 'registry' | 'former'
  /** Lower ones go first: its place in the file; or the revision of the oldest instance that says so. */
  readonly age: number
}

/** A route table that knows how it was made. */
export interface RankedTable extends RouteTable {
  /** Whether there is another rule of that host and path: only then, their age may matter. */
  isContested(rule: Rule): boolean
}

const sources: readonly Candidate['source'][] = ['file', 'registry', 'former']

const nothing: Mismatch = Object.freeze({ allow: undefined })

/**
 * Puts rules in force. Of those that fit a request, the first is taken: of the highest priority; then of the exact host, of the
 * longest wildcard, of no host; then of the longest path; then one that names methods; then of the file; then of
 * the oldest instance. When several are for the very same requests (host, path, methods, priority), only the first of them
 * is in force.
 */
export function routeTable(candidates: Iterable<Candidate>): RankedTable {
  return Object.freeze(new Table(candidates))
}

class Table implements RankedTable {
  readonly conflicts: readonly Conflict[]
  readonly #inForce: readonly Rule[]
  /** One for each priority, highest first. */
  readonly #indexes: readonly RouteIndex[]
  readonly #contested = new Set<string>()
  #rules: readonly Rule[] | undefined

  constructor(candidates: Iterable<Candidate>) {
    const winners = new Map<string, Rule>()
    const conflicts: Conflict[] = []
    const spots = new Set<string>()
    for (const { rule } of [...candidates].sort(bySeniority)) {
      const requests = requestsOf(rule)
      const spot = spotOf(rule)
      if (spots.has(spot)) this.#contested.add(spot)
      else spots.add(spot)
      const winner = winners.get(requests)
      if (winner === undefined) winners.set(requests, rule)
      else conflicts.push(Object.freeze({ rule, winner }))
    }
    this.conflicts = Object.freeze(conflicts)
    this.#inForce = [...winners.values()].sort(byMethods)
    const indexes = new Map<number, RouteIndex>()
    for (const rule of this.#inForce) {
      const { priority = 0 } = rule.route
      let index = indexes.get(priority)
      if (index === undefined) {
        index = new RouteIndex()
        indexes.set(priority, index)
      }
      index.add(rule)
    }
    this.#indexes = [...indexes].sort(([a], [b]) => b - a).map(([, index]) => index)
  }

  /** Sorted when somebody looks: requests do without. */
  get rules(): readonly Rule[] {
    this.#rules ??= Object.freeze([...this.#inForce].sort(byOrder))
    return this.#rules
  }

  isContested(rule: Rule): boolean {
    return this.#contested.has(spotOf(rule))
  }

  /**
   * A path that servers may read differently, such as `//admin` or `/public%2fadmin`, fits only what it fits however it is read:
   * nobody gets around the rule of a path by spelling it.
   */
  match(method: string, host: string, path: string): Rule | Mismatch {
    if (!path.startsWith('/')) return nothing
    const name = host.endsWith('.') ? host.slice(0, -1) : host
    const found = this.#find(method, name, comparable(path))
    const reading = lenient(path)
    if (reading !== path && found !== this.#find(method, name, comparable(reading))) return nothing
    return found ?? this.#mismatch(method, name, comparable(path))
  }

  #find(method: string, host: string, path: string): Rule | undefined {
    for (const index of this.#indexes) {
      const found = index.find(method, host, path)
      if (found !== undefined) return found
    }
    return undefined
  }

  #mismatch(method: string, host: string, path: string): Mismatch {
    const allow = new Set<string>()
    for (const index of this.#indexes) index.find(method, host, path, allow)
    return allow.size === 0 ? nothing : { allow: [...allow].sort() }
  }
}

/** What no two rules in force have in common. */
function requestsOf(rule: Rule): string {
  const { methods, priority = 0 } = rule.route
  return `${spotOf(rule)}\n${methods === undefined ? '' : [...methods].sort().join()}\n${priority}`
}

function spotOf({ route: { host = '', path } }: Rule): string {
  return `${host}\n${comparable(path)}`
}

function bySeniority(a: Candidate, b: Candidate): number {
  return (
    sources.indexOf(a.source) - sources.indexOf(b.source) ||
    a.age - b.age ||
    compare(seniorName(a), seniorName(b))
  )
}

/** Decides between rules of the same revision, the same way everywhere. */
function seniorName({ rule: { service, route } }: Candidate): string {
  return `${displayName(service)}\n${route.rewrite ?? ''}`
}

/** As they are looked at; among rules that fit no request together, in the order of their names. */
function byOrder({ route: a }: Rule, { route: b }: Rule): number {
  return (
    (b.priority ?? 0) - (a.priority ?? 0) ||
    hostRank(b) - hostRank(a) ||
    compare(a.host ?? '', b.host ?? '') ||
    segments(b.path) - segments(a.path) ||
    compare(a.path, b.path)
  )
}

/** Those that name methods first. */
function byMethods({ route: a }: Rule, { route: b }: Rule): number {
  return Number(a.methods === undefined) - Number(b.methods === undefined)
}

/** Exact hosts first, then wildcards, the longest first. */
function hostRank({ host = '' }: Route): number {
  return host.startsWith('*.') || host === '' ? host.length : limits.addressBytes + 1
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
