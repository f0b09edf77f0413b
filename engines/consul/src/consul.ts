import { createHash } from 'node:crypto'
import {
  type Batch,
  type CheckReport,
  type Claim,
  type Clock,
  checkName,
  checkPrefix,
  checkWrite,
  defaultNamespace,
  displayName,
  type Engine,
  grantedTtl,
  type Instance,
  type InstanceKey,
  type ItemBatch,
  isSeamarkError,
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
  token,
  type WriteOperation,
} from '@seamark/core'
import { Agent, Conflict, type Item, MissingNode, type Operation, operationsBound } from './agent.ts'
import { foreignId, foreignPath, isForeign, type NodeDump, type NodeRow, type Row, rows } from './foreign.ts'
import { type ItemWatchingOptions, watchingItems } from './item-watching.ts'
import { writeItems } from './item-writing.ts'
import { type Keys, keys } from './keys.ts'
import { type Location, location } from './location.ts'
import { hideOperation, mirrorId, mirrorName, nodeMark, nodeOperation, showOperations } from './mirror.ts'
import {
  type ClaimRecord,
  claimRecord,
  claimValue,
  type InstanceRecord,
  instanceRecord,
  instanceValue,
  leaseRecord,
  leaseValue,
} from './record.ts'
import { holderOf } from './registered-reader.ts'
import { skipping } from './skipping.ts'
import { Tidying } from './tidying.ts'
import { watching } from './watching.ts'

export interface ConsulOptions {
  /** Default the system's. */
  clock?: Clock
  /** Default: nobody is told. */
  notify?: Notify
}

/** Milliseconds. */
const lateness = 1_000

/** How often a write looks again when others changed what it found. */
const attempts = 100

/** Entries of claims that a transaction removes beside its own; the others are over all the same, and overwritten. */
const claimsBound = operationsBound - 16

/**
 * The engine on Consul. A lease is a session of Consul's with half of its TTL, which Consul ends after twice that time
 * and with it all entries that it holds: the instance, the lease, and the claims. Renewals are no writes.
 *
 * Nothing is asked before the first use. Throws `configuration` when the URL is wrong.
 */
export function consul(url: string, options: ConsulOptions = {}): Engine {
  return new Consul(location(url), options)
}

/** Opens `consul://token@host:8500/prefix?…`. Throws as `consul()` does. */
export async function open(url: string, options: ConsulOptions = {}): Promise<Engine> {
  return consul(url, options)
}

class Consul implements Engine {
  readonly freshness = 'push'
  readonly terms: Terms
  readonly #location: Location
  readonly #clock: Clock
  readonly #skipped: (key: string, error: unknown) => void
  readonly #keys: Keys
  readonly #agent: Agent
  readonly #tidying: Tidying
  readonly #closing = new AbortController()
  #node: Promise<void> | undefined
  #closed: Promise<void> | undefined

  constructor(location: Location, { clock = systemClock, notify = () => {} }: ConsulOptions) {
    this.terms = { minimumTtl: 2 * location.sessionTtlMin, lateness }
    this.#location = location
    this.#clock = clock
    this.#skipped = skipping(notify)
    this.#keys = keys(location.prefix)
    this.#agent = new Agent(location, clock)
    this.#tidying = new Tidying({ agent: this.#agent, clock, location })
  }

