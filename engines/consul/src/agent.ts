import { type Clock, isSeamarkError, SeamarkError } from '@seamark/core'
import { type Dispatcher, Pool } from 'undici'
import { keyPath } from './keys.ts'
import type { Location } from './location.ts'

/** An entry of Consul's KV store. */
export interface Item {
  readonly Key: string
  /** Base64; `null` in the results of writes, and where it is empty. */
  readonly Value: string | null
  /** The session that holds it. */
  readonly Session?: string
  readonly CreateIndex: number
  readonly ModifyIndex: number
}

/** One step of a transaction: https://developer.hashicorp.com/consul/api-docs/txn */
export type Operation =
  | {
      readonly KV: {
        readonly Verb: string
        readonly Key: string
        readonly Value?: string
        readonly Index?: number
        readonly Flags?: number
        readonly Session?: string
      }
    }
  | { readonly Node: { readonly Verb: 'set'; readonly Node: unknown } }
  | {
      readonly Service: { readonly Verb: 'set' | 'delete'; readonly Node: string; readonly Service: unknown }
    }
  | { readonly Check: { readonly Verb: 'set'; readonly Check: unknown } }

/** An answer, and what to wait from for the next. */
export interface Answer<T> {
  readonly index: number
  readonly value: T
}

export interface Reading {
  /** Wait for something newer than this. */
  readonly after?: number
  readonly signal?: AbortSignal
}

/** A transaction was refused for what it found: look again. */
export class Conflict extends Error {
  /** Which of its steps were not as expected. */
  readonly at: readonly number[]

  constructor(message: string, at: readonly number[]) {
    super(message)
    this.at = at
  }
}

/** What the writing of sessions and services is bound to is not in the catalog. */
export class MissingNode extends Error {}

/** Milliseconds that a question has to be answered in. */
const timeout = 5_000
/** Milliseconds that a blocking query waits for news; Consul adds up to a sixteenth (its documentation). */
const wait = 120_000
/** Steps of one transaction (Consul's documentation). */
export const operationsBound = 64
/** Bytes of the body of one transaction; Consul's default for `limits.txn_max_req_len`. */
export const transactionBound = 524_288
/** Bytes: more than a million instances have. */
const responseBound = 2 ** 30
/** Of 200 that Consul lets one address have by default. */
const connections = 16

/** Requests to one agent of Consul. Every failure is an error of ours. */
export class Agent {
  readonly #location: Location
  readonly #clock: Clock
  readonly #requests: Pool
  /** A blocking query occupies its connection: were they bounded together, they would starve requests. */
  readonly #waiting: Pool
  #closed = false

  constructor(location: Location, clock: Clock) {
    this.#location = location
    this.#clock = clock
    const connect = { timeout, keepAlive: true, keepAliveInitialDelay: 15_000, ...location.tls }
    this.#requests = new Pool(location.origin, { connect, connections, maxResponseSize: responseBound })
    this.#waiting = new Pool(location.origin, { connect, maxResponseSize: responseBound })
  }

  /** The entries whose keys begin so. */
  async list(prefix: string, reading: Reading = {}): Promise<Answer<readonly Item[]>> {
    const answer = await this.#read<Item[]>(`/v1/kv/${keyPath(prefix)}?recurse`, reading)
    return { index: answer.index, value: answer.value ?? [] }
  }

