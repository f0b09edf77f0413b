import { randomBytes } from 'node:crypto'
import {
  Backoff,
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
  type Holder,
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
  sleep,
  systemClock,
  type Terms,
  type WriteOperation,
} from '@seamark/core'
import { Connection } from './connection.ts'
import { curatorJson } from './curator.ts'
import { ItemMirror } from './item-mirror.ts'
import { writeItems } from './item-writing.ts'
import { Held, Leases, leaseJson } from './leases.ts'
import { type Location, location } from './location.ts'
import { Mirror, type MirrorOptions, skipper } from './mirror.ts'
import { digestOf, type Paths, paths } from './paths.ts'
import { Conflict, type Operation, patience, type Session, type Stat, unavailable } from './session.ts'
import { type NewState, noState, type State, stateJson, stateOf } from './state.ts'

export interface ZookeeperOptions {
  /** Default the system's. */
  clock?: Clock
  /** Default: nobody is told. */
  notify?: Notify
}

/**
 * The registry in ZooKeeper, in the layout of Apache Curator's service discovery:
 * `zookeeper://user:password@host1:2181,host2:2181/services`. Resolves once a server was reached.
 *
 * Throws `configuration`, `engine_unavailable`.
 */
export async function zookeeper(url: string, options: ZookeeperOptions = {}): Promise<Engine> {
  const engine = new Zookeeper(location(url), options)
  try {
    await engine.contact()
    return engine
  } catch (error) {
    await engine[Symbol.asyncDispose]()
    throw error
  }
}

export const open = zookeeper

/** Leases that one transaction renews: with the longest names it stays below the megabyte that ZooKeeper accepts. */
const renewedTogether = 250

/** An instance as it is in ZooKeeper now. */
interface Present {
  readonly stat: Stat | undefined
  readonly state: State
  /** Of the state's node; `undefined` if there is none. */
  readonly version: number | undefined
}

class Zookeeper implements Engine {
  readonly freshness = 'push'
  readonly terms: Terms = { minimumTtl: 1_000, lateness: 1_000 }
  readonly #clock: Clock
  readonly #paths: Paths
  readonly #connection: Connection
  readonly #leases: Leases
  readonly #skip: ReturnType<typeof skipper>
  readonly #known = { revision: 0 }

