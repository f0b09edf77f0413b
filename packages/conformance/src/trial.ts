import { randomUUID } from 'node:crypto'
import {
  type Batch,
  type CheckInput,
  type Engine,
  type Entry,
  type Holder,
  type Instance,
  type InstanceInput,
  type InstanceKey,
  type Item,
  instance,
  isSeamarkError,
  type Lease,
  limits,
  type Revision,
  type ServiceKey,
  type Source,
  type Terms,
} from '@seamark/core'
import { expect } from 'vitest'
import { directoryFollower, type Follower, follower } from './follower.ts'
import type { FollowerOptions } from './following.ts'
import type { Breakable, Harness, SourceHarness, SourceTruth, Truth } from './harness.ts'
import { type ItemFollower, itemFollower } from './item-follower.ts'
import { type Silence, silence } from './silence.ts'
import type { Time } from './time.ts'

/** What a watch shows first. */
export interface State {
  readonly revision: Revision
  readonly entries: readonly Entry[]
  readonly holders: readonly Holder[]
}

/** One run of one test: its truth, its names, and everything it opened, which it closes at the end. */
abstract class Trial<S extends Source, T extends Breakable & AsyncDisposable & { open(): Promise<S> }> {
  readonly truth: T
  readonly service: ServiceKey
  /** Milliseconds of the real clock that a condition may take to become true. */
  readonly patience: number
  readonly #handles = new Set<S>()
  readonly #followers = new Set<AsyncDisposable>()
  #silence: Silence | undefined

  constructor(truth: T, patience: number) {
    this.truth = truth
    this.patience = patience
    this.service = { namespace: `t${randomUUID()}`, service: 'api' }
  }

  async open(): Promise<S> {
    const handle = await this.truth.open()
    this.#handles.add(handle)
    return handle
  }

  key(id: string): InstanceKey {
    return { ...this.service, id }
  }

  instance(id: string, fields: Partial<InstanceInput> = {}): Instance {
    return instance({ ...this.key(id), address: '127.0.0.1', port: 3_000, ...fields })
  }

  /**
   * A check that has no result before the test is over: what checks the instance, if anything does, says nothing that a
   * test did not say.
   */
  async check(id: string): Promise<CheckInput> {
    this.#silence ??= await silence()
    const { url } = this.#silence
    return { id, type: 'http', url, interval: limits.ttl, timeout: limits.ttl }
  }

  follow(
    source: Source,
    services: readonly ServiceKey[] = [this.service],
    options?: FollowerOptions,
  ): Follower {
    return this.keep(follower(source, services, { patience: this.patience, ...options }))
  }

  /** Ends the follower with the test, and fails the test if the watch had broken its contract. */
  keep<F extends AsyncDisposable>(following: F): F {
    this.#followers.add(following)
    return following
  }

  /** Waits for a watch to end by itself, as when its handle was disposed of: in silence, or because that is closed. */
  async ended(following: Follower): Promise<void> {
    let outcome: 'over' | Error | undefined
    following.ended.then(
      () => {
        outcome = 'over'
      },
      (error: Error) => {
        outcome = error
      },
    )
    await this.eventually('the watch to end', () => outcome !== undefined)
    this.#followers.delete(following)
    if (outcome !== 'over' && !isSeamarkError(outcome, 'closed')) throw outcome
  }

  /** Ends a follower before the test does. */
  async unfollow(following: Follower): Promise<void> {
    this.#followers.delete(following)
    await following[Symbol.asyncDispose]()
  }

  /**
   * What a new watch shows first; or, `since` a revision that another handle wrote, as soon as it shows that: a handle may
   * be behind another.
   */
  async read(
    source: Source,
    services: readonly ServiceKey[] = [this.service],
    since: Revision = 0,
  ): Promise<State> {
    const following = follower(source, services, { patience: this.patience })
    await following.until('the first batch', () => true)
    await following.reached(since)
    const { revision, entries, holders } = following
    const state = { revision, entries: [...entries.values()], holders: [...holders.values()] }
    await following[Symbol.asyncDispose]()
    return state
  }

  async crash(): Promise<void> {
    if (this.truth.crash === undefined) throw missing('crash')
    await this.truth.crash()
  }

  async disconnect(): Promise<void> {
    if (this.truth.disconnect === undefined) throw missing('disconnect')
    await this.truth.disconnect()
  }

  /** Waits (in real time) for what no watch tells. */
  async eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + this.patience
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`Waited ${this.patience} ms in vain for: ${what}.`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = []
    for (const open of [...this.#followers, ...this.#handles, this.truth, this.#silence])
      try {
        await open?.[Symbol.asyncDispose]()
      } catch (error) {
        failures.push(error)
      }
    if (failures.length > 0) throw failures[0]
  }
}

function missing(method: string): Error {
  return new Error(`The harness has no ${method}(): give it one, or skip this test and say why.`)
}

/** A test of a source: it writes through the truth. */
export class SourceTrial extends Trial<Source, SourceTruth> {
  readonly #harness: SourceHarness

  constructor(harness: SourceHarness, truth: SourceTruth) {
    super(truth, 20_000)
    this.#harness = harness
  }

