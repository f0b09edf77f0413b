import type { Entry, Revision, ServiceKey } from '@seamark/core'
import type { Policy } from '../policy/policy.ts'
import type { Candidate } from './route-table.ts'
import { SharedRoute } from './shared-route.ts'
import { type StatementProblem, type Statements, statements } from './statement.ts'

interface Said {
  readonly statements: Statements
  readonly since: Revision
}

/** The routes of one service, as its instances say them. */
export class ServiceRoutes {
  readonly service: ServiceKey
  /** The same array until one of them changes. Up to date after `settle`. */
  candidates: readonly Candidate[] = []
  /** What instances say, and is no route; each once. The same array until one of them changes. */
  problems: readonly StatementProblem[] = []
  readonly #said = new Map<string, Said>()
  /** By the key of their statements. */
  readonly #routes = new Map<string, SharedRoute>()

  constructor({ namespace, service }: ServiceKey) {
    this.service = Object.freeze({ namespace, service })
  }

  /** Whether that changed anything. */
  put({ instance, createdRevision: since }: Entry): boolean {
    const { id } = instance
    const now = statements(instance)
    const before = this.#said.get(id)
    if (before === undefined ? isSilent(now) : before.since === since && isSame(before.statements, now))
      return false
    this.delete(id)
    if (isSilent(now)) return true
    this.#said.set(id, { statements: now, since })
    for (const statement of now.routes) {
      const route = this.#routes.get(statement.key) ?? new SharedRoute(this.service)
      this.#routes.set(statement.key, route)
      route.add(id, statement, since)
    }
    return true
  }

  delete(id: string): boolean {
    const before = this.#said.get(id)
    if (before === undefined) return false
    this.#said.delete(id)
    for (const { key } of before.statements.routes) this.#routes.get(key)?.delete(id)
    return true
  }

  /** After changes. `keep`: also the routes that nobody says any more. */
  settle(policy: Policy, keep: boolean): void {
    const candidates: Candidate[] = []
    for (const [key, route] of this.#routes)
      if (route.size > 0 || keep) candidates.push(route.candidate(policy))
      else this.#routes.delete(key)
    if (!isSameList(candidates, this.candidates)) this.candidates = candidates
    const problems = new Map<string, StatementProblem>()
    for (const { statements } of this.#said.values())
      for (const one of statements.problems) problems.set(textOf(one), one)
    const before = this.problems.map(textOf)
    if (!isSameList([...problems.keys()], before)) this.problems = [...problems.values()]
  }
}

function isSilent({ routes, problems }: Statements): boolean {
  return routes.length === 0 && problems.length === 0
}

function isSame(a: Statements, b: Statements): boolean {
  if (a === b) return true
  return (
    isSameList(
      a.routes.map(({ text }) => text),
      b.routes.map(({ text }) => text),
    ) && isSameList(a.problems.map(textOf), b.problems.map(textOf))
  )
}

function textOf({ statement, problem }: StatementProblem): string {
  return `${statement}\n${problem}`
}

export function isSameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((one, index) => one === b[index])
}
