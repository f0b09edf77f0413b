import { type Clock, type Notify, sleep } from '@seamark/core'
import type { Bell } from './bell.ts'
import type { Database } from './database.ts'
import { unavailable } from './failure.ts'

/** Milliseconds between two looks at the revision, beside what is notified: it also tells that the connection lives. */
const lookInterval = 2_000

/** Milliseconds between two looks where nothing is notified. */
export const pollInterval = 500

/** Looks in a row that found what should have been notified, after which something is wrong. */
const missedLooks = 3

export interface WakeupsOptions {
  readonly database: Database
  readonly schema: string
  readonly channel: string
  readonly listen: boolean
  readonly clock: Clock
  readonly notify: Notify
}

/** What tells the bells of one connection. */
interface Feed {
  readonly bells: Set<Bell>
  readonly started: Promise<void>
  end(failure?: unknown): void
}

/**
 * Rings bells when the registry changed. While there are any, a connection listens; notifications say only that it is
 * time to look, and a look every now and then makes up for one that was lost.
 */
export class Wakeups {
  readonly #options: WakeupsOptions
  readonly #look: string
  #feed: Feed | undefined
  #warned = false

  constructor(options: WakeupsOptions) {
    this.#options = options
    this.#look = `SELECT revision, stamp FROM ${options.schema}.registry WHERE one`
  }

  /** From when it resolves, the bell rings for what is committed. It is closed when that ends. */
  async join(bell: Bell): Promise<void> {
    this.#feed ??= this.#start()
    const feed = this.#feed
    feed.bells.add(bell)
    await feed.started
  }

  leave(bell: Bell): void {
    const feed = this.#feed
    if (feed?.bells.delete(bell) && feed.bells.size === 0) feed.end()
  }

  close(failure: unknown): void {
    this.#feed?.end(failure)
  }

  #start(): Feed {
    const over = new AbortController()
    const bells = new Set<Bell>()
    const ring = () => {
      for (const bell of bells) bell.ring()
    }
    const end = (failure?: unknown) => {
      if (this.#feed === feed) this.#feed = undefined
      over.abort()
      for (const bell of bells) bell.close(failure)
      bells.clear()
    }
    const fail = (error: unknown) => end(unavailable(error))
    const starting = this.#options.listen
      ? this.#listen(over.signal, ring, fail)
      : this.#poll(over.signal, ring, fail)
    const feed: Feed = { bells, started: starting.catch(fail), end }
    return feed
  }

  async #listen(signal: AbortSignal, ring: () => void, fail: (error: unknown) => void): Promise<void> {
    const { database, channel } = this.#options
    const client = await database.connection()
    client.on('end', () => fail(new Error('the connection that listens was lost')))
    const leave = () => void client.end().catch(() => undefined)
    if (signal.aborted) return leave()
    signal.addEventListener('abort', leave, { once: true })
    let notified = false
    client.on('notification', () => {
      notified = true
      ring()
    })
    await client.query(`LISTEN "${channel}"`)
    let missed = 0
    const look = async (last: string | undefined) => {
      const now = JSON.stringify((await client.query(this.#look)).rows)
      if (now === last) return now
      missed = notified || last === undefined ? 0 : missed + 1
      notified = false
      if (missed === missedLooks) this.#warn()
      ring()
      return now
    }
    void this.#every(lookInterval, signal, look, fail)
  }

  async #poll(signal: AbortSignal, ring: () => void, fail: (error: unknown) => void): Promise<void> {
    const { database } = this.#options
    const look = async (last: string | undefined) => {
      const now = JSON.stringify(await database.read(this.#look))
      if (now !== last) ring()
      return now
    }
    void this.#every(pollInterval, signal, look, fail)
  }

  async #every(
    interval: number,
    signal: AbortSignal,
    look: (last: string | undefined) => Promise<string>,
    fail: (error: unknown) => void,
  ): Promise<void> {
    let last: string | undefined
    try {
      for (;;) {
        await sleep(this.#options.clock, interval, signal)
        last = await look(last)
      }
    } catch (error) {
      if (!signal.aborted) fail(error)
    }
  }

  #warn(): void {
    if (this.#warned) return
    this.#warned = true
    this.#options.notify({
      level: 'warn',
      event: 'notifications_missing',
      message:
        'PostgreSQL does not notify of changes: they are seen late. Behind PgBouncer in transaction mode, nothing can be notified: add ?listen=false to the URL.',
    })
  }
}
