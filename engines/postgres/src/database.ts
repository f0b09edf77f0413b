import { Socket } from 'node:net'
import { Backoff, type Clock, sleep } from '@seamark/core'
import { Client, type ClientConfig, Pool, type PoolClient, types } from 'pg'
import { closed, isPassing, unavailable } from './failure.ts'
import type { Location } from './location.ts'

/** Milliseconds that connecting, and any one statement, may take. */
const patience = 5_000

/** Milliseconds that a goodbye may take. */
const goodbye = 1_000

/** Connections that writing, and as many that reading may use; they come when needed, and go after 10 idle seconds. */
const connections = 3

/** Tries of a transaction that PostgreSQL rolled back for another one's sake. */
const tries = 5

/**
 * Said in each transaction, not once per connection, since behind PgBouncer a connection is shared. The last one ends
 * the session of a process that is cut off in the midst of a transaction: nobody waits for its locks any longer.
 */
const bounds = `SET LOCAL jit = off; SET LOCAL statement_timeout = ${patience}; SET LOCAL lock_timeout = ${patience - 500}; SET LOCAL idle_in_transaction_session_timeout = ${patience}`

// biome-ignore lint/suspicious/noExplicitAny: the driver types rows like this; each statement says what it selects
export type Row = Record<string, any>

/** A transaction under way. */
export interface Session {
  query(text: string, values?: unknown[]): Promise<Row[]>
}

/** The connections to one database. It throws the driver's errors, and `closed`. */
export class Database implements AsyncDisposable {
  readonly #clock: Clock
  readonly #config: ClientConfig
  readonly #writing: Pool
  readonly #reading: Pool
  readonly #sockets = new Set<Socket>()
  #closed: Promise<void> | undefined

  constructor(location: Location, clock: Clock) {
    const { host, port, user, password, database, ssl } = location
    this.#clock = clock
    this.#config = {
      host,
      port,
      user,
      password,
      database,
      ssl,
      application_name: 'seamark',
      connectionTimeoutMillis: patience,
      query_timeout: patience,
      keepAlive: true,
      stream: () => this.#socket(),
      types: { getTypeParser },
    }
    this.#writing = this.#pool()
    this.#reading = this.#pool()
  }

  /** Runs one statement that changes the registry, in a transaction of its own. */
  write(text: string, values?: unknown[]): Promise<Row[]> {
    return this.#statement(this.#writing, text, values)
  }

  /** Runs one statement that reads. */
  read(text: string, values?: unknown[]): Promise<Row[]> {
    return this.#statement(this.#reading, text, values)
  }

  /**
   * Runs a transaction that changes the registry, beginning with a statement without parameters, whose rows it gets.
   * Runs it again when PostgreSQL sacrificed it to another.
   */
  writing<T>(first: string, work: (session: Session, rows: Row[]) => Promise<T>): Promise<T> {
    return this.#transaction(this.#writing, first, work)
  }

  /** The same for reading. */
  reading<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.#transaction(this.#reading, 'SET TRANSACTION READ ONLY', work)
  }

  /** A connection for oneself, to listen on. Whoever takes it ends it. */
  async connection(): Promise<Client> {
    if (this.#closed !== undefined) throw closed()
    const client = new Client(this.#config)
    // A connection that breaks is told by its `end`, too, and by whatever is asked of it.
    client.on('error', () => undefined)
    try {
      await client.connect()
      return client
    } catch (error) {
      client.end().catch(() => undefined)
      throw unavailable(error)
    }
  }

  async #statement(pool: Pool, text: string, values?: unknown[]): Promise<Row[]> {
    return this.#again(() =>
      this.#using(pool, async (client) => {
        const { rows } = await client.query(text, values)
        return rows
      }),
    )
  }

  #transaction<T>(
    pool: Pool,
    first: string,
    work: (session: Session, rows: Row[]) => Promise<T>,
  ): Promise<T> {
    return this.#again(() =>
      this.#using(pool, async (client) => {
        const session: Session = { query: async (text, values) => (await client.query(text, values)).rows }
        // Several statements in one message: their results are a list.
        const begun: unknown = await client.query(`BEGIN ISOLATION LEVEL READ COMMITTED; ${bounds}; ${first}`)
        const result = await work(session, (begun as { rows: Row[] }[]).at(-1)!.rows)
        await client.query('COMMIT')
        return result
      }),
    )
  }

  async #again<T>(work: () => Promise<T>): Promise<T> {
    const backoff = new Backoff({ first: 5, most: 200 })
    for (let count = 1; ; count++)
      try {
        return await work()
      } catch (error) {
        if (!isPassing(error) || count === tries) throw error
        await sleep(this.#clock, backoff.next())
      }
  }

  async #using<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
    if (this.#closed !== undefined) throw closed()
    const client = await pool.connect()
    try {
      const result = await work(client)
      client.release()
      return result
    } catch (error) {
      // Closing the connection is the surest way to roll back; errors are rare.
      client.release(true)
      throw error
    }
  }

  #pool(): Pool {
    const pool = new Pool({ ...this.#config, max: connections, allowExitOnIdle: true })
    // Whoever uses a connection that breaks is told by what it asked; an idle one is missed by nobody.
    pool.on('error', () => undefined)
    pool.on('connect', (client) => client.on('error', () => undefined))
    return pool
  }

  #socket(): Socket {
    const socket = new Socket()
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    return socket
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close()
    await this.#closed
  }

  async #close(): Promise<void> {
    const timeUp = new AbortController()
    const gone = Promise.all([
      this.#writing.end(),
      this.#reading.end(),
      ...[...this.#sockets].map(
        (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
      ),
    ])
    await Promise.race([gone, sleep(this.#clock, goodbye, timeUp.signal)]).finally(() => timeUp.abort())
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** Revisions and counts are safe integers, though the driver makes text of what has 64 bits. */
const getTypeParser = ((oid: number, format: 'text' | 'binary') =>
  oid === types.builtins.INT8 ? Number : types.getTypeParser(oid, format)) as typeof types.getTypeParser
