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
  type Holder,
  type Instance,
  type InstanceKey,
  type ItemBatch,
  isSeamarkError,
  type Lease,
  type LeaseHost,
  leaseLost,
  type Notify,
  passing,
  type RegisterOptions,
  RemoteLease,
  type Revision,
  reported,
  SeamarkError,
  type ServiceKey,
  serviceId,
  type Terms,
  type WriteOperation,
} from '@seamark/core'
import { Bell } from './bell.ts'
import { Database } from './database.ts'
import { closed, isMissing, unavailable } from './failure.ts'
import { ItemReader } from './item-reader.ts'
import { ledgerEnd, ledgerOf } from './ledger-time.ts'
import type { Location } from './location.ts'
import { type Position, Reader, type Reading } from './reader.ts'
import { Records } from './record.ts'
import { prepare } from './schema.ts'
import { Sweeper } from './sweeper.ts'
import { pollInterval, Wakeups } from './wakeups.ts'
import { type Edit, Writer } from './writer.ts'

export interface EngineOptions {
  readonly clock: Clock
  readonly notify: Notify
}

/** How a watch reads: all there is, and what came after a position, if that is still known. */
interface Watched<B> {
  list(): Promise<Reading<B>>
  follow(position: Position): Promise<Reading<B> | undefined>
}

/** Tokens renewed by one statement. */
const renewedAtOnce = 5_000

/** 128 random bits in base64url. What was never a token is not looked up. */
const tokenForm = /^[\w-]{22}$/

export class PostgresEngine implements Engine, LeaseHost {
  /**
   * A sweep comes every 200 to 350 ms, then a transaction and a notification. The rest is for a machine without a free
   * processor, where each of these steps may take half a second.
   */
  readonly terms: Terms = { minimumTtl: 1_000, lateness: 2_000 }
  readonly freshness: 'push' | number
  readonly #location: Location
  readonly #notify: Notify
  readonly #database: Database
  readonly #writer: Writer
  readonly #reader: Reader
  readonly #itemReader: ItemReader
  readonly #wakeups: Wakeups
  readonly #sweeper: Sweeper
  readonly #renewText: string
  readonly #resumeText: string
  /** Of leases whose loss somebody listens to. */
  readonly #listening = new Map<string, Set<RemoteLease>>()
  #prepared: Promise<void> | undefined
  #closed: Promise<void> | undefined

