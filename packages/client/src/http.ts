import {
  type Batch,
  type CheckReport,
  type Claim,
  type Clock,
  checkWrite,
  type Engine,
  grantedTtl,
  type Holder,
  type Instance,
  type InstanceKey,
  type ItemBatch,
  isSeamarkError,
  type Lease,
  type LeaseHost,
  leaseLost,
  type RegisterOptions,
  RemoteLease,
  type Revision,
  type ServiceKey,
  systemClock,
  type Terms,
  type WriteOperation,
} from '@seamark/core'
import { carefulTerms } from './deferred-engine.ts'
import { encodeOperation, httpItems } from './http-items.ts'
import { httpWatch } from './http-watch.ts'
import { Presence } from './presence.ts'
import { Renewals } from './renewals.ts'
import { Transport, type TransportOptions } from './transport.ts'
import { decodeHolder, type EntryJson, segment } from './wire.ts'

export interface HttpOptions extends TransportOptions {}

/** Tokens in one request: the server accepts no more. */
const mostTokens = 10_000
/** Milliseconds by which the end of a lease may reach a watcher here later than one inside the server. */
const networkSlack = 500
/** Milliseconds that a renewal may take, however short its lease is. */
const shortestRenewal = 250

/**
 * The engine that is a Seamark server, or several that share what they know, reached over HTTP. Several URLs may come as
 * an array or as one string joined by commas: it stays with one of them, chosen at random, goes to the next when that
 * one does not answer (no connection, 503, or silence), and comes back later.
 *
 * `lease.renew()` calls of one turn of the event loop travel in one request. Nothing is connected before it is needed; with no server to reach, everything throws `engine_unavailable`, whose `cause`
 * lists what came of each. Errors of a server keep their code and field. Disposing of it closes its sockets.
 * Throws `configuration` for URLs that are none.
 */
export function http(urls: string | readonly string[], options: HttpOptions = {}): HttpEngine {
  return new HttpEngine(urls, options)
}

export class HttpEngine implements Engine {
  readonly freshness = 'push'
  readonly #transport: Transport
  readonly #clock: Clock
  readonly #host: LeaseHost
  readonly #presence: Presence
  /** Leases whose `lost` somebody listens to, by token. */
  readonly #listened = new Map<string, RemoteLease>()
  #terms: Terms | undefined

  constructor(urls: string | readonly string[], options: HttpOptions) {
    this.#transport = new Transport(urls, options)
    this.#clock = options.clock ?? systemClock
    this.#presence = new Presence(this.#transport, this.#clock)
    // An answer that takes longer leaves no time to ask another server within the TTL.
    const renewals = new Renewals((tokens, ttl) => this.#renew(tokens, Math.max(shortestRenewal, ttl / 4)))
    this.#host = {
      renew: async (_, lease) => [await renewals.renew(lease)],
      release: (token) => this.release(token),
      listening: (lease) => this.#listened.set(lease.token, lease),
    }
  }

  /** The servers, in the order in which this engine asks them. */
  get urls(): readonly string[] {
    return this.#transport.urls
  }

  /** Careful numbers until the first contact; then the server's own, and some time for the network on top. */
  get terms(): Terms {
    return this.#terms ?? carefulTerms
  }

