import { createHash, randomBytes } from 'node:crypto'
import {
  type Batch,
  type CheckReport,
  type Claim,
  type Clock,
  checkName,
  checkPrefix,
  checkWrite,
  displayName,
  type Engine,
  grantedTtl,
  type Health,
  type Holder,
  type Instance,
  type InstanceKey,
  type ItemBatch,
  type Lease,
  type LeaseHost,
  leaseLost,
  type Notify,
  passing,
  type RegisterOptions,
  RemoteLease,
  type Revision,
  registeredHealth,
  reported,
  SeamarkError,
  type ServiceKey,
  systemClock,
  type Terms,
  type WriteOperation,
} from '@seamark/core'
import type { Argument } from './connection.ts'
import { Connections } from './connections.ts'
import { itemSubject } from './item-subject.ts'
import { claimName, escaped, instanceName, named } from './names.ts'
import { nonce } from './nonce.ts'
import { healthText, Records } from './record.ts'
import { redisUrl } from './redis-url.ts'
import { redisWatch, type State, type Subject } from './redis-watch.ts'
import { registrySubject } from './registry-subject.ts'
import * as scripts from './scripts.ts'
import { type Sweep, Sweeper } from './sweeper.ts'

export interface RedisOptions {
  /** Default the system's. */
  clock?: Clock
  /** Default: nobody is told. */
  notify?: Notify
}

/** Leases that one script renews: a few milliseconds of Redis' time. */
const renewedAtOnce = 1_000

/** No health has this text: a report that expects it learns what there is. */
const unknownHealth = '?'

/**
 * The registry in a Redis or Valkey server, alone, behind sentinels or in a cluster:
 * `redis://[user:password@]host[:port][/db][?prefix=seamark]`, `rediss://…`, `redis-sentinel://host:26379/master`.
 *
 * A server that is away is no error here: until it is back, everything throws `engine_unavailable`.
 * Throws `configuration` for a URL that is none, and when Redis refuses the user or the database.
 */
export async function redis(url: string, options: RedisOptions = {}): Promise<Engine> {
  const engine = new RedisEngine(url, options)
  try {
    await engine.contact()
  } catch (error) {
    await engine[Symbol.asyncDispose]()
    throw error
  }
  return engine
}

/** Opens what a URL names. Throws as `redis()` does. */
export function open(url: string, options: RedisOptions = {}): Promise<Engine> {
  return redis(url, options)
}

class RedisEngine implements Engine, LeaseHost {
  readonly freshness = 'push'
  readonly terms: Terms = Object.freeze({ minimumTtl: 1_000, lateness: 1_000 })
  readonly #clock: Clock
  readonly #notify: Notify
  readonly #connections: Connections
  readonly #records: Records
  readonly #itemRecords: Records
  readonly #sweeper: Sweeper
  /** Leases whose `lost` somebody listens to, by token. */
  readonly #listened = new Map<string, RemoteLease>()

  constructor(url: string, { clock = systemClock, notify = () => {} }: RedisOptions) {
    this.#clock = clock
    this.#notify = notify
    this.#connections = new Connections(redisUrl(url), clock)
    this.#records = new Records(notify)
    this.#itemRecords = new Records(notify)
    this.#sweeper = new Sweeper({ clock, notify, sweep: () => this.#sweep() })
  }