  async register(instance: Instance, options: RegisterOptions = {}): Promise<Lease> {
    this.#open()
    const ttl = grantedTtl(options.ttl, this.terms)
    const secret = token()
    const hash = hashOf(secret)
    await this.#makeNode(false)
    const binding = ttl === undefined ? undefined : { ttl, session: await this.#openSession(ttl) }
    try {
      const { revision, former } = await this.#put(instance, hash, binding)
      if (former?.Session !== undefined) await this.#endSession(former.Session)
      return this.#lease(instance, secret, ttl, revision)
    } catch (error) {
      if (binding !== undefined) await this.#endSession(binding.session)
      throw error
    }
  }

  /** Writes an instance with its new lease; answers what was there before. */
  #put(
    instance: Instance,
    hash: string,
    binding: Binding | undefined,
  ): Promise<{ revision: Revision; former: Item | undefined }> {
    const key = this.#keys.instance(instance)
    const leaseKey = this.#keys.lease(hash)
    const { namespace, service, id } = instance
    const lease = leaseValue({ namespace, service, id, ttl: binding?.ttl })
    let replaced: Item | undefined
    return this.#transact(async (_unsure, refused) => {
      // Others wrote for so long that the session ended meanwhile.
      if (binding !== undefined && refused instanceof Conflict && refused.message.includes(binding.session))
        binding.session = await this.#openSession(binding.ttl)
      const session = binding?.session
      const former = await this.#agent.item(key)
      const before = former && readable(() => instanceRecord(former.Value))
      // A write of ours whose answer was lost.
      if (former !== undefined && before?.lease === hash)
        return { done: { revision: former.ModifyIndex, former: replaced } }
      replaced = former
      const health = registeredHealth(instance.checks, before?.health)
      const value = instanceValue({ instance, health, lease: hash })
      return {
        operations: [
          ...hold(key, value, session, former),
          ...hold(leaseKey, lease, session, undefined),
          ...(before === undefined ? [] : await this.#endOf(instance, before.lease)),
          ...showOperations(this.#location.node, instance, health),
        ],
        result: (items) => ({ revision: written(items, key), former }),
      }
    })
  }

  async resume(secret: string): Promise<Lease> {
    this.#open()
    const item = await this.#agent.item(this.#keys.lease(hashOf(secret)))
    const record = item && readable(() => leaseRecord(item.Value))
    if (item === undefined || record === undefined) throw leaseLost('no such lease')
    const { ttl, ...key } = record
    return this.#lease(key, secret, ttl, item.ModifyIndex)
  }