  /** Asks a server for its terms, if none has said them yet. Throws `engine_unavailable`. */
  async contact(): Promise<void> {
    if (this.#terms !== undefined) return
    const { terms } = await this.#transport.request<{ terms: Terms }>({
      method: 'GET',
      path: '/api/v1/status',
      repeatable: true,
    })
    const { minimumTtl, lateness } = terms
    this.#terms = Object.freeze({ minimumTtl, lateness: lateness + networkSlack })
  }

  watch(services: readonly ServiceKey[], signal: AbortSignal): AsyncIterable<Batch> {
    return httpWatch(this.#transport, this.#clock, services, signal)
  }

  watchAll(signal: AbortSignal): AsyncIterable<Batch> {
    return httpWatch(this.#transport, this.#clock, undefined, signal)
  }

  async register(instance: Instance, { ttl }: RegisterOptions = {}): Promise<Lease> {
    // JSON has no NaN: it would arrive as no TTL at all.
    grantedTtl(ttl, this.terms)
    const { namespace, service, id, ...body } = instance
    const answer = await this.#transport.request<{
      instance: EntryJson
      lease: { token: string; ttl: number | null }
      revision: Revision
    }>({
      method: 'PUT',
      path: instancePath(instance),
      body: ttl === undefined ? body : { ...body, ttl },
      // The lease of a first try that did arrive is superseded by the second.
      repeatable: true,
    })
    if (this.#terms === undefined) this.contact().catch(ignored)
    const key = Object.freeze({ namespace, service, id })
    const { lease, revision } = answer
    return new RemoteLease(this.#host, { key, token: lease.token, ttl: lease.ttl ?? undefined, revision })
  }

  async resume(token: string): Promise<Lease> {
    if (!isToken(token)) throw leaseLost('no server gives such tokens')
    const { key, ttl, revision } = await this.#transport.request<{
      key: InstanceKey
      ttl: number | null
      revision: Revision
    }>({ method: 'POST', path: '/api/v1/leases/resume', body: { token }, repeatable: true })
    return new RemoteLease(this.#host, { key: Object.freeze(key), token, ttl: ttl ?? undefined, revision })
  }

  async renew(tokens: readonly string[]): Promise<readonly boolean[]> {
    return this.#renew(tokens)
  }

  async release(token: string): Promise<Revision | undefined> {
    if (!isToken(token)) return undefined
    const { revision } = await this.#transport.request<{ revision: Revision | null }>({
      method: 'POST',
      path: '/api/v1/leases/release',
      body: { token },
      repeatable: true,
    })
    this.#lost(token, 'it was released')
    return revision ?? undefined
  }

  /**
   * Has the lease end with this process: the server ends it a second after the connection closed that this keeps open, and
   * does not wait for its TTL. Until disposed of; it keeps no process alive. Servers that cannot do that go by the TTL.
   * `doubt` is called when the connection broke and is back: the lease may have been ended meanwhile, which a renewal says.
   */
  present(lease: Lease, doubt: () => void): Disposable {
    return this.#presence.add(lease, doubt)
  }

  async deregister(key: InstanceKey): Promise<Revision | undefined> {
    try {
      const { revision } = await this.#transport.request<{ revision: Revision }>({
        method: 'DELETE',
        path: instancePath(key),
        // A second try could remove what somebody registered in between.
        repeatable: false,
      })
      return revision
    } catch (error) {
      if (isSeamarkError(error, 'instance_not_found') || isSeamarkError(error, 'service_not_found'))
        return undefined
      throw error
    }
  }

  async report(key: InstanceKey, reports: readonly CheckReport[]): Promise<Revision> {
    const { revision } = await this.#transport.request<{ revision: Revision }>({
      method: 'PUT',
      path: instancePath(key, '/health'),
      body: { checks: reports },
      repeatable: true,
    })
    return revision
  }

  async claim(name: string, lease: Lease): Promise<Claim | undefined> {
    const path = `${servicePath(lease.key)}/claims/${segment(name)}`
    const { token } = lease
    try {
      const { holder, revision } = await this.#transport.request<{ holder: Holder; revision: Revision }>({
        method: 'PUT',
        path: `${path}?names=any`,
        body: { token },
        repeatable: true,
      })
      let released = false
      return {
        holder: decodeHolder(holder),
        revision,
        [Symbol.asyncDispose]: async () => {
          // A second time, it would release what the same lease claimed anew meanwhile.
          if (released) return
          const release = `${path}/release?names=any`
          await this.#transport.request({ method: 'POST', path: release, body: { token }, repeatable: true })
          released = true
        },
      }
    } catch (error) {
      if (isSeamarkError(error, 'claim_held')) return undefined
      if (isSeamarkError(error, 'lease_lost')) this.#lost(token, 'a claim was refused for it')
      throw error
    }
  }

  async write(operations: readonly WriteOperation[]): Promise<Revision | undefined> {
    // JSON has no NaN: it would arrive as no comparison at all.
    checkWrite(operations)
    try {
      const { revision } = await this.#transport.request<{ revision: Revision }>({
        method: 'POST',
        path: '/api/v1/items',
        body: { operations: operations.map(encodeOperation) },
        // A second try would be refused for what the first one wrote, or would undo what somebody wrote in between.
        repeatable: false,
      })
      return revision
    } catch (error) {
      if (isSeamarkError(error, 'item_changed')) return undefined
      throw error
    }
  }

  watchItems(prefix: string, signal: AbortSignal): AsyncIterable<ItemBatch> {
    return httpItems(this.#transport, this.#clock, prefix, signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listened.clear()
    this.#presence.close()
    await this.#transport.close()
  }

  async #renew(tokens: readonly string[], timeout?: number): Promise<readonly boolean[]> {
    const held: boolean[] = new Array(tokens.length).fill(true)
    const starts = Array.from({ length: Math.ceil(tokens.length / mostTokens) }, (_, n) => n * mostTokens)
    await Promise.all(
      starts.map(async (start) => {
        const { lost } = await this.#transport.request<{ lost: readonly number[] }>({
          method: 'POST',
          path: '/api/v1/leases/renew',
          body: { tokens: tokens.slice(start, start + mostTokens) },
          repeatable: true,
          ...(timeout !== undefined && { timeout }),
        })
        for (const index of lost) {
          held[start + index] = false
          this.#lost(tokens[start + index]!, 'the server does not know it any more')
        }
      }),
    )
    return held
  }

  #lost(token: string, why: string): void {
    this.#listened.get(token)?.lose(why)
    this.#listened.delete(token)
  }
}

/** Others no server ever gave: it would refuse them as malformed, and here they are just lost. */
function isToken(token: string): boolean {
  return token !== '' && token.length <= 1_024
}

function servicePath({ namespace, service }: ServiceKey): string {
  return `/api/v1/namespaces/${segment(namespace)}/services/${segment(service)}`
}

function instancePath(key: InstanceKey, rest = ''): string {
  return `${servicePath(key)}/instances/${segment(key.id)}${rest}?names=any`
}

/** The terms are asked for again with the next registration. */
function ignored(): void {}
