import {
  type Batch,
  type CheckReport,
  type Claim,
  type Clock,
  checkName,
  checkPrefix,
  type Engine,
  grantedTtl,
  type Instance,
  type InstanceKey,
  type ItemBatch,
  type Lease,
  type LeaseHost,
  leaseLost,
  type Notify,
  type RegisterOptions,
  RemoteLease,
  type Revision,
  SeamarkError,
  type ServiceKey,
  systemClock,
  type Terms,
  type WriteOperation,
} from '@seamark/core'
import { Cluster, isAway, isLeaseLost, isRefused } from './cluster.ts'
import type { Format } from './format.ts'
import { Gate } from './gate.ts'
import { grpcFormat } from './grpc-format.ts'
import { itemSubject } from './item-view.ts'
import { Items } from './items.ts'
import { Leases } from './leases.ts'
import { type Location, location } from './location.ts'
import { Registrations } from './registrations.ts'
import { registrySubject } from './registry-view.ts'
import { seamarkFormat } from './seamark-format.ts'
import { Skipped } from './skipped.ts'
import { newLeaseId, newToken, noLease, parseToken, type Token } from './token.ts'
import { type Subject, watching } from './watching.ts'

export interface EtcdOptions {
  /** Default the system's. */
  readonly clock?: Clock
  /** Default: nobody is told. */
  readonly notify?: Notify
}

/** Operations that are under way at a time: a crowd waits here, and not in etcd, where its deadlines would pass. */
const mostOperations = 64

/**
 * The engine that is an etcd cluster (3.4 or newer): `etcd://host:2379,host,…/prefix`. A cluster that is away is no error
 * here: everything throws `engine_unavailable` until it is back. Throws `configuration` for a URL that is none, for files it
 * names that cannot be read, and when etcd refuses the user.
 */
export async function etcd(
  url: string,
  { clock = systemClock, notify = () => {} }: EtcdOptions = {},
): Promise<Engine> {
  const engine = new EtcdEngine(location(url), clock, notify)
  try {
    await engine.contact()
  } catch (error) {
    const { cause } = error as SeamarkError
    if (!isRefused(cause)) return engine
    await engine[Symbol.asyncDispose]()
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new SeamarkError('configuration', `etcd does not let us in: ${why}.`, { cause })
  }
  return engine
}

class EtcdEngine implements Engine, LeaseHost {
  readonly freshness = 'push'
  readonly #clock: Clock
  readonly #cluster: Cluster
  readonly #leases: Leases
  readonly #registrations: Registrations
  readonly #items: Items
  readonly #format: Format
  readonly #skipped: Skipped
  readonly #gate = new Gate(mostOperations, (error) => isAway(Object(error).cause))
  readonly #closing = new AbortController()
  /** Leases whose `lost` somebody listens to, by token. */
  readonly #listened = new Map<string, RemoteLease>()

  constructor(place: Location, clock: Clock, notify: Notify) {
    const cluster = new Cluster(place, clock)
    const format = (place.format === 'grpc' ? grpcFormat : seamarkFormat)(place.prefix)
    const skipped = new Skipped(notify)
    this.#clock = clock
    this.#cluster = cluster
    this.#leases = new Leases(cluster, format, skipped)
    this.#registrations = new Registrations(cluster, format, this.#leases, skipped)
    this.#items = new Items(cluster, format.items)
    this.#format = format
    this.#skipped = skipped
  }

  get terms(): Terms {
    return this.#leases.terms
  }

  /** Learns whether we are let in, and the shortest lease there is. Throws `engine_unavailable`. */
  async contact(): Promise<void> {
    const token = newToken(newLeaseId())
    // Leases are granted to anybody; to look for one that is not there needs a user, where etcd knows any.
    await this.#leases.record(token)
    await this.#leases.grant(token.lease, 1)
    this.#leases.revoke(token.lease)
  }

  watch(services: readonly ServiceKey[], signal: AbortSignal): AsyncIterable<Batch> {
    return this.#watch(registrySubject(this.#format, this.#skipped, services), signal)
  }

  watchAll(signal: AbortSignal): AsyncIterable<Batch> {
    return this.#watch(registrySubject(this.#format, this.#skipped, undefined), signal)
  }

  async *watchItems(prefix: string, signal: AbortSignal): AsyncGenerator<ItemBatch> {
    checkPrefix(prefix)
    yield* this.#watch(itemSubject(this.#format.items, this.#skipped, prefix), signal)
  }