  constructor(location: Location, { clock = systemClock, notify = () => {} }: ZookeeperOptions) {
    this.#clock = clock
    this.#paths = paths(location.base)
    this.#connection = new Connection(location, clock)
    this.#skip = skipper(notify)
    this.#leases = new Leases({
      connection: this.#connection,
      paths: this.#paths,
      clock,
      notify,
      remove: async (session, held, version) =>
        (await this.#remove(session, held.key, 'it expired', { digest: held.digest, version })) !== 'renewed',
    })
  }

  async contact(): Promise<void> {
    await this.#connection.session()
  }

  // Reading.

  watch(services: readonly ServiceKey[], signal: AbortSignal): AsyncIterable<Batch> {
    return this.#watch(signal, (common) => new Mirror({ ...common, services }))
  }

  async *watchAll(signal: AbortSignal): AsyncGenerator<Batch> {
    this.#connection.check()
    // Who has all of it is a server: it looks after leases, also those of others.
    if (!signal.aborted) this.#leases.start()
    yield* this.#watch(signal, (common) => new Mirror(common))
  }

  async *watchItems(prefix: string, signal: AbortSignal): AsyncGenerator<ItemBatch> {
    checkPrefix(prefix)
    yield* this.#watch(signal, (common) => new ItemMirror({ ...common, prefix }))
  }

  async *#watch<B>(
    signal: AbortSignal,
    mirror: (common: Pick<MirrorOptions, 'session' | 'paths' | 'known' | 'skip'>) => {
      batches(signal: AbortSignal): AsyncGenerator<B>
    },
  ): AsyncGenerator<B> {
    this.#connection.check()
    if (signal.aborted) return
    try {
      const session = await this.#connection.session()
      if (signal.aborted) return
      yield* mirror({ session, paths: this.#paths, known: this.#known, skip: this.#skip }).batches(signal)
    } catch (error) {
      if (signal.aborted) return
      this.#connection.check()
      throw error
    }
  }

  // Writing.

  async register(instance: Instance, options: RegisterOptions = {}): Promise<Lease> {
    const ttl = grantedTtl(options.ttl, this.terms)
    const token = randomBytes(16).toString('base64url')
    const digest = digestOf(token)
    this.#leases.start()
    const path = this.#paths.instance(instance)
    const data = curatorJson(instance, this.#clock.date(), ttl)
    const held = await this.#write(async (session) => {
      const { stat, state, version } = await this.#present(session, instance)
      const former = stat === undefined ? noState : state
      const lease = ttl === undefined ? { digest } : { digest, ttl }
      const next: NewState = {
        lease,
        health: registeredHealth(instance.checks, stat && former.health),
        reported: null,
        claims: new Map(),
      }
      const operations: Operation[] = []
      // Whose node ends with a session of Curator's has to be a new one.
      if (stat?.ephemeral) operations.push({ type: 'remove', path, version: stat.version })
      if (stat === undefined || stat.ephemeral) operations.push({ type: 'create', path, data, shared: true })
      else operations.push({ type: 'set', path, data })
      operations.push(this.#stateOperation(instance, next, version))
      operations.push(
        { type: 'create', path: this.#paths.lease(digest), data: leaseJson(instance, ttl) },
        ...(await this.#leftovers(session, instance, state)),
      )
      const { revision } = await this.#commit(session, operations)
      if (state.lease !== undefined)
        this.#leases.endedDigest(state.lease.digest, 'superseded by a newer registration')
      return this.#leases.keep(new Held(digest, { ...instance, ...lease }, revision, 0))
    })
    return this.#lease(token, held)
  }

  async resume(token: string): Promise<Lease> {
    this.#leases.start()
    const held = await this.#write((session) => this.#leases.latest(session, digestOf(token)))
    if (held === undefined) throw leaseLost('no such lease')
    return this.#lease(token, held)
  }

  async renew(tokens: readonly string[]): Promise<readonly boolean[]> {
    this.#connection.check()
    if (tokens.length === 0) return []
    this.#leases.start()
    const digests = new Map(tokens.map((token) => [token, digestOf(token)]))
    return this.#write(async (session) => {
      const known = await this.#leases.findAll(session, [...new Set(digests.values())])
      const renewed = new Set<string>()
      for (let at = 0; at < known.length; at += renewedTogether) {
        const some = known.slice(at, at + renewedTogether)
        for (const held of await this.#renew(session, some)) renewed.add(held.digest)
      }
      return tokens.map((token) => renewed.has(digests.get(token)!))
    })
  }

  /** Renews what is there, and answers it. One that is lost fails a transaction of many: then each has its own. */
  async #renew(session: Session, leases: readonly Held[]): Promise<readonly Held[]> {
    try {
      const { stats } = await session.commit(leases.flatMap((held) => this.#renewal(held)))
      for (const [index, held] of leases.entries())
        this.#leases.renewed(held, stats[2 * index + 1]?.version ?? held.version)
      return leases
    } catch (error) {
      if (!(error instanceof Conflict)) throw error
      const [only, ...others] = leases
      if (others.length > 0)
        return (await Promise.all(leases.map((held) => this.#renew(session, [held])))).flat()
      // Its instance was removed by somebody who knows nothing of leases.
      await this.#remove(session, only!.key, 'its instance was removed', { digest: only!.digest })
      this.#leases.ended(only!, 'its instance was removed')
      return []
    }
  }

  #renewal(held: Held): readonly Operation[] {
    const path = this.#paths.lease(held.digest)
    return [
      { type: 'check', path: this.#paths.instance(held.key) },
      held.leased ? { type: 'set', path, data: held.data } : { type: 'check', path },
    ]
  }

  async release(token: string): Promise<Revision | undefined> {
    const digest = digestOf(token)
    return this.#write(async (session) => {
      const held = await this.#leases.find(session, digest)
      if (held === undefined) return undefined
      const revision = await this.#remove(session, held.key, 'released', { digest })
      this.#leases.ended(held, 'released')
      return revision === 'renewed' ? undefined : revision
    })
  }

  async deregister(key: InstanceKey): Promise<Revision | undefined> {
    const revision = await this.#write((session) => this.#remove(session, key, 'deregistered'))
    return revision === 'renewed' ? undefined : revision
  }

  async report(key: InstanceKey, reports: readonly CheckReport[]): Promise<Revision> {
    return this.#write(async (session) => {
      const path = this.#paths.instance(key)
      const { stat, state, version } = await this.#certain(
        session,
        key,
        (seen) => seen.stat !== undefined && reported(seen.state.health, reports) !== seen.state.health,
      )
      if (stat === undefined)
        throw new SeamarkError('instance_not_found', `No instance ${displayName(key)} is registered.`)
      const health = reported(state.health, reports)
      if (health === state.health) return Math.max(stat.modified, state.reported)
      const { revision } = await this.#commit(session, [
        { type: 'check', path },
        this.#stateOperation(key, { ...state, health, reported: null }, version),
      ])
      return revision
    })
  }

  async claim(name: string, lease: Lease): Promise<Claim | undefined> {
    checkName('name', name)
    const digest = digestOf(lease.token)
    const holder = await this.#write<Holder | undefined>(async (session) => {
      const held = await this.#leases.find(session, digest)
      if (held === undefined) throw leaseLost('it cannot hold a claim')
      const { stat, state, version } = await this.#certain(
        session,
        held.key,
        (seen) =>
          seen.stat !== undefined && seen.state.lease?.digest === digest && !seen.state.claims.has(name),
      )
      if (stat === undefined || state.lease?.digest !== digest) throw leaseLost('it cannot hold a claim')
      const fence = state.claims.get(name)
      const { namespace, service, id } = held.key
      if (fence !== undefined) return Object.freeze({ namespace, service, id, name, fence })
      const path = this.#paths.claim({ namespace, service, name })
      if ((await session.stat(path)) !== undefined) {
        await session.sync()
        if ((await session.stat(path)) !== undefined) return undefined
      }
      const { revision } = await this.#commit(session, [
        { type: 'check', path: this.#paths.lease(digest) },
        this.#stateOperation(
          held.key,
          { ...state, claims: new Map<string, Revision | null>(state.claims).set(name, null) },
          version,
        ),
        { type: 'create', path, data: Buffer.from(JSON.stringify({ id })) },
      ])
      return Object.freeze({ namespace, service, id, name, fence: revision })
    })
    if (holder === undefined) return undefined
    return { holder, revision: holder.fence, [Symbol.asyncDispose]: () => this.#unclaim(holder) }
  }

  #unclaim(holder: Holder): Promise<void> {
    return this.#write(async (session) => {
      const isHeld = ({ state }: Present) => state.claims.get(holder.name) === holder.fence
      const { state, version } = await this.#certain(session, holder, isHeld)
      if (state.claims.get(holder.name) !== holder.fence) return
      const claims = new Map(state.claims)
      claims.delete(holder.name)
      await this.#commit(session, [
        this.#stateOperation(holder, { ...state, claims }, version),
        { type: 'remove', path: this.#paths.claim(holder) },
      ])
    })
  }

  async write(operations: readonly WriteOperation[]): Promise<Revision | undefined> {
    checkWrite(operations)
    let before: Session | undefined
    return this.#write(async (session) => {
      const commit = (steps: readonly Operation[]) => this.#commit(session, steps)
      // What a server that is behind shows would be in conflict again and again.
      if (session === before) await session.sync()
      before = session
      return writeItems({ session, paths: this.#paths, commit }, operations)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]()
    await this.#leases.stop()
  }

  // What writing is made of.

  /** Does what reads and then commits, again for as long as somebody else was faster. */
  async #write<T>(attempt: (session: Session) => Promise<T>): Promise<T> {
    const until = this.#clock.now() + patience
    const backoff = new Backoff({ first: 2, most: 100 })
    for (;;) {
      const session = await this.#connection.session()
      try {
        return await attempt(session)
      } catch (error) {
        this.#connection.check()
        if (!(error instanceof Conflict)) throw error
        if (this.#clock.now() > until)
          throw unavailable(`Others kept changing the same nodes for ${patience} ms`, error)
      }
      await sleep(this.#clock, backoff.next())
    }
  }

  /** Commits; when something is missing, makes what is above the nodes to create, and has the caller look again. */
  async #commit(session: Session, operations: readonly Operation[]): Promise<{ revision: Revision }> {
    try {
      return await session.commit(operations, this.#wrote)
    } catch (error) {
      if (error instanceof Conflict && error.reason === 'missing')
        await Promise.all(
          operations.map(
            (operation) =>
              operation.type === 'create' &&
              session.make(
                operation.path.slice(0, operation.path.lastIndexOf('/')),
                operation.shared === true,
              ),
          ),
        )
      throw error
    }
  }

  readonly #wrote = (revision: Revision) => {
    this.#known.revision = Math.max(this.#known.revision, revision)
  }

  async #present(session: Session, key: InstanceKey): Promise<Present> {
    const path = this.#paths.state(key)
    const [stat, node] = await Promise.all([session.stat(this.#paths.instance(key)), session.read(path)])
    if (node === undefined) return { stat, state: noState, version: undefined }
    const { version, modified } = node.stat
    try {
      return { stat, state: stateOf(node.data, modified), version }
    } catch (error) {
      // What nobody can read is replaced.
      this.#skip(path, error)
      return { stat, state: noState, version }
    }
  }

  /**
   * What is there. What is out of date makes a commit fail, and is looked at again; where there would be nothing to commit,
   * it is looked at again at once, for certain.
   */
  async #certain(session: Session, key: InstanceKey, isEnough: (seen: Present) => boolean): Promise<Present> {
    const seen = await this.#present(session, key)
    if (isEnough(seen)) return seen
    await session.sync()
    return this.#present(session, key)
  }

  #stateOperation(key: InstanceKey, state: NewState, version: number | undefined): Operation {
    const path = this.#paths.state(key)
    const data = stateJson(state)
    return version === undefined ? { type: 'create', path, data } : { type: 'set', path, data, version }
  }

  /** Removes what a former lease had of its own: its node, unless that is gone, and those of its claims. */
  async #leftovers(
    session: Session,
    { namespace, service }: ServiceKey,
    { lease, claims }: State,
    version = -1,
  ): Promise<readonly Operation[]> {
    const own = [...claims.keys()].map((name) => this.#paths.claim({ namespace, service, name }))
    if (lease !== undefined) own.unshift(this.#paths.lease(lease.digest))
    const there = await Promise.all(own.map((path) => session.stat(path)))
    return own.flatMap((path, index) =>
      there[index] === undefined
        ? []
        : [{ type: 'remove', path, version: lease !== undefined && index === 0 ? version : -1 } as const],
    )
  }

  /**
   * Removes an instance with all that is its own; answers the revision, or `undefined` if it was not there. With a digest,
   * only the instance of that lease, and with a version only if it was not renewed.
   */
  async #remove(
    session: Session,
    key: InstanceKey,
    why: string,
    only: { readonly digest?: string; readonly version?: number } = {},
  ): Promise<Revision | 'renewed' | undefined> {
    const { stat, state, version } = await this.#certain(
      session,
      key,
      (seen) =>
        seen.stat !== undefined && (only.digest === undefined || seen.state.lease?.digest === only.digest),
    )
    if (only.digest !== undefined && state.lease?.digest !== only.digest) {
      const path = this.#paths.lease(only.digest)
      // A lease that nothing belongs to.
      if ((await session.stat(path)) !== undefined) await session.commit([{ type: 'remove', path }])
      return undefined
    }
    const operations: Operation[] = [...(await this.#leftovers(session, key, state, only.version))]
    if (version !== undefined) operations.push({ type: 'remove', path: this.#paths.state(key), version })
    const path = this.#paths.instance(key)
    if (stat !== undefined) operations.push({ type: 'remove', path, version: stat.version })
    if (operations.length === 0) return undefined
    try {
      const { revision } = await session.commit(operations, this.#wrote)
      if (state.lease !== undefined) this.#leases.endedDigest(state.lease.digest, why)
      await this.#tidy(session, key)
      return stat === undefined ? undefined : revision
    } catch (error) {
      if (only.version !== undefined && error instanceof Conflict) return 'renewed'
      throw error
    }
  }

  /** Curator shows a service as long as its node is there. */
  async #tidy(session: Session, key: ServiceKey): Promise<void> {
    const path = this.#paths.service(key)
    try {
      const stat = await session.stat(path)
      if (stat?.children === 0) await session.commit([{ type: 'remove', path }])
    } catch (error) {
      // Somebody registered meanwhile. The instance is gone, whatever becomes of the empty node.
      if (!(error instanceof Conflict) && !isSeamarkError(error, 'engine_unavailable')) throw error
    }
  }

  #lease(token: string, held: Held): Lease {
    return {
      key: held.key,
      token,
      ttl: held.leased ? held.ttl : undefined,
      revision: held.revision,
      get lost() {
        return held.lost
      },
      renew: async () => {
        const [renewed] = await this.renew([token])
        if (!renewed) {
          held.end('no such lease')
          throw leaseLost(held.ended!)
        }
      },
      [Symbol.asyncDispose]: async () => {
        if (held.ended === undefined) await this.release(token)
      },
    }
  }
}
