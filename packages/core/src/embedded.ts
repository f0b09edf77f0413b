import { changedService, type EntryChange } from './change.ts'
import { type Clock, systemClock } from './clock.ts'
import { isSeamarkError, leaseLost, SeamarkError } from './errors.ts'
import { type CheckReport, registeredHealth, reported } from './health.ts'
import type { Instance } from './instance.ts'
import type { Journal, JournalWrite, Registration } from './journal.ts'
import { grantedTtl } from './lease.ts'
import { type Dated, Ledger } from './ledger.ts'
import { Mailbox } from './mailbox.ts'
import { checkName, displayName, type InstanceKey, type ServiceKey, serviceId } from './names.ts'
import type {
  Batch,
  Claim,
  ClaimKey,
  Engine,
  Entry,
  Holder,
  Lease,
  Notify,
  RegisterOptions,
  Revision,
  Terms,
} from './ports.ts'
import { token } from './token.ts'

export interface EmbeddedOptions {
  /** Default the system's. */
  clock?: Clock
  /** Default: nobody is told. */
  notify?: Notify
}

/** Changes that may wait for a watcher that does not read; past that it gets a reset instead. */
const watcherBound = 10_000

/** Writes that share a commit at most. */
const commitBound = 10_000

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

/** Writes evaluated together, with what it takes to publish them, or to take them back. */
interface Transaction {
  readonly writes: JournalWrite[]
  readonly changes: EntryChange[]
  readonly begun: Held[]
  readonly ended: { readonly held: Held; readonly why: string }[]
  readonly undo: (() => void)[]
}

interface Task {
  evaluate(transaction: Transaction): unknown
  resolve(value: unknown): void
  reject(error: unknown): void
}

interface Watcher {
  readonly mailbox: Mailbox<Batch>
  readonly services: ReadonlySet<string> | undefined
}