  async *#watch<B>(subject: Subject<B>, signal: AbortSignal): AsyncGenerator<B> {
    this.#cluster.open()
    if (signal.aborted) return
    const ending = new AbortController()
    const end = () => ending.abort()
    const closing = this.#closing.signal
    signal.addEventListener('abort', end, { once: true })
    closing.addEventListener('abort', end, { once: true })
    try {
      yield* watching({ cluster: this.#cluster, clock: this.#clock }, subject, ending.signal)
    } finally {
      ending.abort()
      signal.removeEventListener('abort', end)
      closing.removeEventListener('abort', end)
    }
    if (!signal.aborted) this.#cluster.open()
  }

  register(instance: Instance, { ttl }: RegisterOptions = {}): Promise<Lease> {
    return this.#admit(() => this.#register(instance, grantedTtl(ttl, this.terms)))
  }

  async #register(instance: Instance, asked: number | undefined): Promise<Lease> {
    const token = newToken(asked === undefined ? noLease : newLeaseId())
    const { lease, text } = token
    const begun = this.#clock.now()
    try {
      const ttl = asked === undefined ? undefined : await this.#leases.grant(lease, asked)
      const revision = await this.#registrations.put(instance, token, ttl)
      // On a busy etcd, it may have taken as long as a short lease.
      if (ttl !== undefined && this.#clock.now() - begun > ttl / 4) await this.#cluster.keepAlive([lease])
      return new RemoteLease(this, { key: instance, token: text, ttl, revision })
    } catch (error) {
      this.#leases.revoke(lease)
      throw this.#cluster.unavailable(error)
    }
  }

  resume(token: string): Promise<Lease> {
    return this.#admit(async () => {
      const parsed = parseToken(token)
      const found = parsed && (await this.#leases.find(parsed))
      if (found === undefined) throw this.#lost(token)
      const { record, revision } = found
      return new RemoteLease(this, { key: record, token, ttl: record.ttl, revision })
    })
  }

  renew(tokens: readonly string[]): Promise<readonly boolean[]> {
    return this.#admit(async () => {
      const parsed = new Map<string, Token>()
      for (const text of tokens) {
        const token = parseToken(text)
        if (token !== undefined) parsed.set(text, token)
      }
      const held = await this.#leases.renew([...parsed.values()])
      return tokens.map((text) => {
        const token = parsed.get(text)
        if (token !== undefined && held.has(token)) return true
        this.#lost(text)
        return false
      })
    })
  }

  release(token: string): Promise<Revision | undefined> {
    return this.#admit(async () => {
      const parsed = parseToken(token)
      const record = parsed && (await this.#leases.record(parsed))
      const revision = record && (await this.#registrations.remove(record, parsed?.hash))
      this.#lost(token, 'it was released')
      return revision
    })
  }

  deregister(key: InstanceKey): Promise<Revision | undefined> {
    return this.#admit(() => this.#registrations.remove(key))
  }

  report(key: InstanceKey, reports: readonly CheckReport[]): Promise<Revision> {
    return this.#admit(() => this.#registrations.report(key, reports))
  }

  claim(name: string, lease: Lease): Promise<Claim | undefined> {
    return this.#admit(() => this.#claim(name, lease))
  }

  async #claim(name: string, { key, token }: Lease): Promise<Claim | undefined> {
    checkName('name', name)
    const { namespace, service, id } = key
    const parsed = parseToken(token)
    const holder =
      parsed &&
      (await this.#registrations.claim({ namespace, service, name }, parsed, id).catch((error: unknown) => {
        if (isLeaseLost(error)) return undefined
        throw error
      }))
    if (holder === undefined) throw this.#lost(token)
    if (holder.id !== id) return undefined
    return {
      holder,
      revision: holder.fence,
      [Symbol.asyncDispose]: () => this.#admit(() => this.#registrations.release(holder)),
    }
  }

  async write(operations: readonly WriteOperation[]): Promise<Revision | undefined> {
    this.#cluster.open()
    return this.#admit(this.#items.prepare(operations))
  }

  listening(lease: RemoteLease): void {
    this.#listened.set(lease.token, lease)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    this.#listened.clear()
    this.#cluster.close()
  }

  /** In its turn. Throws `closed`. */
  async #admit<T>(work: () => Promise<T>): Promise<T> {
    this.#cluster.open()
    return this.#gate.pass(work)
  }

  #lost(token: string, why = 'it expired, was superseded or was revoked'): SeamarkError {
    const lost = this.#listened.get(token)?.lose(why)
    this.#listened.delete(token)
    return lost ?? leaseLost(why)
  }
}
