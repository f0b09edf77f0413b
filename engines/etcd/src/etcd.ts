import {
  type Batch,
  type CheckReport,
  type Claim,
  type ClaimKey,
  type Clock,
  checkName,
  displayName,
  type Engine,
  grantedTtl,
  type Health,
  type Holder,
  type Instance,
  type InstanceKey,
  type Lease,
  leaseLost,
  type Notify,
  type RegisterOptions,
  type Revision,
  registeredHealth,
  reported,
  SeamarkError,
  type ServiceKey,
  systemClock,
  type Terms,
} from '@seamark/core'
import type { ICompare, IKeyValue, IRequestOp } from 'etcd3'
import {
  Cluster,
  isLeaseLost,
  isRefused,
  mostOperations,
  type Outcome,
  type Page,
  revisionOf,
} from './cluster.ts'
import { EtcdLease, type LeaseHost } from './etcd-lease.ts'
import type { Format } from './format.ts'
import { Gate } from './gate.ts'
import { grpcFormat } from './grpc-format.ts'
import type { KeyRange } from './key-range.ts'
import { type Location, location } from './location.ts'
import {
  decodeClaim,
  decodeHealth,
  decodeLease,
  encodeClaim,
  encodeHealth,
  encodeLease,
  type LeaseRecord,
} from './records.ts'
import { seamarkFormat } from './seamark-format.ts'
import { Skipped } from './skipped.ts'
import { newLeaseId, newToken, noLease, parseToken, type Token } from './token.ts'
import { watching } from './watching.ts'

export interface EtcdOptions {
  /** Default the system's. */
  readonly clock?: Clock
  /** Default: nobody is told. */
  readonly notify?: Notify
}

/**
 * etcd looks for leases that are over every 500 ms (`lessor.runLoop`), and revokes them through its log. Of 600 leases on a
 * real 3.4 that had little else to do, the last was 503 ms late; the rest is for one that has. It revokes at most 1,000 a second.
 */
const lateness = 1_000
/** The shortest lease that etcd grants with its default election timeout: ceil(1.5 × 1 s). */
const usualMinimum = 2_000
/** Writes that are under way at a time: a crowd waits here, and not in etcd, where its deadlines would pass. */
const mostWrites = 256
/** Claims that one transaction gives up beside what else it does. */
const claimsTogether = 100
/** Races that one operation may lose. One of those who race always wins. */
const mostRaces = 1_000

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

/** What is known of a key when something is about to be written. */
interface Former {
  readonly revision: Revision
  readonly instance: FormerInstance | undefined
  readonly health: { readonly value: Health | undefined; readonly modified: Revision } | undefined
  /** Keys of the claims that the instance holds. */
  readonly claims: readonly Buffer[]
}

const nothing: Former = { revision: 0, instance: undefined, health: undefined, claims: [] }

interface FormerInstance {
  readonly modified: Revision
  /** Of etcd. */
  readonly lease: string
  /** The hash of the token; `undefined` for what others wrote. */
  readonly hash: string | undefined
  /** `undefined`: it cannot be read. */
  readonly value: Instance | undefined
}

class EtcdEngine implements Engine, LeaseHost {
  readonly freshness = 'push'
  readonly #clock: Clock
  readonly #cluster: Cluster
  readonly #gate: Gate
  readonly #format: Format
  readonly #skipped: Skipped
  readonly #closing = new AbortController()
  /** Leases whose `lost` somebody listens to, by token. */
  readonly #listened = new Map<string, EtcdLease>()
  #terms: Terms = Object.freeze({ minimumTtl: usualMinimum, lateness })

  constructor(place: Location, clock: Clock, notify: Notify) {
    this.#clock = clock
    this.#cluster = new Cluster(place, clock)
    this.#gate = new Gate(mostWrites)
    this.#format = (place.format === 'grpc' ? grpcFormat : seamarkFormat)(place.prefix)
    this.#skipped = new Skipped(notify)
  }

  /** `minimumTtl` depends on etcd's election timeout: it is what etcd granted when it was last asked for less. */
  get terms(): Terms {
    return this.#terms
  }

