import { Audience } from './audience.ts'
import { changedService, type EntryChange } from './change.ts'
import { type Clock, systemClock } from './clock.ts'
import { Commits, put, remove, type Transaction } from './commits.ts'
import { isSeamarkError, leaseLost, SeamarkError } from './errors.ts'
import { type CheckReport, registeredHealth, reported } from './health.ts'
import type { Instance } from './instance.ts'
import { ItemShelf, under } from './item-shelf.ts'
import type { Journal, Registration } from './journal.ts'
import { grantedTtl } from './lease.ts'
import { type Dated, Ledger } from './ledger.ts'
import { checkName, displayName, type InstanceKey, type ServiceKey, serviceId } from './names.ts'
import type {
  Batch,
  Claim,
  ClaimKey,
  Engine,
  Entry,
  Holder,
  ItemBatch,
  ItemChange,
  Lease,
  Notify,
  RegisterOptions,
  Revision,
  Terms,
  WriteOperation,
} from './ports.ts'
import { checkPrefix, checkWrite } from './store.ts'
import { token } from './token.ts'

export interface EmbeddedOptions {
  /** Default the system's. */
  clock?: Clock
  /** Default: nobody is told. */
  notify?: Notify
}

/** One registration, and its lease. */
class Held implements Registration, Dated {
  entry: Entry
  readonly token: string
  readonly leased: boolean
  readonly ttl: number
  readonly revision: Revision
  deadline = Number.POSITIVE_INFINITY
  slot: number | undefined = undefined
  ended: string | undefined = undefined
  /** Only made when somebody asks for the signal: it weighs more than the registration. */
  #lost: AbortController | undefined

  constructor(entry: Entry, token: string, ttl: number | undefined) {
    this.entry = entry
    this.token = token
    this.leased = ttl !== undefined
    this.ttl = ttl ?? 0
    this.revision = entry.modifiedRevision
  }

  get lost(): AbortSignal {
    this.#lost ??= new AbortController()
    if (this.ended !== undefined) this.#lost.abort(leaseLost(this.ended))
    return this.#lost.signal
  }

  end(why: string): void {
    this.ended = why
    this.#lost?.abort(leaseLost(why))
  }
}

/** One service's part of the truth. Never empty for longer than a write. */
interface Shelf {
  readonly key: ServiceKey
  readonly held: Map<string, Held>
  readonly holders: Map<string, Holder>
}

/** Writes evaluated together, with what it takes to publish them. */
interface EngineTransaction extends Transaction {
  readonly changes: EntryChange[]
  readonly itemChanges: ItemChange[]
  readonly begun: Held[]
  readonly ended: { readonly held: Held; readonly why: string }[]
}

/**
 * The registry inside one process: the memory engine, and with a journal the truth of an embedded database.
 *
 * Renewals are not written: after a restart every lease has one full TTL.
 *
 * Throws what the journal throws when it is opened.
 */
export function embedded(journal: Journal | undefined, options: EmbeddedOptions = {}): Engine {
  return new Embedded(journal, options)
}

class Embedded implements Engine {
  readonly freshness = 'push'
  readonly terms: Terms = { minimumTtl: 100, lateness: 500 }
  readonly #journal: Journal | undefined
  readonly #notify: Notify
  readonly #ledger: Ledger<Held>
  readonly #shelves = new Map<string, Shelf>()
  readonly #tokens = new Map<string, Held>()
  readonly #items = new ItemShelf()
  readonly #commits: Commits<EngineTransaction>
  readonly #audience: Audience<Batch>
  readonly #itemAudience: Audience<ItemBatch>
  #revision: Revision = 0
  #closed: Promise<void> | undefined