/**
 * The registry inside one process: the memory engine, and with a journal the truth of an embedded database.
 *
 * Writes that arrive while a commit is under way are evaluated together once it is over, and share the next one.
 * What is not committed is seen by nobody; a commit that fails is taken back, and its writers are told. Renewals are
 * not written: after a restart every lease has one full TTL.
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
  readonly #watchers = new Set<Watcher>()
  #revision: Revision = 0
  #tasks: Task[] = []
  #running: Promise<void> | undefined
  /** Whether the state holds writes that are not published yet. */
  #committing = false
  #readers: (() => void)[] = []
  #closed: Promise<void> | undefined

  constructor(journal: Journal | undefined, { clock = systemClock, notify = () => {} }: EmbeddedOptions) {
    this.#journal = journal
    this.#notify = notify
    this.#ledger = new Ledger<Held>({ clock, notify, expire: (leases) => this.#expire(leases) })
    if (journal !== undefined) this.#load(journal)
  }

  #load(journal: Journal): void {
    const { revision, registrations, holders } = journal.load()
    this.#revision = revision
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
      this.#set(transaction, shelf.held, instance.id, held)
      this.#set(transaction, this.#tokens, held.token, held)
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
      this.#set(transaction, shelf.holders, name, holder)
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
    return this.#watch(new Set(services.map(serviceId)), signal)
  }

  watchAll(signal: AbortSignal): AsyncIterable<Batch> {
    return this.#watch(undefined, signal)
  }

  async *#watch(services: ReadonlySet<string> | undefined, signal: AbortSignal): AsyncGenerator<Batch> {
    this.#open()
    if (signal.aborted) return
    const mailbox = new Mailbox<Batch>(watcherBound, (batch) => batch.changes.length)
    const watcher: Watcher = { mailbox, services }
    const close = () => mailbox.close()
    signal.addEventListener('abort', close, { once: true })
    try {
      let reset = await this.#committed(() => {
        this.#open()
        this.#watchers.add(watcher)
        return this.#reset(services)
      })
      while (!signal.aborted) {
        yield reset
        let batch = await mailbox.take()
        for (; typeof batch === 'object'; batch = await mailbox.take()) yield batch
        if (batch === undefined) break
        reset = await this.#committed(() => {
          mailbox.clear()
          return this.#reset(services)
        })
      }
    } finally {
      signal.removeEventListener('abort', close)
      this.#watchers.delete(watcher)
    }
    if (!signal.aborted) throw closed()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close()
    await this.#closed
  }

  async #close(): Promise<void> {
    this.#ledger.stop()
    for (const { mailbox } of this.#watchers) mailbox.close()
    await this.#running
    await this.#journal?.[Symbol.asyncDispose]()
  }

  #open(): void {
    if (this.#closed !== undefined) throw closed()
  }

  // Writing: evaluate together, commit, then publish or take back.

  #write<T>(evaluate: (transaction: Transaction) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed !== undefined) return reject(closed())
      this.#tasks.push({ evaluate, resolve: resolve as (value: unknown) => void, reject })
      this.#running ??= this.#run()
    })
  }

  async #run(): Promise<void> {
    await undefined // Writes of the same turn share the first commit.
    while (this.#tasks.length > 0) {
      const tasks = this.#tasks.splice(0, commitBound)
      const transaction: Transaction = { writes: [], changes: [], begun: [], ended: [], undo: [] }
      this.#committing = true
      const outcomes = tasks.map((task) => evaluated(task, transaction))
      try {
        await this.#commit(transaction)
        this.#publish(transaction)
        for (const settle of outcomes) settle()
      } catch (error) {
        for (const undo of transaction.undo.reverse()) undo()
        for (const { reject } of tasks) reject(unavailable(error))
      }
      this.#committing = false
      for (const read of this.#readers.splice(0)) read()
    }
    this.#running = undefined
  }

  async #commit({ writes }: Transaction): Promise<void> {
    if (this.#journal === undefined || writes.length === 0) return
    await this.#journal.commit({ revision: this.#revision, writes })
  }

  #publish({ changes, begun, ended }: Transaction): void {
    for (const { held, why } of ended) {
      this.#ledger.remove(held)
      held.end(why)
    }
    for (const held of begun) if (held.leased && held.ended === undefined) this.#ledger.add(held)
    if (changes.length === 0) return
    const batch: Batch = { revision: this.#revision, changes }
    for (const { mailbox, services } of this.#watchers) {
      if (services === undefined) mailbox.put(batch)
      else {
        const covered = changes.filter((change) => services.has(serviceId(changedService(change))))
        if (covered.length > 0) mailbox.put({ revision: batch.revision, changes: covered })
      }
    }
  }

  /** Reads the state at a moment when all of it is committed. */
  #committed<T>(read: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const attempt = () => {
        try {
          resolve(read())
        } catch (error) {
          reject(error)
        }
      }
      if (this.#committing) this.#readers.push(attempt)
      else attempt()
    })
  }

  #reset(services: ReadonlySet<string> | undefined): Batch {
    const shelves = services === undefined ? this.#shelves.values() : this.#shelvesOf(services)
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

  #build(transaction: Transaction, key: ServiceKey): Shelf {
    const shelf = emptyShelf(key)
    this.#set(transaction, this.#shelves, serviceId(key), shelf)
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

  #set<V>(transaction: Transaction, map: Map<string, V>, key: string, value: V): void {
    const before = map.get(key)
    map.set(key, value)
    transaction.undo.push(() => (before === undefined ? map.delete(key) : map.set(key, before)))
  }

  #delete<V>(transaction: Transaction, map: Map<string, V>, key: string): void {
    const before = map.get(key)
    if (before === undefined) return
    map.delete(key)
    transaction.undo.push(() => map.set(key, before))
  }

  #remove(transaction: Transaction, held: Held, why: string): Revision {
    const { namespace, service, id } = held.entry.instance
    const shelf = this.#shelf(held.entry.instance)
    this.#end(transaction, shelf, held, why)
    this.#delete(transaction, shelf.held, id)
    if (shelf.held.size === 0) this.#delete(transaction, this.#shelves, serviceId(shelf.key))
    const key = { namespace, service, id }
    transaction.writes.push({ type: 'delete', key })
    transaction.changes.push({ type: 'delete', key })
    return this.#advance()
  }

  #end(transaction: Transaction, shelf: Shelf, held: Held, why: string): void {
    const { id } = held.entry.instance
    this.#delete(transaction, this.#tokens, held.token)
    for (const holder of shelf.holders.values())
      if (holder.id === id) this.#releaseClaim(transaction, shelf, holder)
    transaction.ended.push({ held, why })
  }

  #releaseClaim(transaction: Transaction, shelf: Shelf, { namespace, service, name }: ClaimKey): void {
    const claim: ClaimKey = { namespace, service, name }
    this.#delete(transaction, shelf.holders, name)
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

/** Runs a task; what it comes to is told once the writes of all are committed. */
function evaluated({ evaluate, resolve, reject }: Task, transaction: Transaction): () => void {
  try {
    const value = evaluate(transaction)
    return () => resolve(value)
  } catch (error) {
    return () => reject(error)
  }
}

function closed(): SeamarkError {
  return new SeamarkError('closed', 'The engine was closed.')
}

function unavailable(cause: unknown): unknown {
  if (isSeamarkError(cause)) return cause
  return new SeamarkError('engine_unavailable', 'The store could not be written; nothing was changed.', {
    cause,
  })
}
