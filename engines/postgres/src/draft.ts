import {
  type CheckReport,
  type Health,
  type Holder,
  type Instance,
  type InstanceKey,
  instanceId,
  type Revision,
  registeredHealth,
  reported,
  serviceId,
  type WriteOperation,
} from '@seamark/core'
import { ItemDraft, type ItemWrites, type KnownItem } from './item-draft.ts'

/** A registration as a transaction sees it. */
export interface Registered {
  readonly key: InstanceKey
  readonly token: string
  /** As JSON; `undefined`: as it is in its row, and nobody needs it. */
  readonly instance?: string
  readonly createdRevision: Revision
  health: Health
  modifiedRevision: Revision
}

/** What a transaction loaded of the registry. */
export interface Loaded {
  readonly revision: Revision
  readonly registered: readonly Registered[]
  readonly holders: readonly Holder[]
  readonly items: ReadonlyMap<string, KnownItem>
}

/** Of claims: `instanceId` with the name in the id's place. */
type ClaimId = string

interface Gone {
  readonly revision: Revision
  readonly namespace: string
  readonly service: string
  readonly id?: string
  readonly claim?: string
}

/** Rows to write, as they are in the end: between two of a transaction's changes to one key, nobody can look. */
export interface Writes {
  readonly revision: Revision
  readonly put: readonly Registered[]
  readonly observed: readonly Registered[]
  readonly removed: readonly InstanceKey[]
  readonly leased: readonly { readonly token: string; readonly ttl: number | null }[]
  readonly ended: readonly string[]
  readonly claimed: readonly Holder[]
  readonly freed: readonly Gone[]
  readonly gone: readonly Gone[]
  readonly items: ItemWrites | undefined
}

/** The part of the registry that a transaction is about, and what becomes of it. */
export class Draft {
  readonly #before: Revision
  #revision: Revision
  readonly #registered = new Map<string, Registered>()
  readonly #tokens = new Map<string, Registered>()
  readonly #holders = new Map<ClaimId, Holder>()
  readonly #put = new Set<string>()
  readonly #observed = new Set<string>()
  readonly #removed = new Map<string, Gone>()
  readonly #leased = new Map<string, number | null>()
  readonly #ended = new Set<string>()
  readonly #claimed = new Set<ClaimId>()
  readonly #freed = new Map<ClaimId, Gone>()
  readonly #items: ItemDraft

  constructor({ revision, registered, holders, items }: Loaded) {
    this.#items = new ItemDraft(items)
    this.#before = revision
    this.#revision = revision
    for (const each of registered) this.#set(each)
    for (const holder of holders) this.#holders.set(claimId(holder), holder)
  }

  find(key: InstanceKey): Registered | undefined {
    return this.#registered.get(instanceId(key))
  }

  held(token: string): Registered | undefined {
    return this.#tokens.get(token)
  }

  register(instance: Instance, token: string, ttl: number | undefined): Revision {
    const { namespace, service, id, checks } = instance
    const former = this.find(instance)
    if (former !== undefined) this.#end(former)
    const revision = ++this.#revision
    this.#set({
      key: { namespace, service, id },
      token,
      instance: JSON.stringify(instance),
      health: registeredHealth(checks, former?.health),
      createdRevision: former?.createdRevision ?? revision,
      modifiedRevision: revision,
    })
    this.#put.add(instanceId(instance))
    this.#observed.delete(instanceId(instance))
    this.#leased.set(token, ttl ?? null)
    return revision
  }

  remove(registered: Registered): Revision {
    const id = instanceId(registered.key)
    this.#end(registered)
    this.#registered.delete(id)
    this.#put.delete(id)
    this.#observed.delete(id)
    const revision = ++this.#revision
    this.#removed.set(id, { revision, ...registered.key })
    return revision
  }

  /** A lease whose instance is not there, or is another one's: only its row goes. */
  forget(token: string): void {
    this.#ended.add(token)
    this.#revision++
  }

  report(registered: Registered, reports: readonly CheckReport[]): Revision {
    const health = reported(registered.health, reports)
    if (health !== registered.health) {
      registered.health = health
      registered.modifiedRevision = ++this.#revision
      const id = instanceId(registered.key)
      if (!this.#put.has(id)) this.#observed.add(id)
    }
    return registered.modifiedRevision
  }

  /** `undefined`: another instance holds it. */
  claim(name: string, { key }: Registered): Holder | undefined {
    const id = claimId({ ...key, name })
    const present = this.#holders.get(id)
    if (present !== undefined) return present.id === key.id ? present : undefined
    const holder: Holder = Object.freeze({ ...key, name, fence: ++this.#revision })
    this.#holders.set(id, holder)
    this.#claimed.add(id)
    return holder
  }

  /** Releases a claim, unless it is over. */
  unclaim(holder: Holder): void {
    if (this.#holders.get(claimId(holder))?.fence === holder.fence) this.#release(holder, ++this.#revision)
  }

  /** Writes items, as `Store.write`. */
  write(operations: readonly WriteOperation[]): Revision | undefined {
    return this.#items.write(operations, () => ++this.#revision)
  }

  /** What to write; `undefined`: nothing. */
  writes(): Writes | undefined {
    if (this.#revision === this.#before) return undefined
    const registered = (ids: Iterable<string>) => [...ids].map((id) => this.#registered.get(id)!)
    const removed = [...this.#removed].flatMap(([id, gone]) => (this.#registered.has(id) ? [] : gone))
    const freed = [...this.#freed].flatMap(([id, gone]) => (this.#holders.has(id) ? [] : gone))
    return {
      revision: this.#revision,
      put: registered(this.#put),
      observed: registered(this.#observed),
      removed: removed as readonly (Gone & InstanceKey)[],
      leased: [...this.#leased].map(([token, ttl]) => ({ token, ttl })),
      ended: [...this.#ended],
      claimed: [...this.#claimed].flatMap((id) => this.#holders.get(id) ?? []),
      freed,
      gone: [...removed, ...freed],
      items: this.#items.writes(),
    }
  }

  #set(registered: Registered): void {
    this.#registered.set(instanceId(registered.key), registered)
    this.#tokens.set(registered.token, registered)
  }

  #end({ key, token }: Registered): void {
    this.#tokens.delete(token)
    if (!this.#leased.delete(token)) this.#ended.add(token)
    for (const holder of this.#holders.values())
      if (holder.id === key.id && serviceId(holder) === serviceId(key))
        this.#release(holder, this.#revision + 1)
  }

  #release(holder: Holder, revision: Revision): void {
    const { namespace, service, name } = holder
    const id = claimId(holder)
    this.#holders.delete(id)
    this.#freed.set(id, { revision, namespace, service, claim: name })
  }
}

function claimId({ namespace, service, name }: Pick<Holder, 'namespace' | 'service' | 'name'>): ClaimId {
  return instanceId({ namespace, service, id: name })
}