  constructor(journal: Journal | undefined, { clock = systemClock, notify = () => {} }: EmbeddedOptions) {
    this.#journal = journal
    this.#notify = notify
    this.#ledger = new Ledger<Held>({ clock, notify, expire: (leases) => this.#expire(leases) })
    this.#commits = new Commits({
      begin: () => ({ writes: [], changes: [], itemChanges: [], begun: [], ended: [], undo: [] }),
      commit: (transaction) => this.#commit(transaction),
      publish: (transaction) => this.#publish(transaction),
    })
    this.#audience = new Audience(this.#commits)
    this.#itemAudience = new Audience(this.#commits)
    if (journal !== undefined) this.#load(journal)
  }

  #load(journal: Journal): void {
    const { revision, registrations, holders, items } = journal.load()
    this.#revision = revision
    this.#items.load(items)
    for (const { entry, token, ttl } of registrations) {
      const held = new Held(entry, token, ttl)
      const id = serviceId(entry.instance)
      const shelf = this.#shelves.get(id) ?? emptyShelf(entry.instance)
      this.#shelves.set(id, shelf)
      shelf.held.set(entry.instance.id, held)
      this.#tokens.set(token, held)
      if (held.leased) this.#ledger.add(held)
    }
    for (const holder of holders) this.#shelves.get(serviceId(holder))?.holders.set(holder.name, holder)
  }

  async register(instance: Instance, options: RegisterOptions = {}): Promise<Lease> {
    const ttl = grantedTtl(options.ttl, this.terms)
    const held = await this.#write((transaction) => {
      const shelf = this.#shelves.get(serviceId(instance)) ?? this.#build(transaction, instance)
      const former = shelf.held.get(instance.id)
      if (former !== undefined) this.#end(transaction, shelf, former, 'superseded by a newer registration')
      const revision = this.#advance()
      const entry: Entry = Object.freeze({
        instance,
        health: registeredHealth(instance.checks, former?.entry.health),
        createdRevision: former?.entry.createdRevision ?? revision,
        modifiedRevision: revision,
      })
      const held = new Held(entry, token(), ttl)
      put(transaction, shelf.held, instance.id, held)
      put(transaction, this.#tokens, held.token, held)
      transaction.begun.push(held)
      transaction.writes.push({ type: 'put', registration: { entry, token: held.token, ttl } })
      transaction.changes.push({ type: 'put', entry })
      return held
    })
    return this.#lease(held)
  }

  async resume(token: string): Promise<Lease> {
    this.#open()
    const held = this.#tokens.get(token)
    if (held === undefined) throw leaseLost('no such lease')
    return this.#lease(held)
  }

  async renew(tokens: readonly string[]): Promise<readonly boolean[]> {
    this.#open()
    return tokens.map((token) => {
      const held = this.#tokens.get(token)
      if (held?.leased) this.#ledger.renew(held)
      return held !== undefined
    })
  }

  release(token: string): Promise<Revision | undefined> {
    return this.#write((transaction) => {
      const held = this.#tokens.get(token)
      return held && this.#remove(transaction, held, 'released')
    })
  }

  deregister(key: InstanceKey): Promise<Revision | undefined> {
    return this.#write((transaction) => {
      const held = this.#find(key)
      return held && this.#remove(transaction, held, 'deregistered')
    })
  }

  report(key: InstanceKey, reports: readonly CheckReport[]): Promise<Revision> {
    return this.#write((transaction) => {
      const held = this.#find(key)
      if (held === undefined)
        throw new SeamarkError('instance_not_found', `No instance ${displayName(key)} is registered.`)
      const before = held.entry
      const health = reported(before.health, reports)
      if (health === before.health) return before.modifiedRevision
      const revision = this.#advance()
      const entry: Entry = Object.freeze({ ...before, health, modifiedRevision: revision })
      held.entry = entry
      transaction.undo.push(() => {
        held.entry = before
      })
      transaction.writes.push({ type: 'put', registration: registration(held) })
      transaction.changes.push({ type: 'put', entry })
      return revision
    })
  }

  async claim(name: string, lease: Lease): Promise<Claim | undefined> {
    checkName('name', name)
    const holder = await this.#write((transaction) => {
      const held = this.#tokens.get(lease.token)
      if (held === undefined) throw leaseLost('it cannot hold a claim')
      const { namespace, service, id } = held.entry.instance
      const shelf = this.#shelf(held.entry.instance)
      const present = shelf.holders.get(name)
      if (present !== undefined) return present.id === id ? present : undefined
      const holder: Holder = Object.freeze({ namespace, service, id, name, fence: this.#advance() })
      put(transaction, shelf.holders, name, holder)
      transaction.writes.push({ type: 'claim', holder })
      transaction.changes.push({ type: 'claim', holder })
      return holder
    })
    if (holder === undefined) return undefined
    return {
      holder,
      revision: holder.fence,
      [Symbol.asyncDispose]: () => this.#unclaim(holder),
    }
  }

  #unclaim(holder: Holder): Promise<void> {
    return this.#write((transaction) => {
      const shelf = this.#shelves.get(serviceId(holder))
      if (shelf?.holders.get(holder.name)?.fence !== holder.fence) return
      this.#releaseClaim(transaction, shelf, holder)
      this.#advance()
    })
  }

  watch(services: readonly ServiceKey[], signal: AbortSignal): AsyncIterable<Batch> {
    const ids = new Set(services.map(serviceId))
    return this.#audience.watch(() => this.#reset(this.#shelvesOf(ids)), coveredBy(ids), signal)
  }

  watchAll(signal: AbortSignal): AsyncIterable<Batch> {
    return this.#audience.watch(
      () => this.#reset(this.#shelves.values()),
      (batch) => batch,
      signal,
    )
  }

  async write(operations: readonly WriteOperation[]): Promise<Revision | undefined> {
    checkWrite(operations)
    return this.#write((transaction) => this.#items.write(transaction, operations, () => this.#advance()))
  }

  async *watchItems(prefix: string, signal: AbortSignal): AsyncGenerator<ItemBatch> {
    checkPrefix(prefix)
    yield* this.#itemAudience.watch(() => this.#items.reset(prefix, this.#revision), under(prefix), signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close()
    await this.#closed
  }

  async #close(): Promise<void> {
    this.#ledger.stop()
    const done = this.#commits.close()
    this.#audience.close()
    this.#itemAudience.close()
    await done
    await this.#journal?.[Symbol.asyncDispose]()
  }

  #open(): void {
    this.#commits.open()
  }

  #write<T>(evaluate: (transaction: EngineTransaction) => T): Promise<T> {
    return this.#commits.write(evaluate)
  }

  async #commit({ writes }: EngineTransaction): Promise<void> {
    if (this.#journal === undefined || writes.length === 0) return
    await this.#journal.commit({ revision: this.#revision, writes })
  }

  #publish({ changes, itemChanges, begun, ended }: EngineTransaction): void {
    for (const { held, why } of ended) {
      this.#ledger.remove(held)
      held.end(why)
    }
    for (const held of begun) if (held.leased && held.ended === undefined) this.#ledger.add(held)
    const revision = this.#revision
    if (changes.length > 0) this.#audience.tell({ revision, changes })
    if (itemChanges.length > 0) this.#itemAudience.tell({ revision, changes: itemChanges })
  }

  #reset(shelves: Iterable<Shelf>): Batch {
    const entries: Entry[] = []
    const holders: Holder[] = []
    for (const shelf of shelves) {
      for (const { entry } of shelf.held.values()) entries.push(entry)
      holders.push(...shelf.holders.values())
    }
    return { revision: this.#revision, changes: [{ type: 'reset', entries, holders }] }
  }

  #shelvesOf(services: ReadonlySet<string>): Shelf[] {
    return [...services].flatMap((service) => this.#shelves.get(service) ?? [])
  }

  // The state, and changes to it that can be taken back.

  #build(transaction: EngineTransaction, key: ServiceKey): Shelf {
    const shelf = emptyShelf(key)
    put(transaction, this.#shelves, serviceId(key), shelf)
    return shelf
  }

  /** The shelf of a registration: it is there as long as the registration. */
  #shelf(key: ServiceKey): Shelf {
    return this.#shelves.get(serviceId(key))!
  }

  #find(key: InstanceKey): Held | undefined {
    return this.#shelves.get(serviceId(key))?.held.get(key.id)
  }

  #lease(held: Held): Lease {
    const { namespace, service, id } = held.entry.instance
    return {
      key: Object.freeze({ namespace, service, id }),
      token: held.token,
      ttl: held.leased ? held.ttl : undefined,
      revision: held.revision,
      get lost() {
        return held.lost
      },
      renew: async () => {
        this.#open()
        if (this.#tokens.get(held.token) !== held) throw leaseLost(held.ended ?? 'it is being ended')
        if (held.leased) this.#ledger.renew(held)
      },
      [Symbol.asyncDispose]: async () => {
        if (held.ended === undefined) await this.release(held.token)
      },
    }
  }

  /** A revision whose commit fails is skipped, not used again: revisions only grow. */
  #advance(): Revision {
    return ++this.#revision
  }

  #remove(transaction: EngineTransaction, held: Held, why: string): Revision {
    const { namespace, service, id } = held.entry.instance
    const shelf = this.#shelf(held.entry.instance)
    this.#end(transaction, shelf, held, why)
    remove(transaction, shelf.held, id)
    if (shelf.held.size === 0) remove(transaction, this.#shelves, serviceId(shelf.key))
    const key = { namespace, service, id }
    transaction.writes.push({ type: 'delete', key })
    transaction.changes.push({ type: 'delete', key })
    return this.#advance()
  }

  #end(transaction: EngineTransaction, shelf: Shelf, held: Held, why: string): void {
    const { id } = held.entry.instance
    remove(transaction, this.#tokens, held.token)
    for (const holder of shelf.holders.values())
      if (holder.id === id) this.#releaseClaim(transaction, shelf, holder)
    transaction.ended.push({ held, why })
  }

  #releaseClaim(transaction: EngineTransaction, shelf: Shelf, { namespace, service, name }: ClaimKey): void {
    const claim: ClaimKey = { namespace, service, name }
    remove(transaction, shelf.holders, name)
    transaction.writes.push({ type: 'release', claim })
    transaction.changes.push({ type: 'release', claim })
  }

  #expire(leases: readonly Held[]): void {
    let count = 0
    const ends = leases.map(async (held) => {
      try {
        const ended = await this.#write((transaction) => {
          // Renewed, superseded or removed since the sweep?
          if (this.#tokens.get(held.token) !== held || !this.#ledger.isOver(held)) return undefined
          return this.#remove(transaction, held, 'it expired')
        })
        if (ended !== undefined) count++
      } catch (error) {
        if (isSeamarkError(error, 'closed')) return
        this.#ledger.putBack(held)
        throw error
      }
    })
    void Promise.allSettled(ends).then((outcomes) => {
      if (count > 0)
        this.#notify({
          level: 'info',
          event: 'leases_expired',
          message: `${count} leases expired.`,
          details: { count },
        })
      const failed = outcomes.find((outcome) => outcome.status === 'rejected')
      if (failed !== undefined)
        this.#notify({
          level: 'error',
          event: 'expiry_failed',
          message: 'Expired leases could not be removed; trying again.',
          details: { error: failed.reason },
        })
    })
  }
}

function emptyShelf({ namespace, service }: ServiceKey): Shelf {
  return { key: Object.freeze({ namespace, service }), held: new Map(), holders: new Map() }
}

function registration(held: Held): Registration {
  return { entry: held.entry, token: held.token, ttl: held.leased ? held.ttl : undefined }
}

function coveredBy(services: ReadonlySet<string>): (batch: Batch) => Batch | undefined {
  return ({ revision, changes }) => {
    const covered = changes.filter(
      (change) => change.type === 'reset' || services.has(serviceId(changedService(change))),
    )
    return covered.length === 0 ? undefined : { revision, changes: covered }
  }
}
