import type { Revision, ServiceKey } from '@seamark/core'
import type { Policy } from '../policy/policy.ts'
import type { Rule } from '../ports.ts'
import type { Candidate } from './route-table.ts'
import { ruleName } from './rule.ts'
import type { Statement } from './statement.ts'

interface Sayer {
  readonly statement: Statement
  readonly since: Revision
}

/**
 * A route that instances of one service say, for the same requests and to the same path. Where they differ in the rest of it, as
 * while a new version is rolled out, the newest has the say.
 */
export class SharedRoute {
  readonly #service: ServiceKey
  readonly #sayers = new Map<string, Sayer>()
  #oldest: Sayer | undefined
  #newest: Sayer | undefined
  #made: { readonly candidate: Candidate; readonly text: string; readonly policy: Policy } | undefined

  constructor(service: ServiceKey) {
    this.#service = service
  }

  get size(): number {
    return this.#sayers.size
  }

  add(id: string, statement: Statement, since: Revision): void {
    const sayer = { statement, since }
    this.#sayers.set(id, sayer)
    if (this.#sayers.size === 1) this.#oldest = this.#newest = undefined
    this.#weigh(sayer)
  }

  delete(id: string): void {
    const sayer = this.#sayers.get(id)
    this.#sayers.delete(id)
    // The last one is remembered, for as long as the route is kept without any.
    if (this.#sayers.size === 0 || (sayer !== this.#oldest && sayer !== this.#newest)) return
    this.#oldest = this.#newest = undefined
    for (const other of this.#sayers.values()) this.#weigh(other)
  }

  /** The same object until something in it changes. */
  candidate(policy: Policy): Candidate {
    const source = this.#sayers.size === 0 ? 'former' : 'registry'
    const { since: age } = this.#oldest!
    const { text } = this.#newest!.statement
    if (this.#made?.text !== text || this.#made.policy !== policy) {
      const rule = this.#rule(policy)
      this.#made = { candidate: { rule, source, age }, text, policy }
    } else if (this.#made.candidate.age !== age || this.#made.candidate.source !== source)
      this.#made = { ...this.#made, candidate: { rule: this.#made.candidate.rule, source, age } }
    return this.#made.candidate
  }

  #rule(policy: Policy): Rule {
    const { route, origin } = this.#newest!.statement
    const service = this.#service
    return Object.freeze({
      name: ruleName(service, route),
      route,
      service,
      filter: undefined,
      policy,
      origin,
    })
  }

  #weigh(sayer: Sayer): void {
    if (this.#oldest === undefined || sayer.since < this.#oldest.since) this.#oldest = sayer
    if (this.#newest === undefined || isNewer(sayer, this.#newest)) this.#newest = sayer
  }
}

/** Of the same revision, one in particular: every gateway is to say the same. */
function isNewer(a: Sayer, b: Sayer): boolean {
  return a.since > b.since || (a.since === b.since && a.statement.text > b.statement.text)
}
