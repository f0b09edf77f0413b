import type { CheckReport, Health } from './health.ts'
import type { Instance } from './instance.ts'
import type { InstanceKey, ServiceKey } from './names.ts'

/**
 * A moment in an engine's life. It only grows, as long as the engine keeps its data; an engine that starts anew may
 * start lower, and then its watches begin with a reset. A safe integer: etcd's revisions, ZooKeeper's zxids and
 * Consul's indexes stay below 2^53 for longer than any cluster lives.
 */
export type Revision = number

/** An instance as the catalog shows it. Frozen: while nothing changed, it is the same object. */
export interface Entry {
  readonly instance: Instance
  readonly health: Health
  readonly createdRevision: Revision
  readonly modifiedRevision: Revision
}

/** Who holds a claim of a service. */
export interface Holder extends InstanceKey {
  readonly name: string
  /** A fencing number: it grows with every new holder of the name, so that what a former one still does can be refused. */
  readonly fence: Revision
}

/** A claim's name, inside its service. */
export interface ClaimKey extends ServiceKey {
  readonly name: string
}

export type Change =
  /** Replaces everything this watch covers. */
  | { readonly type: 'reset'; readonly entries: readonly Entry[]; readonly holders: readonly Holder[] }
  | { readonly type: 'put'; readonly entry: Entry }
  | { readonly type: 'delete'; readonly key: InstanceKey }
  | { readonly type: 'claim'; readonly holder: Holder }
  | { readonly type: 'release'; readonly claim: ClaimKey }

/** Changes that became true together, and the engine's revision once they are applied. Without any, only that went on. */
export interface Batch {
  readonly revision: Revision
  readonly changes: readonly Change[]
}

/**
 * The readable half. Plain DNS is only this. Once it is disposed of, whatever is under way and whatever is asked throws
 * `closed`.
 */
export interface Source extends AsyncDisposable {
  /** Changes are pushed, or polled for every so many ms. */
  readonly freshness: 'push' | number
  /**
   * Watches services, also ones that do not exist yet. The first change is a reset, and another reset follows whenever
   * continuity may have been lost; a read that was only partly answered is never yielded. Ends when `signal` aborts,
   * without an error. Throws `engine_unavailable` when it cannot go on: the catalog keeps what it has, and retries.
   * A reader that is slow gets the latest state as a reset, instead of a queue without end.
   */
  watch(services: readonly ServiceKey[], signal: AbortSignal): AsyncIterable<Batch>
}

/** A source that can also enumerate. The server needs one. */
export interface Directory extends Source {
  /** As `watch`, over everything there is. */
  watchAll(signal: AbortSignal): AsyncIterable<Batch>
}

/** What an engine promises about leases, in ms. The conformance suite holds it to these numbers. */
export interface Terms {
  /** The shortest TTL it grants; one who asks for less gets this. */
  readonly minimumTtl: number
  /** How much later than its TTL an unrenewed lease may end. It never ends earlier. */
  readonly lateness: number
}

export interface RegisterOptions {
  /** Milliseconds. Without it, the instance stays until it is deregistered. */
  readonly ttl?: number
}

/**
 * The writable half. A promise that resolves means: done, and kept as durably as the engine keeps anything. Disposing of it
 * ends no lease: they are the truth's, not the handle's.
 */