  async renew(tokens: readonly string[]): Promise<readonly boolean[]> {
    this.#open()
    const wanted = new Map(tokens.map((secret) => [secret, this.#keys.lease(hashOf(secret))]))
    const leases = [...new Set(wanted.values())]
    const held = new Map<string, boolean>()
    // In turn: what waits for a connection for too long would seem to get no answer.
    for (let at = 0; at < leases.length; at += operationsBound) {
      // A session alone does not tell: that of a lease that was superseded may live on for a while.
      const items = await this.#agent.items(leases.slice(at, at + operationsBound))
      await Promise.all(
        items.map(async ({ Key, Session }) => {
          held.set(Key, Session === undefined || (await this.#agent.renewSession(Session)))
        }),
      )
    }
    return tokens.map((secret) => held.get(wanted.get(secret)!) ?? false)
  }

  release(secret: string): Promise<Revision | undefined> {
    const hash = hashOf(secret)
    return this.#writing(() =>
      this.#remove(async () => {
        const item = await this.#agent.item(this.#keys.lease(hash))
        const key = item && readable(() => leaseRecord(item.Value))
        if (item === undefined || key === undefined) return undefined
        return { key, guard: unchanged(item), hash, session: item.Session }
      }),
    )
  }

  deregister(key: InstanceKey): Promise<Revision | undefined> {
    return this.#writing(async () => {
      const revision = await this.#remove(async () => {
        const item = await this.#agent.item(this.#keys.instance(key))
        if (item === undefined) return undefined
        const hash = readable(() => instanceRecord(item.Value))?.lease
        return { key, guard: unchanged(item), hash, session: item.Session }
      })
      if (revision === undefined) await this.#refuseForeign(key)
      return revision
    })
  }

  async #remove(find: () => Promise<Removal | undefined>): Promise<Revision | undefined> {
    const { revision, session } = await this.#transact<Removed>(async (unsure) => {
      const removal = await find()
      if (removal === undefined) {
        // A write of ours whose answer was lost may have done it.
        const mark = unsure ? await this.#agent.item(this.#keys.revision) : undefined
        return { done: { revision: mark?.ModifyIndex, session: undefined } }
      }
      const { key, guard, hash, session } = removal
      return {
        operations: [
          guard,
          deletion(this.#keys.instance(key)),
          ...(hash === undefined ? [] : await this.#endOf(key, hash)),
          hideOperation(this.#location.node, { ID: mirrorId(key), Service: mirrorName(key) }),
          this.#mark(),
        ],
        result: (items) => ({ revision: written(items, this.#keys.revision), session }),
      }
    })
    if (session !== undefined) await this.#endSession(session)
    return revision
  }

  report(key: InstanceKey, reports: readonly CheckReport[]): Promise<Revision> {
    return this.#writing(() =>
      this.#transact(async () => {
        const item = await this.#agent.item(this.#keys.instance(key))
        const before = item && readable(() => instanceRecord(item.Value))
        if (item === undefined || before === undefined) {
          await this.#refuseForeign(key)
          throw new SeamarkError('instance_not_found', `No instance ${displayName(key)} is registered.`)
        }
        const health = reported(before.health, reports)
        if (health === before.health) return { done: item.ModifyIndex }
        const record: InstanceRecord = { ...before, health }
        const KV = {
          Verb: 'cas',
          Key: item.Key,
          Value: instanceValue(record),
          Index: item.ModifyIndex,
        }
        return {
          operations: [{ KV }, ...showOperations(this.#location.node, before.instance, health)],
          result: (items) => written(items, item.Key),
        }
      }),
    )
  }

  async claim(name: string, lease: Lease): Promise<Claim | undefined> {
    checkName('name', name)
    const hash = hashOf(lease.token)
    return this.#writing(() =>
      this.#transact<Claim | undefined>(async () => {
        const leaseItem = await this.#agent.item(this.#keys.lease(hash))
        const holding = leaseItem && readable(() => leaseRecord(leaseItem.Value))
        if (leaseItem === undefined || holding === undefined) throw leaseLost('it cannot hold a claim')
        const { namespace, service, id } = holding
        const record: ClaimRecord = { namespace, service, name, id, lease: hash }
        const key = this.#keys.claim(record)
        const present = await this.#agent.item(key)
        const holder = present && readable(() => claimRecord(present.Value))
        if (present !== undefined && holder?.lease === hash) return { done: this.#claim(holder, present) }
        if (holder !== undefined && (await this.#agent.item(this.#keys.lease(holder.lease))) !== undefined)
          return { done: undefined }
        return {
          operations: [
            unchanged(leaseItem),
            // What is left of a claim that is over.
            ...(present === undefined ? [] : [unchanged(present), deletion(key)]),
            ...hold(key, claimValue(record), leaseItem.Session, undefined),
          ],
          result: (items) => {
            const CreateIndex = written(items, key)
            return this.#claim(record, { CreateIndex })
          },
        }
      }),
    )
  }

  #claim(record: ClaimRecord, item: Pick<Item, 'CreateIndex'>): Claim {
    const holder = holderOf(record, item)
    return {
      holder,
      revision: holder.fence,
      [Symbol.asyncDispose]: () =>
        this.#writing(() =>
          this.#transact<void>(async () => {
            const item = await this.#agent.item(this.#keys.claim(record))
            if (item === undefined || item.CreateIndex !== holder.fence) return { done: undefined }
            return {
              operations: [unchanged(item), deletion(item.Key), this.#mark()],
              result: () => undefined,
            }
          }),
        ),
    }
  }

  watch(services: readonly ServiceKey[], signal: AbortSignal): AsyncIterable<Batch> {
    return this.#watchServices(services, signal)
  }

  watchAll(signal: AbortSignal): AsyncIterable<Batch> {
    // What ended while nobody watched.
    if (this.#closed === undefined) this.#tidying.soon()
    return this.#watchServices(undefined, signal)
  }

  async *watchItems(prefix: string, signal: AbortSignal): AsyncGenerator<ItemBatch> {
    checkPrefix(prefix)
    yield* this.#watch(signal, (common) => watchingItems({ ...common, prefix }))
  }

  #watchServices(services: readonly ServiceKey[] | undefined, signal: AbortSignal): AsyncGenerator<Batch> {
    const onGone = () => this.#tidying.soon()
    return this.#watch(signal, (common) => watching({ ...common, services, onGone }))
  }

  async *#watch<B>(
    signal: AbortSignal,
    batches: (common: Omit<ItemWatchingOptions, 'prefix'>) => AsyncGenerator<B>,
  ): AsyncGenerator<B> {
    this.#open()
    if (signal.aborted) return
    const controller = new AbortController()
    const abort = () => controller.abort()
    signal.addEventListener('abort', abort, { once: true })
    this.#closing.signal.addEventListener('abort', abort, { once: true })
    try {
      yield* batches({
        agent: this.#agent,
        keys: this.#keys,
        clock: this.#clock,
        skipped: this.#skipped,
        signal: controller.signal,
      })
    } finally {
      signal.removeEventListener('abort', abort)
      this.#closing.signal.removeEventListener('abort', abort)
    }
    if (!signal.aborted) throw closed()
  }

  async write(operations: readonly WriteOperation[]): Promise<Revision | undefined> {
    this.#open()
    checkWrite(operations)
    return writeItems(this.#agent, this.#keys, operations)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close()
    await this.#closed
  }

  async #close(): Promise<void> {
    this.#closing.abort()
    await this.#tidying[Symbol.asyncDispose]()
    await this.#agent.close()
  }

  #open(): void {
    if (this.#closed !== undefined) throw closed()
  }

  async #writing<T>(write: () => Promise<T>): Promise<T> {
    this.#open()
    return write()
  }

  /** Reads, decides and writes; again, when what was read had changed. */
  async #transact<T>(plan: (unsure: boolean, refused: unknown) => Promise<Plan<T>>): Promise<T> {
    let refused: unknown
    let unsure = false
    for (let attempt = 0; attempt < attempts; attempt++) {
      const planned = await plan(unsure, refused)
      if (!('operations' in planned)) return planned.done
      try {
        return planned.result(await this.#agent.write(planned.operations))
      } catch (error) {
        if (error instanceof MissingNode) await this.#makeNode(true)
        else if (isSeamarkError(error, 'engine_unavailable') && !unsure) unsure = true
        else if (!(error instanceof Conflict)) throw error
        refused = error
      }
    }
    throw new SeamarkError(
      'engine_unavailable',
      `Consul refused a write ${attempts} times, because others wrote meanwhile.`,
      { cause: refused },
    )
  }

  async #openSession(ttl: number): Promise<string> {
    const half = Math.ceil(ttl / 2)
    try {
      return await this.#agent.openSession(half)
    } catch (error) {
      if (!(error instanceof MissingNode)) throw error
    }
    await this.#makeNode(true)
    return this.#agent.openSession(half)
  }

  /** What is bound to a session is gone already, or another's by now: if this fails, it ends by itself. */
  async #endSession(session: string): Promise<void> {
    await this.#agent.closeSession(session).catch(() => undefined)
  }

  #makeNode(anew: boolean): Promise<void> {
    if (anew) this.#node = undefined
    if (this.#node === undefined) {
      const making = this.#writeNode()
      this.#node = making
      making.catch(() => {
        if (this.#node === making) this.#node = undefined
      })
    }
    return this.#node
  }

  async #writeNode(): Promise<void> {
    const { node, prefix } = this.#location
    const path = `/v1/catalog/nodes?filter=${encodeURIComponent(`Node == "${node}"`)}`
    const [there] = (await this.#agent.catalog<NodeRow[]>(path)).value ?? []
    if (there !== undefined && there.Meta?.[nodeMark] !== prefix)
      throw new SeamarkError(
        'configuration',
        `Consul has a node "${node}" that is not this registry's: give the URL another prefix, as in consul://host/other.`,
      )
    if (there === undefined) await this.#agent.write([nodeOperation(node, prefix)])
  }

  /** Removes the entries of a lease and its claims. */
  async #endOf(service: ServiceKey, hash: string): Promise<Operation[]> {
    const { value: items } = await this.#agent.list(this.#keys.claims(service))
    const claims = items.filter((item) => readable(() => claimRecord(item.Value))?.lease === hash)
    return [
      deletion(this.#keys.lease(hash)),
      ...claims.slice(0, claimsBound).flatMap(({ Key }) => deletion(Key)),
    ]
  }

  /** Gives a transaction that only deletes an index that it answers. */
  #mark(): Operation {
    return { KV: { Verb: 'set', Key: this.#keys.revision, Value: Buffer.from(token()).toString('base64') } }
  }

  /** Throws `not_allowed` when it is an instance that others registered. */
  async #refuseForeign(key: InstanceKey): Promise<void> {
    if (key.namespace !== defaultNamespace || !key.id.includes('/')) return
    const { value } = await this.#agent.catalog<(Row | NodeDump)[]>(foreignPath(key.service))
    const row = rows(value ?? []).find(
      (row) => isForeign(row) && row.Service.Service === key.service && foreignId(row) === key.id,
    )
    if (row !== undefined)
      throw new SeamarkError(
        'not_allowed',
        `${displayName(key)} was not registered by Seamark, but in Consul on the node "${row.Node.Node}" as "${row.Service.ID}": change it there.`,
      )
  }

  #lease(key: InstanceKey, secret: string, ttl: number | undefined, revision: Revision): Lease {
    const lost = new AbortController()
    const { namespace, service, id } = key
    return {
      key: Object.freeze({ namespace, service, id }),
      token: secret,
      ttl,
      revision,
      lost: lost.signal,
      renew: async () => {
        const [held] = await this.renew([secret])
        if (held) return
        const error = leaseLost('it expired, was superseded or was revoked')
        lost.abort(error)
        throw error
      },
      [Symbol.asyncDispose]: async () => {
        if (lost.signal.aborted) return
        await this.release(secret)
        lost.abort(leaseLost('released'))
      },
    }
  }
}