  /** A second world beside this one, for a test that counts what a whole life leaves behind. */
  another(): Promise<SourceTruth> {
    return this.#harness.setup()
  }

  async publish(...ids: string[]): Promise<void> {
    await inRounds(ids, 500, (id) => this.truth.publish(this.instance(id)))
  }
}

/** A test of an engine. */
export class EngineTrial extends Trial<Engine, Truth> {
  readonly terms: Terms
  /** Milliseconds: long enough to tell a lease's end from its lateness, and short. */
  readonly ttl: number

  constructor(harness: Harness, truth: Truth) {
    const { minimumTtl, lateness } = harness.terms
    const ttl = Math.max(minimumTtl, 4 * lateness, 8 * truth.time.precision)
    super(truth, 20_000 + (truth.time.driven ? 0 : ttl + lateness))
    this.terms = harness.terms
    this.ttl = ttl
  }

  get time(): Time {
    return this.truth.time
  }

  /** An item's key in this test's own part of the store. */
  itemKey(name: string): string {
    return `${this.service.namespace}/${name}`
  }

  async put(engine: Engine, name: string, text: string): Promise<Revision> {
    const value = new TextEncoder().encode(text)
    const revision = await engine.write([{ type: 'put', key: this.itemKey(name), value }])
    if (revision === undefined) throw new Error('A write without comparisons was refused.')
    return revision
  }

  followItems(engine: Engine, prefix: string, options?: FollowerOptions): ItemFollower {
    return this.keep(itemFollower(engine, this.itemKey(prefix), { patience: this.patience, ...options }))
  }

  /** The items under a prefix, as a new watch shows them first; or, `since` a revision, as soon as it shows that. */
  async firstItems(engine: Engine, prefix: string, since: Revision = 0): Promise<readonly Item[]> {
    const following = itemFollower(engine, this.itemKey(prefix), { patience: this.patience })
    await following.until('the first batch', () => true)
    await following.reached(since)
    const items = [...following.items.values()]
    await following[Symbol.asyncDispose]()
    return items
  }

  async item(engine: Engine, name: string, since: Revision): Promise<Item | undefined> {
    const items = await this.firstItems(engine, '', since)
    return items.find(({ key }) => key === this.itemKey(name))
  }

  /** All items of this test, as text, by name. */
  async texts(engine: Engine, since: Revision): Promise<Readonly<Record<string, string>>> {
    const items = await this.firstItems(engine, '', since)
    const start = this.itemKey('').length
    return Object.fromEntries(
      items.map(({ key, value }) => [key.slice(start), new TextDecoder().decode(value)]),
    )
  }

  followAll(engine: Engine): Follower {
    return this.keep(directoryFollower(engine, { patience: this.patience }))
  }

  /** Whether a lease is held. Renews it. */
  async held(engine: Engine, lease: Pick<Lease, 'token'>): Promise<boolean> {
    const [held] = await engine.renew([lease.token])
    return held!
  }

  /** Runs what gives a lease its time, and answers the moments between which it did. */
  async timed<T>(begin: () => Promise<T>): Promise<{ result: T; from: number; to: number }> {
    const from = this.time.now()
    const result = await begin()
    return { result, from, to: this.time.now() }
  }

  /** Holds the engine to its terms: an instance whose lease began between `from` and `to` ends neither early nor late. */
  async expectExpiry(
    engine: Engine,
    lease: Lease,
    { from, to }: { from: number; to: number },
    following = this.follow(engine),
  ): Promise<void> {
    const { ttl, time, terms } = { ttl: lease.ttl!, time: this.time, terms: this.terms }
    await following.until('the leased instance', () => following.entry(lease.key) !== undefined)
    const gone = following
      .until('the end of the lease', () => following.entry(lease.key) === undefined)
      .then(() => time.now())
    gone.catch(() => undefined)
    await time.elapse(Math.max(0, from + ttl - time.precision - time.now()))
    const { entries } = await this.read(engine)
    // On a real clock the reading may have ended too late to tell; the time of the deletion then does.
    if (time.now() < from + ttl) expect(entries.map((entry) => entry.instance.id)).toContain(lease.key.id)
    await time.elapse(Math.max(0, to + ttl + terms.lateness - time.now()))
    const end = await gone
    expect(end).toBeGreaterThanOrEqual(from + ttl)
    expect(end).toBeLessThanOrEqual(to + ttl + terms.lateness + time.precision)
  }
}

/** Does something for each item, `most` at a time. */
export async function inRounds<T, R>(
  items: readonly T[],
  most: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  for (let at = 0; at < items.length; at += most)
    results.push(...(await Promise.all(items.slice(at, at + most).map(work))))
  return results
}

/** What keeps the process alive, by kind. */
export function openHandles(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  counts.delete('Immediate')
  return counts
}

export function noMoreThan(now: ReadonlyMap<string, number>, before: ReadonlyMap<string, number>): boolean {
  return [...now].every(([kind, count]) => count <= (before.get(kind) ?? 0))
}

export function batchesOf(iterable: AsyncIterable<Batch>): AsyncIterator<Batch> {
  return iterable[Symbol.asyncIterator]()
}