export interface Registry extends AsyncDisposable {
  readonly terms: Terms
  /**
   * Registers an instance, or replaces the one of the same key: then the new lease supersedes the old, whose claims
   * are released. Health is kept (see `registeredHealth`). Throws `invalid_field`, `engine_unavailable`.
   */
  register(instance: Instance, options?: RegisterOptions): Promise<Lease>
  /** Takes up a lease by its token, from any process sharing the engine. Does not renew it. Throws `lease_lost`. */
  resume(token: string): Promise<Lease>
  /**
   * Renews many leases at once: each ends its TTL from now, never more. Answers, in the order asked, whether each is
   * held; `false` means lost: register again. Throws `engine_unavailable`.
   */
  renew(tokens: readonly string[]): Promise<readonly boolean[]>
  /** Ends a lease and removes its instance. Answers the revision, or `undefined` when the lease was lost already. */
  release(token: string): Promise<Revision | undefined>
  /** Removes an instance: by anyone with the right, not only the owner. Answers the revision, `undefined` if it is not there. */
  deregister(key: InstanceKey): Promise<Revision | undefined>
  /**
   * Writes what checks observed; never touches the lease. Results of other checks stay. Answers the revision at which
   * the health is visible. Throws `instance_not_found`, `invalid_field`.
   */
  report(key: InstanceKey, reports: readonly CheckReport[]): Promise<Revision>
  /**
   * Claims a name (of the wide rule, see `names.ts`) of the lease's service, if it is free or this lease's already.
   * `undefined`: another lease holds it. Throws `lease_lost`, `invalid_field`.
   */
  claim(name: string, lease: Lease): Promise<Claim | undefined>
}

/** A small value beside the registry, for faces whose own model has to remember more than instances. Frozen. */
export interface Item {
  readonly key: string
  readonly value: Uint8Array
  readonly createdRevision: Revision
  readonly modifiedRevision: Revision
}

/** `at` compares: the item's `modifiedRevision` before the write must be that; 0: there must be no item. */
export type WriteOperation =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array; readonly at?: Revision }
  /** Removes the item, if there is one. */
  | { readonly type: 'delete'; readonly key: string; readonly at?: Revision }
  /** Only compares. */
  | { readonly type: 'check'; readonly key: string; readonly at: Revision }

export type ItemChange =
  /** Replaces everything under the watched prefix. */
  | { readonly type: 'reset'; readonly items: readonly Item[] }
  | { readonly type: 'put'; readonly item: Item }
  | { readonly type: 'delete'; readonly key: string }

/** Changes that became true together, and the engine's revision once they are applied. */
export interface ItemBatch {
  readonly revision: Revision
  readonly changes: readonly ItemChange[]
}

/**
 * Items by key (see `limits` for how long and how many). Their revisions and those of the registry are of one sequence: a
 * later write of either has the higher one.
 */
export interface Store extends AsyncDisposable {
  /**
   * Writes all or nothing, at one revision: each key at most once. Answers the revision at which watchers see it, or 0
   * when there was nothing to change; `undefined`: a comparison did not hold, and nothing was written. Throws
   * `invalid_field`, `engine_unavailable` (then it may have been written).
   */
  write(operations: readonly WriteOperation[]): Promise<Revision | undefined>
  /** Watches the items whose keys begin with `prefix`; the rules are those of `Source.watch`. */
  watchItems(prefix: string, signal: AbortSignal): AsyncIterable<ItemBatch>
}

/** Where the truth is kept. */
export type Engine = Directory & Registry & Store

/** A promise to be forgotten. Disposing of it releases it. */
export interface Lease extends AsyncDisposable {
  readonly key: InstanceKey
  /** Whoever has it may renew: keep it secret. */
  readonly token: string
  /** Milliseconds granted, never less than asked; `undefined` for a registration that stays. */
  readonly ttl: number | undefined
  /** At which the registration is visible to watchers. */
  readonly revision: Revision
  /** Aborts once the lease is known to be lost (expired, superseded, revoked): at the latest with the next `renew`. */
  readonly lost: AbortSignal
  /** The lease now ends its TTL from now, never more. Throws `lease_lost`: register again. */
  renew(): Promise<void>
}

/** A claim held. It ends with its lease, and is gone once the instance is; disposing of it releases it earlier. */
export interface Claim extends AsyncDisposable {
  readonly holder: Holder
  /** At which the claim is visible to watchers. */
  readonly revision: Revision
}

/** Something an engine or a catalog did that its operator should know of. Never holds a secret. */
export interface Notice {
  readonly level: 'info' | 'warn' | 'error'
  /** What happened, for programs: `leases_expired`, `expiry_capped`, `clock_stalled`, `source_lost`, … */
  readonly event: string
  /** What happened, for people. */
  readonly message: string
  readonly details?: Readonly<Record<string, unknown>>
}

export type Notify = (notice: Notice) => void
