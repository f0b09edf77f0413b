import { randomUUID } from 'node:crypto'
import { type Holder, type InstanceKey, passing } from '@seamark/core'
import type { Database, Row, Session } from './database.ts'
import { Draft, type Registered } from './draft.ts'
import { closed } from './failure.ts'
import type { ItemWrites, KnownItem } from './item-draft.ts'
import { ledgerEnd, ledgerOf } from './ledger-time.ts'
import { holder, storedHealth } from './record.ts'

/** A change to the registry. */
export interface Edit<T> {
  /** What `evaluate` looks at: it sees nothing else. */
  readonly key?: InstanceKey
  readonly token?: string
  /** Of the service of `key` or `token`. */
  readonly claim?: string
  /** Keys of items. */
  readonly items?: readonly string[]
  /** So many leases that are over. */
  readonly overdue?: number
  /** Bytes that it is going to write, roughly. */
  readonly weight?: number
  /** May run several times, on a new draft each. What it throws concerns this change only. */
  evaluate(draft: Draft, overdue: readonly string[]): T
}

interface Task {
  readonly edit: Edit<unknown>
  resolve(value: unknown): void
  reject(error: unknown): void
}

/** Changes, and bytes, that share a transaction at most. */
const most = 500
const mostBytes = 4 * 1024 * 1024

/** Changes that may wait for their turn; past that, the database is not keeping up, and more would only be late. */
const queueBound = 100_000

/**
 * Writes to the registry, one transaction after another. All writers of all processes take turns: each transaction
 * begins by locking the one row with the registry's revision, and so revisions become visible in their order. Changes
 * that arrive meanwhile share the next transaction, which has four round trips, however many changes there are, and two
 * more for items.
 */
export class Writer {
  readonly #write: <T>(first: string, work: (session: Session, rows: Row[]) => Promise<T>) => Promise<T>
  readonly #turn: string
  readonly #overdue: string
  readonly #instances: string
  readonly #claims: string
  readonly #items: string
  readonly #commit: string
  readonly #commitItems: string
  readonly #channel: string
  #tasks: Task[] = []
  #running: Promise<void> | undefined
  #closed = false

