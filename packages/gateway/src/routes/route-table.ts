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
  /** The place of a rule with these keys among those in force. */
  place(keys: Keys): number | undefined
}

/** A candidate, with what it is sorted by. */
interface Ranked {
  readonly candidate: Candidate
  readonly keys: Keys
  /** In the table before. */
  readonly before: number
  /** In this one, when it is in force. */
  place: number
}

/** What rules are told apart by. */
interface Keys {
  /** Their host and path. */
  readonly spot: string
  /** What no two rules in force have in common. */
  readonly requests: string
  /** Of all rules for the same requests, this one. */
  readonly rule: string
}

/** Most rules of a table were in the one before. */
const known = new WeakMap<Rule, Keys>()

const sources: readonly Candidate['source'][] = ['file', 'registry', 'former']

const nothing: Mismatch = Object.freeze({ allow: undefined })

/**
 * Puts rules in force. Of those that fit a request, the first is taken: of the highest priority; then of the exact host, of the
 * longest wildcard, of no host; then of the longest path; then one that names methods; then of the file; then one that was in
 * force `before`; then of the oldest instance. When several are for the very same requests (host, path, methods, priority),
 * only the first of them is in force.
 *
 * What was in force stays so, as else a service would lose its path to one that waits for it, when its instances are
 * restarted one by one.
 */
export function routeTable(candidates: Iterable<Candidate>, before?: RankedTable): RankedTable {
  return Object.freeze(new Table(candidates, before))
}

class Table implements RankedTable {
  readonly conflicts: readonly Conflict[]
  readonly #ranked: readonly Ranked[]
  /** In force, by their requests. */
  readonly #winners = new Map<string, Ranked>()
  /** One for each priority, highest first. */
  readonly #indexes: readonly RouteIndex[]
  #rules: readonly Rule[] | undefined
  #contested: ReadonlySet<string> | undefined

  constructor(candidates: Iterable<Candidate>, before: RankedTable | undefined) {
    const ranked: Ranked[] = []
    for (const candidate of candidates) {
      const keys = keysOf(candidate.rule)
      const place = candidate.source === 'registry' ? before?.place(keys) : undefined
      ranked.push({ candidate, keys, before: place ?? Number.MAX_SAFE_INTEGER, place: -1 })
    }
    this.#ranked = ranked.sort(bySeniority)
    const winners = this.#winners
    const conflicts: Conflict[] = []
    for (const one of ranked) {
      const { rule } = one.candidate
      const winner = winners.get(one.keys.requests)
      if (winner === undefined) {
        one.place = winners.size
        winners.set(one.keys.requests, one)
      } else conflicts.push(Object.freeze({ rule, winner: winner.candidate.rule }))
    }
    this.conflicts = Object.freeze(conflicts)
    const indexes = new Map<number, RouteIndex>()
    for (const rule of this.#inForce()) {
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
    this.#rules ??= Object.freeze(this.#inForce().sort(byOrder))
    return this.#rules
  }

  isContested(rule: Rule): boolean {
    this.#contested ??= twice(this.#ranked.map(({ keys }) => keys.spot))
    return this.#contested.has(keysOf(rule).spot)
  }

  place(keys: Keys): number | undefined {
    const winner = this.#winners.get(keys.requests)
    return winner?.keys.rule === keys.rule ? winner.place : undefined
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

  /** Those that name methods first, as they are to be found first; otherwise the most senior first. */
  #inForce(): Rule[] {
    const rules = [...this.#winners.values()].map(({ candidate }) => candidate.rule)
    const named = rules.filter(({ route }) => route.methods !== undefined)
    return named.length === 0
      ? rules
      : [...named, ...rules.filter(({ route }) => route.methods === undefined)]
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

function keysOf(rule: Rule): Keys {
  let keys = known.get(rule)
  if (keys === undefined) {
    const { host = '', path, methods, priority = 0, rewrite = '' } = rule.route
    const spot = `${host}\n${comparable(path)}`
    const requests = `${spot}\n${methods === undefined ? '' : [...methods].sort().join()}\n${priority}`
    keys = { spot, requests, rule: `${displayName(rule.service)}\n${rewrite}` }
    known.set(rule, keys)
  }
  return keys
}

function bySeniority(a: Ranked, b: Ranked): number {
  return (
    sources.indexOf(a.candidate.source) - sources.indexOf(b.candidate.source) ||
    a.before - b.before ||
    a.candidate.age - b.candidate.age ||
    // The same way everywhere.
    compare(a.keys.rule, b.keys.rule)
  )
}

/** What is there more than once. */
function twice(texts: readonly string[]): ReadonlySet<string> {
  const seen = new Set<string>()
  const found = new Set<string>()
  for (const text of texts)
    if (seen.has(text)) found.add(text)
    else seen.add(text)
  return found
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

/** Exact hosts first, then wildcards, the longest first. */
function hostRank({ host = '' }: Route): number {
  return host.startsWith('*.') || host === '' ? host.length : limits.addressBytes + 1
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