/** What makes a registration end: the session that its entries are bound to, opened again if it ended before they were written. */
interface Binding {
  readonly ttl: number
  session: string
}

type Plan<T> =
  | { readonly done: T }
  | { readonly operations: readonly Operation[]; result(items: readonly Item[]): T }

interface Removal {
  readonly key: InstanceKey
  /** That nothing changed since it was found. */
  readonly guard: Operation
  readonly hash: string | undefined
  readonly session: string | undefined
}

interface Removed {
  readonly revision: Revision | undefined
  readonly session: string | undefined
}

/** Writes an entry and binds it to a session, or to none, if nobody changed it since. */
function hold(
  Key: string,
  Value: string,
  session: string | undefined,
  former: Item | undefined,
): Operation[] {
  const write: Operation = {
    KV: session === undefined ? { Verb: 'set', Key, Value } : { Verb: 'lock', Key, Value, Session: session },
  }
  if (former === undefined) return [{ KV: { Verb: 'check-not-exists', Key } }, write]
  if (former.Session === undefined) return [unchanged(former), write]
  return [unchanged(former), { KV: { Verb: 'unlock', Key, Value, Session: former.Session } }, write]
}

function unchanged({ Key, ModifyIndex }: Item): Operation {
  return { KV: { Verb: 'check-index', Key, Index: ModifyIndex } }
}

function deletion(Key: string): Operation {
  return { KV: { Verb: 'delete', Key } }
}

/** At which index a transaction wrote the entry. */
function written(items: readonly Item[], key: string): Revision {
  return items.findLast(({ Key }) => Key === key)!.ModifyIndex
}

function readable<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** A token is 128 random bits: it needs no salt, and may be whatever a caller says. */
function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url')
}

function closed(): SeamarkError {
  return new SeamarkError('closed', 'The engine was closed.')
}