  constructor(location: Location, { clock, notify }: EngineOptions) {
    const { schema, listen } = location
    const channel = `seamark:${schema}`
    this.freshness = listen ? 'push' : pollInterval
    this.#location = location
    this.#notify = notify
    const database = new Database(location, clock)
    this.#database = database
    const write: Database['write'] = (text, values) => this.#run(() => database.write(text, values))
    this.#writer = new Writer(schema, channel, (first, work) =>
      this.#run(() => database.writing(first, work)),
    )
    const reading: Pick<Database, 'read' | 'reading'> = {
      read: (text, values) => this.#run(() => database.read(text, values)),
      reading: (work) => this.#run(() => database.reading(work)),
    }
    const records = new Records(notify)
    this.#reader = new Reader(schema, reading, records)
    this.#itemReader = new ItemReader(schema, reading, records)
    this.#wakeups = new Wakeups({ database, schema, channel, listen, clock, notify })
    this.#sweeper = new Sweeper({ schema, clock, notify, writer: this.#writer, write })
    // Leases are locked in the order of their tokens: two who renew the same ones do not wait for each other in a circle.
    this.#renewText = `WITH
      held AS (SELECT token, ttl FROM ${schema}.leases WHERE token = ANY($1::text[]) ORDER BY token FOR UPDATE),
      renewed AS (
        UPDATE ${schema}.leases SET deadline = ${ledgerEnd('held.ttl')} FROM held, ${ledgerOf(schema)}
        WHERE leases.token = held.token AND held.ttl IS NOT NULL
      )
      SELECT token FROM held`
    this.#resumeText = `SELECT i.namespace, i.service, i.id, i.modified, l.ttl
      FROM ${schema}.instances i JOIN ${schema}.leases l USING (token) WHERE i.token = $1`
  }

  /** Throws what is wrong for good, as `postgres()` does. */
  async start(): Promise<void> {
    try {
      await this.#prepare()
    } catch (error) {
      if (!isSeamarkError(error, 'engine_unavailable')) throw error
      this.#notify({ level: 'warn', event: 'source_lost', message: error.message, details: { error } })
    }
    this.#sweeper.start()
  }

  /** Makes the registry if it is not there; once, until it turns out to be gone. */
  #prepare(): Promise<void> {
    this.#prepared ??= prepare(this.#database, this.#location).catch((error: unknown) => {
      this.#prepared = undefined
      throw error
    })
    return this.#prepared
  }

  async register(instance: Instance, options: RegisterOptions = {}): Promise<Lease> {
    const ttl = grantedTtl(options.ttl, this.terms)
    const token = randomBytes(16).toString('base64url')
    const revision = await this.#do({
      key: instance,
      weight: JSON.stringify(instance).length,
      evaluate: (draft) => draft.register(instance, digest(token), ttl),
    })
    return new RemoteLease(this, { key: instance, token, ttl, revision })
  }

  async resume(token: string): Promise<Lease> {
    this.#open()
    const [row] = tokenForm.test(token)
      ? await this.#run(() => this.#database.write(this.#resumeText, [digest(token)]))
      : []
    if (row === undefined) throw leaseLost('no such lease')
    const { namespace, service, id, modified, ttl } = row
    return new RemoteLease(this, {
      key: { namespace, service, id },
      token,
      ttl: ttl ?? undefined,
      revision: modified,
    })
  }

  async renew(tokens: readonly string[]): Promise<readonly boolean[]> {
    this.#open()
    const digests = new Map<string, string>()
    for (const token of tokens) if (tokenForm.test(token)) digests.set(token, digest(token))
    const asked = [...digests.values()]
    const held = new Set<string>()
    for (let at = 0; at < asked.length; at += renewedAtOnce) {
      const some = asked.slice(at, at + renewedAtOnce)
      const rows = await this.#run(() => this.#database.write(this.#renewText, [some]))
      for (const row of rows) held.add(row.token)
    }
    return tokens.map((token) => {
      const isHeld = held.has(digests.get(token) ?? '')
      if (!isHeld) this.#lose(token, 'it ended, or another one took its place')
      return isHeld
    })
  }

  async release(token: string): Promise<Revision | undefined> {
    this.#open()
    if (!tokenForm.test(token)) return undefined
    const hash = digest(token)
    const revision = await this.#do({
      token: hash,
      evaluate(draft) {
        const held = draft.held(hash)
        return held && draft.remove(held)
      },
    })
    this.#lose(token, 'it was released')
    return revision
  }

  async deregister(key: InstanceKey): Promise<Revision | undefined> {
    this.#open()
    if (!isKey(key)) return undefined
    return this.#do({
      key,
      evaluate(draft) {
        const registered = draft.find(key)
        return registered && draft.remove(registered)
      },
    })
  }

  async report(key: InstanceKey, reports: readonly CheckReport[]): Promise<Revision> {
    this.#open()
    if (!isKey(key)) throw notFound(key)
    // What is malformed costs no transaction.
    reported(passing, reports)
    return this.#do({
      key,
      weight: JSON.stringify(reports).length,
      evaluate(draft) {
        const registered = draft.find(key)
        if (registered === undefined) throw notFound(key)
        return draft.report(registered, reports)
      },
    })
  }

  async claim(name: string, lease: Lease): Promise<Claim | undefined> {
    this.#open()
    checkName('name', name)
    const hash = digest(lease.token)
    const holder = await this.#do({
      token: hash,
      claim: name,
      evaluate(draft) {
        const held = draft.held(hash)
        if (held === undefined) throw leaseLost('it cannot hold a claim')
        return draft.claim(name, held)
      },
    })
    if (holder === undefined) return undefined
    return { holder, revision: holder.fence, [Symbol.asyncDispose]: () => this.#unclaim(holder) }
  }

  async #unclaim(holder: Holder): Promise<void> {
    await this.#do({ key: holder, claim: holder.name, evaluate: (draft) => draft.unclaim(holder) })
  }

  watch(services: readonly ServiceKey[], signal: AbortSignal): AsyncIterable<Batch> {
    const distinct = new Map(services.filter(isService).map((key) => [serviceId(key), key]))
    return this.#watchServices([...distinct.values()], signal)
  }

  watchAll(signal: AbortSignal): AsyncIterable<Batch> {
    return this.#watchServices(undefined, signal)
  }

  #watchServices(services: readonly ServiceKey[] | undefined, signal: AbortSignal): AsyncIterable<Batch> {
    const reader = this.#reader
    const watched: Watched<Batch> = {
      list: () => reader.list(services),
      follow: (position) => reader.follow(services, position),
    }
    return this.#watch(watched, signal)
  }

  async write(operations: readonly WriteOperation[]): Promise<Revision | undefined> {
    this.#open()
    checkWrite(operations)
    if (operations.length === 0) return 0
    // Copies: what the writer does with its bytes later is not written.
    const kept = operations.map((operation) =>
      operation.type === 'put' ? { ...operation, value: Buffer.from(operation.value) } : operation,
    )
    return this.#do({
      items: kept.map(({ key }) => key),
      weight: kept.reduce((sum, each) => sum + (each.type === 'put' ? each.value.length : 0), 0),
      evaluate: (draft) => draft.write(kept),
    })
  }

  async *watchItems(prefix: string, signal: AbortSignal): AsyncGenerator<ItemBatch> {
    checkPrefix(prefix)
    const reader = this.#itemReader
    const watched: Watched<ItemBatch> = {
      list: () => reader.list(prefix),
      follow: (position) => reader.follow(prefix, position),
    }
    yield* this.#watch(watched, signal)
  }

  async *#watch<B extends { readonly changes: readonly unknown[] }>(
    watched: Watched<B>,
    signal: AbortSignal,
  ): AsyncGenerator<B> {
    this.#open()
    if (signal.aborted) return
    const bell = new Bell()
    const close = () => bell.close()
    signal.addEventListener('abort', close, { once: true })
    try {
      // Listening comes first: what is committed while the list is read rings.
      await bell.meanwhile(this.#wakeups.join(bell))
      let reading = await bell.meanwhile(watched.list())
      while (reading !== undefined) {
        const { position, batch } = reading
        if (batch.changes.length > 0) yield batch
        if (!(await bell.heard())) return
        reading = (await bell.meanwhile(watched.follow(position))) ?? (await bell.meanwhile(watched.list()))
      }
    } catch (error) {
      if (!signal.aborted) throw this.#closed === undefined ? unavailable(error) : closed()
    } finally {
      signal.removeEventListener('abort', close)
      this.#wakeups.leave(bell)
    }
  }

  listening(lease: RemoteLease): void {
    const leases = this.#listening.get(lease.token)
    if (leases === undefined) this.#listening.set(lease.token, new Set([lease]))
    else leases.add(lease)
  }

  #lose(token: string, why: string): void {
    for (const lease of this.#listening.get(token) ?? []) lease.lose(why)
    this.#listening.delete(token)
  }

  async #do<T>(edit: Edit<T>): Promise<T> {
    this.#open()
    try {
      return await this.#writer.do(edit)
    } catch (error) {
      throw unavailable(error)
    }
  }

  /** Runs what needs the registry; makes that anew when somebody dropped it. */
  async #run<T>(work: () => Promise<T>): Promise<T> {
    try {
      await this.#prepare()
      try {
        return await work()
      } catch (error) {
        if (!isMissing(error)) throw error
        this.#prepared = undefined
        await this.#prepare()
        return await work()
      }
    } catch (error) {
      throw isSeamarkError(error, 'configuration') ? away(error) : unavailable(error)
    }
  }

  #open(): void {
    if (this.#closed !== undefined) throw closed()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close()
    await this.#closed
  }

  async #close(): Promise<void> {
    this.#sweeper.stop()
    this.#wakeups.close(closed())
    await this.#writer.close()
    await this.#database[Symbol.asyncDispose]()
  }
}

/** Rights that were taken away, a user that is locked out: what runs already goes on when that is mended. */
function away(cause: SeamarkError): SeamarkError {
  return new SeamarkError('engine_unavailable', cause.message, { cause })
}

/** Who can read the tables cannot renew leases: they hold this, and not the token. */
function digest(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}

function notFound(key: InstanceKey): SeamarkError {
  return new SeamarkError('instance_not_found', `There is no instance ${displayName(key)}.`)
}

/** A key that no instance can have is not asked for: PostgreSQL refuses some, and would take others for what they are not. */
function isKey(key: InstanceKey): boolean {
  return isService(key) && isName(key.id)
}

function isService({ namespace, service }: ServiceKey): boolean {
  return isName(namespace) && isName(service)
}

function isName(value: string): boolean {
  try {
    checkName('name', value)
    return true
  } catch {
    return false
  }
}
