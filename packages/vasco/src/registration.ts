import { Backoff, type Clock, held, type Notify, SeamarkError, sleep } from '@seamark/core'
import type { Connection } from './connection.ts'
import { aliveKey, endpointsKey, removeOwn } from './keys.ts'

export interface RegistrationOptions {
  readonly connection: Connection
  readonly clock: Clock
  readonly notify: Notify
  readonly url: string
  /** `name@version`. */
  readonly service: string
  /** Seconds that it outlives its last renewal. */
  readonly duration: number
}

/** Milliseconds between two tries at most. */
const longestWait = 5_000

/**
 * Keeps a URL an endpoint of a service, and alive, until closed: writes both keys each third of its duration, so that
 * whoever removed them by mistake, or a Redis that lost them, is made good within that. Keeps the process alive as long.
 */
export class Registration {
  readonly service: string
  readonly #options: RegistrationOptions
  readonly #closing = new AbortController()
  readonly #backoff: Backoff
  readonly #life: Promise<void>
  #troubled = false
  #end: Promise<void> | undefined

  constructor(options: RegistrationOptions) {
    this.#options = options
    this.service = options.service
    const most = Math.min(longestWait, (options.duration * 1_000) / 6)
    this.#backoff = new Backoff({ first: Math.min(100, most), most })
    const hold = options.connection.hold()
    this.first = this.#write()
    this.#life = held(
      this.first.then(
        () => this.#keep(),
        () => {},
      ),
    ).finally(() => hold[Symbol.dispose]())
  }

  /** Settles with the first try. */
  readonly first: Promise<void>

  /** No longer keeps it registered, nor takes it away. */
  async stop(): Promise<void> {
    this.#closing.abort()
    await this.#life
  }

  /** Takes it away. Never rejects: what cannot be taken away expires. */
  close(): Promise<void> {
    this.#end ??= this.#close()
    return this.#end
  }

  /** As `close` begins, but at once: for a process that has no turn of its event loop left. */
  farewell(): void {
    const { client } = this.#options.connection
    if (client !== undefined) void this.#remove(client).catch(() => {})
  }

  async #close(): Promise<void> {
    const { connection, notify, url, duration } = this.#options
    const hold = connection.hold()
    try {
      // A renewal under way must come to its end first, or it would put back what is taken away.
      await this.stop()
      await connection.ask((client) => this.#remove(client))
    } catch (error) {
      notify({
        level: 'warn',
        event: 'deregistration_failed',
        message: `${this.service} at ${url} could not be deregistered: it expires within ${duration} s.`,
        details: { error },
      })
    } finally {
      hold[Symbol.dispose]()
    }
  }

  async #keep(): Promise<void> {
    const { clock, duration } = this.#options
    const { signal } = this.#closing
    for (let wait = (duration * 1_000) / 3; !signal.aborted; ) {
      await sleep(clock, wait, signal).catch(() => {})
      if (signal.aborted) return
      try {
        await this.#write()
        this.#backoff.reset()
        this.#troubled = false
        wait = (duration * 1_000) / 3
      } catch (error) {
        this.#trouble(error)
        wait = this.#backoff.next()
      }
    }
  }

  /** In one step: between the original's two, a lookup takes the new endpoint for a dead one. */
  async #write(): Promise<void> {
    const { connection, url, duration } = this.#options
    const results = await connection.ask((client) =>
      client
        .multi()
        .sadd(endpointsKey(this.service), url)
        .set(aliveKey(url), this.service, 'EX', duration)
        .exec(),
    )
    const failure = results?.find(([error]) => error !== null)?.[0]
    if (failure)
      throw new SeamarkError('engine_unavailable', `Redis failed: ${failure.message}`, { cause: failure })
  }

  #remove(client: NonNullable<Connection['client']>): Promise<unknown> {
    const { url } = this.#options
    return client.eval(removeOwn, 2, endpointsKey(this.service), aliveKey(url), url, this.service)
  }

  /** Told once per outage. */
  #trouble(error: unknown): void {
    if (this.#troubled) return
    this.#troubled = true
    this.#options.notify({
      level: 'warn',
      event: 'announcement_failed',
      message: `${this.service} at ${this.#options.url} cannot be kept registered at present; it is tried again until it is.`,
      details: { error },
    })
  }
}