  /** Looks for what an operator has to put right. A server that is away is no error. Throws `configuration`. */
  async contact(): Promise<void> {
    try {
      const connection = await this.#connections.shared()
      const memory = String(await connection.call('INFO', 'memory'))
      const policy = /^maxmemory_policy:(allkeys-\S+)/m.exec(memory)?.[1]
      if (policy !== undefined && !/^maxmemory:0\s*$/m.test(memory))
        this.#notify({
          level: 'warn',
          event: 'eviction_possible',
          message: `Redis may evict the registry when memory is full (maxmemory-policy ${policy}): choose noeviction or volatile-….`,
          details: { policy },
        })
    } catch (error) {
      const reply = (error as Error).cause
      if (
        reply instanceof Error &&
        /^(WRONGPASS|NOAUTH|ERR DB index|ERR invalid DB|ERR invalid password|ERR SELECT)/.test(reply.message)
      )
        throw new SeamarkError('configuration', (error as Error).message, { cause: reply })
    }
  }

  watch(services: readonly ServiceKey[], signal: AbortSignal): AsyncIterable<Batch> {
    return this.#watch(registrySubject(this.#records, services), signal)
  }

  watchAll(signal: AbortSignal): AsyncIterable<Batch> {
    return this.#watch(registrySubject(this.#records), signal)
  }

  async register(instance: Instance, options: RegisterOptions = {}): Promise<Lease> {
    const ttl = grantedTtl(options.ttl, this.terms)
    const { namespace, service, id } = instance
    const name = instanceName(instance)
    const token = randomBytes(16).toString('base64url')
    const json = JSON.stringify(instance)
    for (let before = ''; ; ) {
      const health = registeredHealth(instance.checks, this.#health(name, before))
      const args = [name, json, before, healthText(health), ttl ?? 0, digest(token), nonce()]
      const [done, answer] = (await this.#run(scripts.register, args)) as [number, string]
      if (done === 1)
        return new RemoteLease(this, {
          key: Object.freeze({ namespace, service, id }),
          token,
          ttl,
          revision: Number(answer),
        })
      before = answer
    }
  }

  async resume(token: string): Promise<Lease> {
    const answer = (await this.#run(scripts.resume, [digest(token)])) as [string, string, string] | null
    const what = answer === null ? undefined : named(answer[0])
    if (answer === null || what?.kind !== 'instance') throw leaseLost('no such lease')
    const [, ttl, revisions] = answer
    return new RemoteLease(this, {
      key: Object.freeze(what.key),
      token,
      ttl: ttl === '0' ? undefined : Number(ttl),
      revision: Number(revisions.split(' ')[1]),
    })
  }

  async renew(tokens: readonly string[]): Promise<readonly boolean[]> {
    this.#connections.check()
    const parts: Promise<number[]>[] = []
    for (let at = 0; at < tokens.length; at += renewedAtOnce) {
      const digests = tokens.slice(at, at + renewedAtOnce).map(digest)
      parts.push(this.#run(scripts.renew, digests) as Promise<number[]>)
    }
    const held = (await Promise.all(parts)).flat().map((one) => one === 1)
    for (const [index, token] of tokens.entries())
      if (!held[index]) this.#lost(token, 'it expired, was superseded or revoked, or Redis lost its data')
    return held
  }

  async release(token: string): Promise<Revision | undefined> {
    const revision = await this.#run(scripts.release, [digest(token), nonce()])
    this.#lost(token, 'it was released')
    return revision === null ? undefined : Number(revision)
  }

  async deregister(key: InstanceKey): Promise<Revision | undefined> {
    const revision = await this.#run(scripts.deregister, [instanceName(key), nonce()])
    return revision === null ? undefined : Number(revision)
  }

  async report(key: InstanceKey, reports: readonly CheckReport[]): Promise<Revision> {
    const name = instanceName(key)
    let before = unknownHealth
    let health: Health = passing
    for (;;) {
      const answer = await this.#run(scripts.report, [name, before, healthText(health), nonce()])
      if (answer === null)
        throw new SeamarkError('instance_not_found', `No instance ${displayName(key)} is registered.`)
      const [done, text, revisions] = answer as [number, string, string]
      if (done === 1) return Number(text)
      const present = this.#health(name, text) ?? passing
      health = reported(present, reports)
      if (health === present) return Number(revisions.split(' ')[1])
      before = text
    }
  }

  async claim(name: string, lease: Lease): Promise<Claim | undefined> {
    checkName('name', name)
    const answer = await this.#run(scripts.claim, [digest(lease.token), escaped(name), nonce()])
    if (answer === null) {
      const why = 'it cannot hold a claim'
      this.#lost(lease.token, why)
      throw leaseLost(why)
    }
    const [held, fence] = answer as [number, string]
    if (held === 0) return undefined
    const { namespace, service, id } = lease.key
    const holder: Holder = Object.freeze({ namespace, service, id, name, fence: Number(fence) })
    return {
      holder,
      revision: holder.fence,
      [Symbol.asyncDispose]: async () => {
        await this.#run(scripts.unclaim, [claimName(holder), fence, nonce()])
      },
    }
  }

  async write(operations: readonly WriteOperation[]): Promise<Revision | undefined> {
    this.#connections.check()
    checkWrite(operations)
    if (operations.length === 0) return 0
    // Copies: what the writer does with its bytes later is not written.
    const args = operations.flatMap((operation): Argument[] => {
      const { type, key, at = '' } = operation
      return [type, key, at, type === 'put' ? Buffer.from(operation.value) : '']
    })
    const revision = await this.#run(scripts.writeItems, [nonce(), ...args])
    return revision === null ? undefined : Number(revision)
  }

  async *watchItems(prefix: string, signal: AbortSignal): AsyncGenerator<ItemBatch> {
    checkPrefix(prefix)
    yield* this.#watch(itemSubject(this.#itemRecords, prefix), signal)
  }

  listening(lease: RemoteLease): void {
    this.#listened.set(lease.token, lease)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sweeper.stop()
    this.#listened.clear()
    await this.#connections.close()
  }

  #watch<S extends State, C>(subject: Subject<S, C>, signal: AbortSignal) {
    return redisWatch({
      connections: this.#connections,
      clock: this.#clock,
      notify: this.#notify,
      subject,
      signal,
    })
  }

  #run(script: scripts.Script, args: readonly Argument[]): Promise<unknown> {
    return this.#connections.run(script, args)
  }

  async #sweep(): Promise<Sweep | undefined> {
    const answer = (await this.#run(scripts.sweep, [nonce()])) as number[] | null
    if (answer === null) return undefined
    const [expired = 0, overdue = 0, leases = 0, most = 0, stalled = 0, another] = answer
    return { expired, overdue, leases, most, stalled, another: another === 1 }
  }

  /** What cannot be read is taken for no health, and overwritten. */
  #health(name: string, text: string): Health | undefined {
    return text === '' ? undefined : this.#records.health(name, text)
  }

  #lost(token: string, why: string): void {
    this.#listened.get(token)?.lose(why)
    this.#listened.delete(token)
  }
}

/** What Redis keeps of a token: whoever reads its data, its logs or its traffic cannot use it. */
function digest(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}