  /** The names of the keys that begin so. */
  async names(prefix: string): Promise<readonly string[]> {
    return (await this.#read<string[]>(`/v1/kv/${keyPath(prefix)}?keys`, {})).value ?? []
  }

  async item(key: string): Promise<Item | undefined> {
    const { value } = await this.#read<Item[]>(`/v1/kv/${keyPath(key)}`, {})
    return value?.[0]
  }

  /** What the catalog answers at a path; `undefined`: there is no such thing. */
  catalog<T>(path: string, reading: Reading = {}): Promise<Answer<T | undefined>> {
    return this.#read<T>(path, reading)
  }

  /** Throws `engine_unavailable` when the agent does not answer, or knows no leader. */
  async pulse(signal: AbortSignal): Promise<void> {
    const { value } = await this.#read<string>('/v1/status/leader', { signal })
    if (!value)
      throw new SeamarkError('engine_unavailable', `Consul at ${this.#location.origin} has no leader.`)
  }

  /** The entries that exist, of many keys of equal length. */
  async items(wanted: readonly string[]): Promise<readonly Item[]> {
    const operations = wanted.map((Key) => ({ KV: { Verb: 'get-tree', Key } }))
    return this.#transaction(operations, true)
  }

  /**
   * All of it or nothing; answers the entries written. Throws `Conflict`, `MissingNode`; and `engine_unavailable` also
   * when it is not known whether it was done.
   */
  write(operations: readonly Operation[]): Promise<readonly Item[]> {
    return this.#transaction(operations, false)
  }

  /** Throws `Conflict` unless all steps, which only compare, hold. */
  async compare(operations: readonly Operation[]): Promise<void> {
    await this.#transaction(operations, true)
  }

  /**
   * Writes one entry, also one that is too large for a transaction; with `at`, only if it is at that index, or, with 0, is
   * not there. Answers whether it was written. Throws as `write`.
   */
  async put(key: string, value: Uint8Array, flags: number, at?: number): Promise<boolean> {
    const query = new URLSearchParams({ flags: String(flags), ...(at !== undefined && { cas: String(at) }) })
    const { status, text } = await this.#send('PUT', `/v1/kv/${keyPath(key)}?${query}`, { body: value })
    if (status === 413)
      throw new SeamarkError(
        'too_large',
        'The value is more than Consul takes (its limits.kv_max_value_size, 512 KB by default).',
      )
    if (status !== 200) throw this.#refusal('PUT /v1/kv', status, text)
    return text.trim() === 'true'
  }

  /** Of the last change, also by a deletion, of the entries whose keys begin so. */
  async index(prefix: string): Promise<number> {
    return (await this.#read<string[]>(`/v1/kv/${keyPath(prefix)}?keys`, {})).index
  }

  /** Answers the id of a session that ends by itself. Throws `MissingNode`. */
  async openSession(ttl: number): Promise<string> {
    const body = {
      Node: this.#location.node,
      Name: 'Seamark lease',
      TTL: `${ttl}ms`,
      LockDelay: '0s',
      Behavior: 'delete',
      // Its end is that of its TTL alone: no agent takes it along.
      Checks: [],
      NodeChecks: [],
    }
    const { status, text } = await this.#send('PUT', '/v1/session/create', { body })
    if (status === 500 && text.includes('Missing node')) throw new MissingNode(text)
    if (status === 500 && text.includes('Invalid Session TTL'))
      throw new SeamarkError(
        'configuration',
        `Consul refuses a session of ${ttl} ms: give the URL the session_ttl_min of Consul's configuration, as in ?session-ttl-min=10s. It said: ${text}`,
      )
    if (status !== 200) throw this.#refusal('PUT /v1/session/create', status, text)
    return (JSON.parse(text) as { ID: string }).ID
  }

  /** Answers whether the session is alive. */
  async renewSession(id: string): Promise<boolean> {
    const { status, text } = await this.#send('PUT', `/v1/session/renew/${id}`, { repeatable: true })
    if (status === 404) return false
    if (status !== 200) throw this.#refusal('PUT /v1/session/renew', status, text)
    return true
  }

  async closeSession(id: string): Promise<void> {
    const { status, text } = await this.#send('PUT', `/v1/session/destroy/${id}`, { repeatable: true })
    if (status !== 200) throw this.#refusal('PUT /v1/session/destroy', status, text)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.all([this.#requests.destroy(), this.#waiting.destroy()])
  }

  async #transaction(operations: readonly Operation[], repeatable: boolean): Promise<readonly Item[]> {
    const { status, text } = await this.#send('PUT', repeatable ? '/v1/txn?consistent' : '/v1/txn', {
      body: operations,
      repeatable,
    })
    if (status === 413)
      throw new SeamarkError(
        'too_large',
        'What is written together is more than Consul takes at once (its limits.txn_max_req_len, 512 KB by default).',
      )
    if (status !== 200 && status !== 409) throw this.#refusal('PUT /v1/txn', status, text)
    const { Results, Errors } = JSON.parse(text) as {
      Results: { KV?: Item }[] | null
      Errors: { OpIndex: number; What: string }[] | null
    }
    if (status === 200) return (Results ?? []).flatMap(({ KV }) => KV ?? [])
    const what = (Errors ?? []).map(({ What }) => What).join('; ')
    if (what.includes('Permission denied')) throw this.#forbidden('PUT /v1/txn', what)
    if (what.includes('Missing node')) throw new MissingNode(what)
    throw new Conflict(
      what,
      (Errors ?? []).map(({ OpIndex }) => OpIndex),
    )
  }

  async #read<T>(path: string, { after, signal }: Reading): Promise<Answer<T | undefined>> {
    const blocking = after !== undefined
    // A leader that has just started answers other reads from a state that it has not put together yet.
    const query = blocking ? `consistent&index=${after}&wait=${wait / 1_000}s` : 'consistent'
    const options: Sending = {
      repeatable: true,
      blocking,
      milliseconds: blocking ? wait + wait / 16 + timeout : timeout,
      signal,
    }
    const { status, text, index } = await this.#send('GET', withQuery(path, query), options)
    if (status === 404) return { index, value: undefined }
    if (status !== 200) throw this.#refusal(`GET ${path.split('?')[0]}`, status, text)
    return { index, value: JSON.parse(text) as T }
  }

  async #send(
    method: 'GET' | 'PUT',
    path: string,
    { body, repeatable = false, blocking = false, milliseconds = timeout, signal }: Sending,
  ): Promise<{ status: number; text: string; index: number }> {
    const { token, datacenter } = this.#location
    const address = datacenter === undefined ? path : withQuery(path, `dc=${encodeURIComponent(datacenter)}`)
    for (let tries = 1; ; tries++) {
      if (this.#closed) throw new SeamarkError('closed', 'The engine was closed.')
      const controller = new AbortController()
      const abort = () => controller.abort(signal?.reason)
      signal?.throwIfAborted()
      signal?.addEventListener('abort', abort)
      const timer = this.#clock.after(milliseconds, () =>
        controller.abort(new SeamarkError('timeout', `no answer within ${milliseconds} ms`)),
      )
      try {
        const request: Dispatcher.RequestOptions = {
          method,
          path: address,
          headers: { ...(token !== undefined && { 'x-consul-token': token }) },
          body: body === undefined || body instanceof Uint8Array ? (body ?? null) : JSON.stringify(body),
          signal: controller.signal,
          headersTimeout: 0,
          bodyTimeout: 0,
        }
        const response = await (blocking ? this.#waiting : this.#requests).request(request)
        const text = await response.body.text()
        // Consul never answers 0: waiting from it would not wait (its documentation of blocking queries).
        const index = Math.max(1, Number(response.headers['x-consul-index'] ?? 1) || 1)
        return { status: response.statusCode, text, index }
      } catch (error) {
        signal?.throwIfAborted()
        if (this.#closed) throw new SeamarkError('closed', 'The engine was closed.', { cause: error })
        // A connection that was kept may have died unnoticed; another one is worth a try.
        const late = isSeamarkError(controller.signal.reason, 'timeout')
        if (repeatable && !late && tries < 3) continue
        throw new SeamarkError(
          'engine_unavailable',
          `Consul at ${this.#location.origin} did not answer ${method} ${path.split('?')[0]}: ${reason(error)}`,
          { cause: error },
        )
      } finally {
        timer.cancel()
        signal?.removeEventListener('abort', abort)
      }
    }
  }

  #refusal(what: string, status: number, text: string): SeamarkError {
    if (status === 401 || status === 403) return this.#forbidden(what, text)
    const said = `Consul at ${this.#location.origin} answered ${what} with ${status}: ${text.slice(0, 200)}`
    return new SeamarkError(status === 400 ? 'internal' : 'engine_unavailable', said)
  }

  #forbidden(what: string, text: string): SeamarkError {
    return new SeamarkError(
      'configuration',
      `Consul at ${this.#location.origin} does not allow ${what} (${text.slice(0, 200)}): the token in the URL needs the policy ${policy(this.#location)} (to read only, "read" is enough everywhere).`,
    )
  }
}

/** What a token must be allowed: https://developer.hashicorp.com/consul/docs/security/acl/acl-rules */
export function policy({ prefix, node }: Pick<Location, 'prefix' | 'node'>): string {
  return [
    `key_prefix "${prefix}/" { policy = "write" }`,
    `session "${node}" { policy = "write" }`,
    `node "${node}" { policy = "write" }`,
    'node_prefix "" { policy = "read" }',
    'service_prefix "" { policy = "write" }',
  ].join(' ')
}

interface Sending {
  /** Bytes as they are; anything else as JSON. */
  readonly body?: unknown
  /** Whether doing it twice does no harm. */
  readonly repeatable?: boolean
  readonly blocking?: boolean
  readonly milliseconds?: number
  readonly signal?: AbortSignal | undefined
}

function withQuery(path: string, query: string): string {
  return `${path}${path.includes('?') ? '&' : '?'}${query}`
}

/** Some of Node's errors have an empty message, such as those of a name with several addresses. */
function reason(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reason).join(', ')
  return error instanceof Error ? error.message || error.name : String(error)
}
