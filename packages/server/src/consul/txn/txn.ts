import { type ConsulAnswer, ConsulError, jsonAnswer } from '../answer.ts'
import type { Ask } from '../ask.ts'
import { knownDatacenter, plainHeaders, reading } from '../blocking.ts'
import type { Endpoint } from '../endpoint.ts'
import { quote } from '../filter/quote.ts'
import { attempt } from '../kv/attempt.ts'
import { Draft } from '../kv/draft.ts'
import { entryJson } from '../kv/entry.ts'
import { checkKey, type KeySpace, longestValue } from '../kv/kv.ts'
import { withUnsigned } from '../kv/unsigned.ts'
import type { Wanted } from '../kv/verbs.ts'
import { catalogGet } from './catalog-get.ts'
import { keyVerbs, refusal, type Shown } from './key-verbs.ts'
import { type Operation, operations } from './txn-body.ts'

/** Operations; Consul's. */
const most = 64

interface Failure {
  readonly OpIndex: number
  readonly What: string
}

/** What became of a transaction: what it shows, or why nothing of it was done. */
interface Outcome {
  readonly shown: readonly (Shown | Readonly<Record<string, unknown>>)[]
  readonly failures: readonly Failure[]
}

/** Several operations that are done together, or not at all. */
export function txn(space: KeySpace): readonly Endpoint[] {
  const { context } = space
  return [{ path: '/v1/txn', methods: ['PUT'], bodyBytes: 2 * longestValue, answer }]

  async function answer(ask: Ask): Promise<ConsulAnswer> {
    const { length } = ask.body
    if (length > longestValue)
      throw new ConsulError(
        413,
        `Request body(${length} bytes) too large, max size: ${longestValue} bytes. See https://www.consul.io/docs/agent/options.html#txn_max_req_len.`,
      )
    const all = operations(ask.body)
    if (all.length > most)
      throw new ConsulError(413, `Transaction contains too many operations (${all.length} > ${most})`)
    return all.some(writes) ? readWrite(ask, all) : readOnly(ask, all)
  }

  function readOnly(ask: Ask, all: readonly Operation[]): ConsulAnswer {
    const asked = reading(context, ask)
    const { 'X-Consul-Index': _, ...headers } = plainHeaders(context, asked)
    const outcome = run(space, new Draft(context.items), all)
    const knownLeader = headers['X-Consul-Knownleader'] === 'true'
    const lastContact = Number(headers['X-Consul-Lastcontact']) * 1e6
    const meta = { Index: 0, LastContact: lastContact, KnownLeader: knownLeader, ConsistencyLevel: '' }
    return outcomeAnswer(ask, outcome, 0, headers, meta)
  }

  async function readWrite(ask: Ask, all: readonly Operation[]): Promise<ConsulAnswer> {
    knownDatacenter(context, ask)
    const keys = [...new Set(all.flatMap((one) => (one?.type === 'KV' ? [one.kv.Key] : [])))]
    for (const key of keys) checkKey(key)
    return space.turns.take(keys, () =>
      attempt(context, () => {
        const draft = new Draft(context.items)
        const outcome = run(space, draft, all)
        return {
          operations: draft.operations(outcome.failures.length === 0),
          result: (revision) => outcomeAnswer(ask, outcome, revision),
        }
      }),
    )
  }
}

function writes(operation: Operation): boolean {
  if (operation?.type === 'KV') return keyVerbs.get(operation.kv.Verb)?.writes === true
  return operation !== undefined && operation.Verb !== 'get'
}

function run({ context }: KeySpace, draft: Draft, all: readonly Operation[]): Outcome {
  const refusals = failuresOf(all, (operation) => {
    const problem = operation?.type === 'KV' && refusal(draft, operation.kv.Verb, wantedOf(operation.kv))
    if (problem) throw new ConsulError(409, problem)
  })
  if (refusals.length > 0) return { shown: [], failures: refusals }
  const shown: Outcome['shown'][number][] = []
  const failures = failuresOf(all, (operation) => {
    if (operation === undefined) return
    if (operation.type !== 'KV') shown.push(catalogGet(context, operation))
    else {
      const verb = keyVerbs.get(operation.kv.Verb)
      if (verb === undefined) throw new ConsulError(409, `unknown KV verb ${quote(operation.kv.Verb)}`)
      shown.push(...verb.run(draft, wantedOf(operation.kv)))
    }
  })
  return { shown, failures }
}

function failuresOf(all: readonly Operation[], task: (operation: Operation) => void): Failure[] {
  return all.flatMap((operation, OpIndex) => {
    try {
      task(operation)
      return []
    } catch (error) {
      if (error instanceof ConsulError) return [{ OpIndex, What: error.message }]
      throw error
    }
  })
}

function wantedOf({ Key, Value, Flags, Index, Session }: Extract<Operation, { type: 'KV' }>['kv']): Wanted {
  return { key: Key, value: Value, flags: Flags, session: Session, index: Index }
}

function outcomeAnswer(
  ask: Ask,
  { shown, failures }: Outcome,
  revision: number,
  headers: Readonly<Record<string, string>> = {},
  meta: Readonly<Record<string, unknown>> = {},
): ConsulAnswer {
  const failed = failures.length > 0
  const results = shown.map((one) =>
    isShown(one) ? { KV: entryJson(one.entry, revision, one.withValue) } : one,
  )
  const outcome = { Results: failed ? null : results, Errors: failed ? failures : null, ...meta }
  const answer = jsonAnswer(ask, outcome, headers, failed ? 409 : 200)
  return { ...answer, body: withUnsigned(answer.body as string) }
}

function isShown(one: Outcome['shown'][number]): one is Shown {
  return 'entry' in one
}