  /** Learns the shortest lease there is. Throws `engine_unavailable`. */
  async contact(): Promise<void> {
    const id = newLeaseId()
    await this.#grant(id, 1)
    this.#revoke(id)
  }

  watch(services: readonly ServiceKey[], signal: AbortSignal): AsyncIterable<Batch> {
    return this.#watch(services, signal)
  }

  watchAll(signal: AbortSignal): AsyncIterable<Batch> {
    return this.#watch(undefined, signal)
  }

  async *#watch(services: readonly ServiceKey[] | undefined, signal: AbortSignal): AsyncGenerator<Batch> {
    this.#cluster.open()
    if (signal.aborted) return
    const ending = new AbortController()
    const end = () => ending.abort()
    const closing = this.#closing.signal
    signal.addEventListener('abort', end, { once: true })
    closing.addEventListener('abort', end, { once: true })
    const world = {
      cluster: this.#cluster,
      clock: this.#clock,
      format: this.#format,
      skipped: this.#skipped,
    }
    try {
      yield* watching(world, services, ending.signal)
    } finally {
      ending.abort()
      signal.removeEventListener('abort', end)
      closing.removeEventListener('abort', end)
    }
    if (!signal.aborted) this.#cluster.open()
  }

  register(instance: Instance, options: RegisterOptions = {}): Promise<Lease> {
    return this.#admit(() => this.#register(instance, grantedTtl(options.ttl, this.terms)))
  }

  async #register(instance: Instance, asked: number | undefined): Promise<Lease> {
    const token = newToken(asked === undefined ? noLease : newLeaseId())
    const { lease } = token
    const begun = this.#clock.now()
    try {
      const ttl = asked === undefined ? undefined : await this.#grant(lease, asked)
      const revision = await this.#put(instance, token, ttl)
      // A crowd of registrations may take as long as a short lease.
      if (ttl !== undefined && this.#clock.now() - begun > ttl / 4) await this.#cluster.keepAlive([lease])
      return new EtcdLease(this, { key: instance, token: token.text, ttl, revision })
    } catch (error) {
      if (lease !== noLease) this.#revoke(lease)
      throw this.#cluster.unavailable(error)
    }
  }

  async #put(instance: Instance, { hash, lease }: Token, ttl: number | undefined): Promise<Revision> {
    const { namespace, service, id } = instance
    const record: LeaseRecord = { namespace, service, id, ...(ttl !== undefined && { ttl }) }
    // Most are new. If this one is not, the first attempt tells what is there.
    return this.#race(instance, nothing, async (former) => {
      if (former.instance?.hash === hash) return former.instance.modified
      const success = former.claims.slice(0, claimsTogether).map(remove)
      const all = success.length === former.claims.length
      if (all) {
        const before = former.instance && former.health?.value
        const health = registeredHealth(instance.checks, before)
        const key = this.#format.health(instance)
        if (health.checks.length > 0) success.push(put(key, encodeHealth(health), lease))
        else if (former.health !== undefined) success.push(remove(key))
        if (former.instance?.hash !== undefined)
          success.push(remove(this.#format.lease(former.instance.hash)))
        success.push(
          put(this.#format.lease(hash), encodeLease(record), lease),
          put(this.#format.instance(instance), this.#format.encode({ instance, lease: hash }), lease),
        )
      }
      let outcome: Outcome
      try {
        outcome = await this.#transactUnless(instance, former, success)
      } catch (error) {
        if (!isLeaseLost(error) || ttl === undefined) throw error
        // So much time went by that the lease was over before it was used.
        await this.#grant(lease, ttl)
        return this.#former(instance)
      }
      if (!outcome.succeeded) return this.#formerIn(instance, outcome)
      if (!all) return this.#former(instance)
      this.#revokeOf(former.instance)
      return outcome.revision
    })
  }

  resume(text: string): Promise<Lease> {
    return this.#admit(() => this.#resume(text))
  }

  async #resume(text: string): Promise<Lease> {
    const token = parseToken(text)
    const record = token && (await this.#record(token))
    if (token === undefined || record === undefined) throw leaseLost('there is none of that token')
    const { pages } = await this.#cluster.read([this.#format.instance(record)], { keysOnly: true })
    const [kv] = pages[0]!.kvs
    if (kv?.lease !== token.lease) throw leaseLost('its instance is not there')
    return new EtcdLease(this, {
      key: record,
      token: text,
      ttl: record.ttl,
      // Nothing but a registration writes the instance.
      revision: Number(kv.mod_revision),
    })
  }

  renew(texts: readonly string[]): Promise<readonly boolean[]> {
    return this.#admit(() => this.#renew(texts))
  }

  async #renew(texts: readonly string[]): Promise<readonly boolean[]> {
    const tokens = new Map<string, Token>()
    for (const text of texts) {
      const token = parseToken(text)
      if (token !== undefined) tokens.set(text, token)
    }
    const all = [...tokens.values()]
    const leases = all.map(({ lease }) => lease).filter((lease) => lease !== noLease)
    // A lease may outlive its registration, when what ended that one could not revoke it any more.
    const [alive, attached] = await Promise.all([this.#cluster.keepAlive(leases), this.#attached(all)])
    for (const token of all)
      if (attached.has(token.hash) && (token.lease === noLease || alive.has(token.lease))) continue
      else {
        tokens.delete(token.text)
        this.#lost(token.text, 'it expired, was superseded or was revoked')
        if (alive.has(token.lease)) this.#revoke(token.lease)
      }
    return texts.map((text) => tokens.has(text))
  }

  release(text: string): Promise<Revision | undefined> {
    return this.#admit(() => this.#release(text))
  }

  async #release(text: string): Promise<Revision | undefined> {
    const token = parseToken(text)
    const record = token && (await this.#record(token))
    const revision = record && (await this.#remove(record, token.hash))
    if (record !== undefined) this.#lost(text, 'it was released')
    return revision
  }

  deregister(key: InstanceKey): Promise<Revision | undefined> {
    return this.#admit(() => this.#remove(key))
  }

  /** Removes an instance, if it is (still) that of the lease. */
  async #remove(key: InstanceKey, hash?: string): Promise<Revision | undefined> {
    let unsure = false
    return this.#race<Revision | undefined>(key, await this.#former(key), async (former) => {
      const { instance } = former
      if (instance === undefined || (hash !== undefined && instance.hash !== hash))
        // A try of which nothing was heard may have been the one that removed it.
        return unsure ? former.revision : undefined
      const success = former.claims.slice(0, claimsTogether).map(remove)
      const all = success.length === former.claims.length
      if (all) {
        success.push(remove(this.#format.instance(key)), remove(this.#format.health(key)))
        if (instance.hash !== undefined) success.push(remove(this.#format.lease(instance.hash)))
      }
      const outcome = await this.#transactUnless(key, former, success)
      unsure ||= outcome.repeated
      if (!outcome.succeeded) return this.#formerIn(key, outcome)
      if (!all) return this.#former(key)
      this.#revokeOf(instance)
      return outcome.revision
    })
  }

  report(key: InstanceKey, reports: readonly CheckReport[]): Promise<Revision> {
    return this.#admit(() => this.#report(key, reports))
  }

  async #report(key: InstanceKey, reports: readonly CheckReport[]): Promise<Revision> {
    return this.#race(key, await this.#former(key), async (former) => {
      const { instance, health } = former
      if (instance?.value === undefined)
        throw new SeamarkError('instance_not_found', `No instance ${displayName(key)} is registered.`)
      const before = health?.value ?? registeredHealth(instance.value.checks, undefined)
      const after = reported(before, reports)
      if (after === before) return Math.max(instance.modified, health?.modified ?? 0)
      const success = [put(this.#format.health(key), encodeHealth(after), instance.lease)]
      try {
        const outcome = await this.#transactUnless(key, former, success)
        return outcome.succeeded ? outcome.revision : this.#formerIn(key, outcome)
      } catch (error) {
        // The lease ended just now, and the instance with it.
        if (!isLeaseLost(error)) throw error
        return this.#former(key)
      }
    })
  }

  claim(name: string, lease: Lease): Promise<Claim | undefined> {
    return this.#admit(() => this.#claim(name, lease))
  }

  async #claim(name: string, lease: Lease): Promise<Claim | undefined> {
    checkName('name', name)
    const token = parseToken(lease.token)
    if (token === undefined) throw leaseLost('there is none of that token')
    const { namespace, service, id } = lease.key
    const key: ClaimKey = { namespace, service, name }
    const [at, record, instance] = [
      this.#format.claim(key),
      this.#format.lease(token.hash),
      this.#format.instance(lease.key),
    ]
    const outcome = await this.#cluster
      .transact({
        compare: [
          { target: 'Create', key: at, result: 'Equal', create_revision: 0 },
          { target: 'Create', key: record, result: 'Greater', create_revision: 0 },
          { target: 'Create', key: instance, result: 'Greater', create_revision: 0 },
          { target: 'Lease', key: instance, result: 'Equal', lease: token.lease },
        ],
        success: [put(at, encodeClaim(id), token.lease)],
        failure: [range(at), range(record), range(instance)],
      })
      .catch((error: unknown) => {
        if (isLeaseLost(error)) throw this.#lost(lease.token, 'it expired')
        throw error
      })
    if (outcome.succeeded) return this.#claimed({ ...key, id, fence: outcome.revision })
    const [present, held, there] = outcome.responses.map((response) => response.response_range.kvs[0])
    if (held === undefined || there?.lease !== token.lease)
      throw this.#lost(lease.token, 'it expired, was superseded or was revoked')
    // A claim of the instance is this lease's: those of former leases are released with them.
    if (present === undefined || this.#read(present, decodeClaim) !== id) return undefined
    return this.#claimed({ ...key, id, fence: Number(present.create_revision) })
  }

  #claimed(holder: Holder): Claim {
    const key = this.#format.claim(holder)
    const compare: ICompare[] = [{ target: 'Create', key, result: 'Equal', create_revision: holder.fence }]
    return {
      holder: Object.freeze(holder),
      revision: holder.fence,
      [Symbol.asyncDispose]: async () => {
        await this.#cluster.transact({ compare, success: [remove(key)] })
      },
    }
  }

  listening(lease: EtcdLease): void {
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

  /** The granted TTL is remembered as the shortest there is, if it was more than asked for. */
  async #grant(id: string, ttl: number): Promise<number> {
    const granted = await this.#cluster.grant(id, ttl)
    const seconds = Math.ceil(ttl / 1_000) * 1_000
    if (ttl < this.#terms.minimumTtl || granted > seconds)
      this.#terms = Object.freeze({ minimumTtl: granted, lateness })
    return granted
  }

  /** One that cannot be revoked now ends by itself: nobody renews it. */
  #revoke(id: string): void {
    this.#cluster.revoke(id).catch(() => undefined)
  }

  /** A lease of ours binds nothing else; one of others may. */
  #revokeOf(former: FormerInstance | undefined): void {
    if (former?.hash !== undefined && former.lease !== noLease) this.#revoke(former.lease)
  }

  async #record({ hash, lease }: Token): Promise<LeaseRecord | undefined> {
    const { pages } = await this.#cluster.read([this.#format.lease(hash)])
    const [kv] = pages[0]!.kvs
    return kv?.lease === lease ? this.#read(kv, decodeLease) : undefined
  }

  /** The hashes of those whose instance is there, and theirs. */
  async #attached(tokens: readonly Token[]): Promise<ReadonlySet<string>> {
    const records = await this.#readEach(tokens.map(({ hash }) => this.#format.lease(hash)))
    const held = tokens.flatMap((token, index) => {
      const kv = records[index]
      const record = kv && this.#read(kv, decodeLease)
      return record ? [{ token, key: this.#format.instance(record) }] : []
    })
    const instances = await this.#readEach(
      held.map(({ key }) => key),
      true,
    )
    return new Set(
      held.flatMap(({ token }, index) => (instances[index]?.lease === token.lease ? token.hash : [])),
    )
  }

  async #readEach(keys: readonly Buffer[], keysOnly = false): Promise<readonly (IKeyValue | undefined)[]> {
    const starts = Array.from(
      { length: Math.ceil(keys.length / mostOperations) },
      (_, n) => n * mostOperations,
    )
    const parts = await Promise.all(
      starts.map(async (start) => {
        const { pages } = await this.#cluster.read(keys.slice(start, start + mostOperations), { keysOnly })
        return pages.map(({ kvs: [kv] }) => kv)
      }),
    )
    return parts.flat()
  }

  // Read, decide, and write if nothing has changed meanwhile.

  async #race<T extends Revision | undefined>(
    key: InstanceKey,
    former: Former,
    attempt: (former: Former) => Promise<T | Former>,
  ): Promise<T> {
    let known = former
    for (let races = 0; races < mostRaces; races++) {
      const answer = await attempt(known)
      if (typeof answer !== 'object') return answer
      known = answer
    }
    const message = `Too many write ${displayName(key)} at once: nothing was changed.`
    throw new SeamarkError('engine_unavailable', message)
  }

  #parts(key: InstanceKey): readonly (Buffer | KeyRange)[] {
    return [this.#format.instance(key), this.#format.health(key), this.#format.claims(key)]
  }

  async #former(key: InstanceKey): Promise<Former> {
    const { header, pages } = await this.#cluster.read(this.#parts(key))
    return this.#formerOf(key, revisionOf(header), pages)
  }

  #formerIn(key: InstanceKey, { revision, responses }: Outcome): Former {
    return this.#formerOf(
      key,
      revision,
      responses.map((response) => response.response_range),
    )
  }

  #formerOf(key: InstanceKey, revision: Revision, [instances, healths, claims]: readonly Page[]): Former {
    const [instance] = instances!.kvs
    const [health] = healths!.kvs
    const stored = instance && this.#read(instance, (value) => this.#format.decode(key, value))
    return {
      revision,
      instance: instance && {
        modified: Number(instance.mod_revision),
        lease: instance.lease,
        hash: stored?.lease,
        value: stored?.instance,
      },
      health: health && {
        modified: Number(health.mod_revision),
        value: this.#read(health, decodeHealth),
      },
      claims: claims!.kvs.filter((kv) => this.#read(kv, decodeClaim) === key.id).map((kv) => kv.key),
    }
  }

  /** Writes, unless the instance, its health or who claims what in the service is not as it was known. */
  #transactUnless(key: InstanceKey, former: Former, success: readonly IRequestOp[]): Promise<Outcome> {
    const [instance, health, claims] = this.#parts(key) as [Buffer, Buffer, KeyRange]
    return this.#cluster.transact({
      compare: [
        { target: 'Mod', key: instance, result: 'Equal', mod_revision: former.instance?.modified ?? 0 },
        { target: 'Mod', key: health, result: 'Equal', mod_revision: former.health?.modified ?? 0 },
        {
          target: 'Create',
          key: claims.from,
          range_end: claims.end,
          result: 'Less',
          create_revision: former.revision + 1,
        },
      ],
      success,
      failure: this.#parts(key).map(range),
    })
  }

  #read<T>({ key, value }: IKeyValue, decode: (value: Buffer) => T): T | undefined {
    try {
      return decode(value)
    } catch (error) {
      this.#skipped.note(key, error)
      return undefined
    }
  }

  #lost(token: string, why: string): SeamarkError {
    const lost = this.#listened.get(token)?.lose(why)
    this.#listened.delete(token)
    return lost ?? leaseLost(why)
  }
}

function put(key: Buffer, value: Buffer, lease: string): IRequestOp {
  return { request_put: { key, value, lease } }
}

function remove(key: Buffer): IRequestOp {
  return { request_delete_range: { key } }
}

function range(keys: Buffer | KeyRange): IRequestOp {
  return { request_range: Buffer.isBuffer(keys) ? { key: keys } : { key: keys.from, range_end: keys.end } }
}