  /** `write` runs a transaction, as `Database.writing` does. */
  constructor(schema: string, channel: string, write: Database['writing']) {
    this.#write = write
    this.#channel = channel
    this.#turn = `SELECT revision FROM ${schema}.registry WHERE one FOR UPDATE`
    this.#overdue = `SELECT token FROM ${schema}.leases, ${ledgerOf(schema)}
      WHERE deadline <= swept - stalled ORDER BY deadline LIMIT $1 FOR UPDATE OF leases SKIP LOCKED`
    const columns = 'i.namespace, i.service, i.id, i.health, i.token, i.created, i.modified'
    this.#instances = `SELECT ${columns} FROM ${schema}.instances i WHERE token = ANY($1::text[])
      UNION SELECT ${columns} FROM json_to_recordset($2::json) AS k(namespace text, service text, id text)
        JOIN ${schema}.instances i USING (namespace, service, id)`
    this.#claims = `SELECT c.* FROM json_to_recordset($1::json) AS k(namespace text, service text, id text)
        JOIN ${schema}.claims c USING (namespace, service, id)
      UNION SELECT c.* FROM json_to_recordset($2::json) AS k(namespace text, service text, name text)
        JOIN ${schema}.claims c USING (namespace, service, name)`
    this.#items = `SELECT key, created, modified FROM ${schema}.items WHERE key = ANY($1::text[])`
    this.#commit = commit(schema)
    this.#commitItems = commitItems(schema)
  }

  /** Resolves once the change is committed. */
  do<T>(edit: Edit<T>, { first = false } = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed) return reject(closed())
      if (this.#tasks.length >= queueBound) return reject(new Error('too many changes are waiting'))
      const task = { edit, resolve: resolve as (value: unknown) => void, reject }
      if (first) this.#tasks.unshift(task)
      else this.#tasks.push(task)
      this.#running ??= this.#run()
    })
  }

  /** Takes no more; resolves once what waits is written. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#running
  }

  async #run(): Promise<void> {
    await undefined // Changes of the same turn share the first transaction.
    while (this.#tasks.length > 0) {
      const tasks = this.#take()
      try {
        const outcomes = await this.#write(this.#turn, (session, [head]) =>
          this.#transact(session, head!.revision, tasks),
        )
        for (const settle of outcomes) settle()
      } catch (error) {
        for (const { reject } of tasks) reject(error)
      }
    }
    this.#running = undefined
  }

  #take(): Task[] {
    let bytes = 0
    let count = 0
    for (const { edit } of this.#tasks) {
      bytes += edit.weight ?? 0
      if (count === most || (count > 0 && bytes > mostBytes)) break
      count++
    }
    return this.#tasks.splice(0, count)
  }

  /** Answers how to tell each what came of it, once it is committed. */
  async #transact(session: Session, revision: number, tasks: readonly Task[]): Promise<(() => void)[]> {
    const edits = tasks.map(({ edit }) => edit)
    const limit = edits.reduce((sum, { overdue = 0 }) => sum + overdue, 0)
    const overdue = limit === 0 ? [] : (await session.query(this.#overdue, [limit])).map(({ token }) => token)
    const tokens = [...overdue, ...edits.flatMap(({ token }) => token ?? [])]
    const keys = edits.flatMap(({ key }) => (key === undefined ? [] : keyOf(key)))
    const registered = await this.#registered(session, tokens, keys)
    const holders = await this.#holders(session, registered, edits)
    const items = await this.#known(session, edits)
    const draft = new Draft({ revision, registered, holders, items })
    const outcomes = tasks.map((task) => evaluated(task, draft, overdue))
    const writes = draft.writes()
    if (writes !== undefined) {
      const { put, observed, removed, leased, ended, claimed, freed, gone, items } = writes
      if (items !== undefined) await session.query(this.#commitItems, columns(items))
      await session.query(this.#commit, [
        JSON.stringify(put.map(row)),
        JSON.stringify(observed.map(row)),
        JSON.stringify(removed),
        JSON.stringify(leased),
        ended,
        JSON.stringify(claimed),
        JSON.stringify(freed),
        JSON.stringify(gone),
        writes.revision,
        randomUUID(),
        this.#channel,
      ])
    }
    return outcomes
  }

  async #registered(
    session: Session,
    tokens: readonly string[],
    keys: readonly InstanceKey[],
  ): Promise<Registered[]> {
    if (tokens.length + keys.length === 0) return []
    return (await session.query(this.#instances, [tokens, JSON.stringify(keys)])).map(read)
  }

  async #known(session: Session, edits: readonly Edit<unknown>[]): Promise<Map<string, KnownItem>> {
    const keys = new Set(edits.flatMap(({ items = [] }) => items))
    const rows = keys.size === 0 ? [] : await session.query(this.#items, [[...keys]])
    return new Map(rows.map(({ key, created, modified }) => [key, { created, modified }]))
  }

  async #holders(
    session: Session,
    registered: readonly Registered[],
    edits: readonly Edit<unknown>[],
  ): Promise<Holder[]> {
    const tokens = new Map(registered.map((each) => [each.token, each.key]))
    const names = edits.flatMap(({ key, token = '', claim: name }) => {
      const at = key ?? tokens.get(token)
      return at === undefined || name === undefined
        ? []
        : { namespace: at.namespace, service: at.service, name }
    })
    // Who is not registered holds none.
    if (registered.length === 0 && names.length === 0) return []
    const keys = registered.map(({ key }) => key)
    const rows = await session.query(this.#claims, [JSON.stringify(keys), JSON.stringify(names)])
    return rows.map(holder)
  }
}

function evaluated({ edit, resolve, reject }: Task, draft: Draft, overdue: readonly string[]): () => void {
  try {
    const value = edit.evaluate(draft, overdue)
    return () => resolve(value)
  } catch (error) {
    return () => reject(error)
  }
}

function keyOf({ namespace, service, id }: InstanceKey): InstanceKey {
  return { namespace, service, id }
}

function read({ namespace, service, id, health, token, created, modified }: Row): Registered {
  const key = { namespace, service, id }
  return { key, token, health: readHealth(health), createdRevision: created, modifiedRevision: modified }
}

/** One that cannot be read is replaced by the next that is written. */
function readHealth(text: string) {
  try {
    return storedHealth(text)
  } catch {
    return passing
  }
}

function row({ key, instance, health, token, createdRevision, modifiedRevision }: Registered): object {
  return {
    ...key,
    instance,
    health: JSON.stringify(health),
    token,
    created: createdRevision,
    modified: modifiedRevision,
  }
}

/**
 * One statement writes it all. Leases are locked in the order of their tokens, as by those who renew, so that the two
 * do not wait for each other in a circle.
 */
const commit = (schema: string): string => `WITH
  put AS (
    INSERT INTO ${schema}.instances (namespace, service, id, instance, health, token, created, modified)
    SELECT namespace, service, id, instance, health, token, created, modified FROM json_to_recordset($1::json) AS n(
      namespace text, service text, id text, instance text, health text, token text, created bigint, modified bigint)
    ON CONFLICT (namespace, service, id) DO UPDATE SET instance = excluded.instance, health = excluded.health,
      token = excluded.token, created = excluded.created, modified = excluded.modified
  ),
  observed AS (
    UPDATE ${schema}.instances i SET health = n.health, modified = n.modified
    FROM json_to_recordset($2::json) AS n(namespace text, service text, id text, health text, modified bigint)
    WHERE i.namespace = n.namespace AND i.service = n.service AND i.id = n.id
  ),
  removed AS (
    DELETE FROM ${schema}.instances i USING json_to_recordset($3::json) AS n(namespace text, service text, id text)
    WHERE i.namespace = n.namespace AND i.service = n.service AND i.id = n.id
  ),
  leased AS (
    INSERT INTO ${schema}.leases (token, ttl, deadline)
    SELECT n.token, n.ttl, ${ledgerEnd('n.ttl')}
    FROM json_to_recordset($4::json) AS n(token text, ttl bigint), ${ledgerOf(schema)}
  ),
  ended AS (
    DELETE FROM ${schema}.leases WHERE token IN (
      SELECT token FROM ${schema}.leases WHERE token = ANY($5::text[]) ORDER BY token FOR UPDATE)
  ),
  claimed AS (
    INSERT INTO ${schema}.claims (namespace, service, name, id, fence)
    SELECT namespace, service, name, id, fence FROM json_to_recordset($6::json) AS n(
      namespace text, service text, name text, id text, fence bigint)
    ON CONFLICT (namespace, service, name) DO UPDATE SET id = excluded.id, fence = excluded.fence
  ),
  freed AS (
    DELETE FROM ${schema}.claims c USING json_to_recordset($7::json) AS n(namespace text, service text, claim text)
    WHERE c.namespace = n.namespace AND c.service = n.service AND c.name = n.claim
  ),
  gone AS (
    INSERT INTO ${schema}.gone (revision, namespace, service, id, claim)
    SELECT revision, namespace, service, id, claim FROM json_to_recordset($8::json) AS n(
      revision bigint, namespace text, service text, id text, claim text)
  ),
  head AS (UPDATE ${schema}.registry SET revision = $9, stamp = $10 WHERE one),
  history AS (INSERT INTO ${schema}.commits (revision, stamp) VALUES ($9, $10))
  SELECT pg_notify($11, $9::text)`

/** The parameters of `commitItems`. */
function columns({ put, gone }: ItemWrites): unknown[][] {
  return [
    put.map(({ key }) => key),
    put.map(({ value }) => value),
    put.map(({ created }) => created),
    put.map(({ modified }) => modified),
    gone.map(({ key }) => key),
    gone.map(({ revision }) => revision),
  ]
}

/** Beside `commit`, in the same transaction: most write no items. */
const commitItems = (schema: string): string => `WITH
  put AS (
    INSERT INTO ${schema}.items (key, value, created, modified)
    SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bigint[])
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, created = excluded.created, modified = excluded.modified
  ),
  removed AS (DELETE FROM ${schema}.items WHERE key = ANY($5::text[]))
  INSERT INTO ${schema}.gone_items (key, revision) SELECT * FROM unnest($5::text[], $6::bigint[])`
