import type { ConsulContext } from '../context.ts'
import type { Endpoint } from '../endpoint.ts'
import { Keys } from '../kv/keys.ts'
import { kv } from '../kv/kv.ts'
import { Turns } from '../kv/turns.ts'
import { Queries } from '../query/queries.ts'
import { query } from '../query/query.ts'
import { telling } from '../reads.ts'
import { session } from '../session/session.ts'
import { Sessions } from '../session/sessions.ts'
import { txn } from './txn.ts'

/** What Consul keeps beside its catalog: keys, sessions, prepared queries. */
export class Side implements Disposable {
  readonly keys: Keys
  readonly sessions: Sessions
  readonly queries: Queries
  readonly #context: ConsulContext
  readonly #turns = new Turns()

  constructor(context: ConsulContext) {
    this.#context = context
    this.keys = new Keys(context)
    this.queries = new Queries(context)
    const bound = (id: string) => this.queries.removals(id)
    this.sessions = new Sessions({ context, keys: this.keys, bound })
  }

  endpoints(): readonly Endpoint[] {
    const context = this.#context
    const space = { context, keys: this.keys, turns: this.#turns }
    return [
      ...kv(space),
      ...session(context, this.sessions).map(telling),
      ...txn(space),
      ...query(context, this.queries).map(telling),
    ]
  }

  [Symbol.dispose](): void {
    this.sessions[Symbol.dispose]()
    this.queries[Symbol.dispose]()
    this.keys[Symbol.dispose]()
  }
}
