import { type Clock, SeamarkError } from '@seamark/core'
import type { Location } from './location.ts'
import { Session, unavailable } from './session.ts'

/** One session at a time, with whichever server can be reached; a new one when somebody asks after it was lost. */
export class Connection implements AsyncDisposable {
  readonly #location: Location
  readonly #clock: Clock
  readonly #closed = new AbortController()
  #session: Session | undefined
  #opening: Promise<Session> | undefined
  /** The server to try next; the first is a random one, so that handles spread over the servers. */
  #next: number

  constructor(location: Location, clock: Clock) {
    this.#location = location
    this.#clock = clock
    this.#next = Math.floor(Math.random() * location.servers.length)
  }

  /** Aborts when the connection is closed. */
  get closed(): AbortSignal {
    return this.#closed.signal
  }

  check(): void {
    if (this.#closed.signal.aborted) throw new SeamarkError('closed', 'The engine was closed.')
  }

  /** The session under way, or a new one. Throws `engine_unavailable`, `closed`. */
  async session(): Promise<Session> {
    this.check()
    if (this.#session !== undefined && !this.#session.lost.aborted) return this.#session
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async #open(): Promise<Session> {
    const { servers, credentials } = this.#location
    const failures: unknown[] = []
    for (const _ of servers) {
      const server = servers[this.#next++ % servers.length]!
      try {
        this.#session = await Session.open({ clock: this.#clock, server, credentials }, this.#closed.signal)
        return this.#session
      } catch (error) {
        this.check()
        failures.push(error)
      }
    }
    throw unavailable(
      `No ZooKeeper server can be reached at ${servers.map(({ host, port }) => `${host}:${port}`).join(', ')}`,
      failures.length === 1 ? failures[0] : new AggregateError(failures),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed.signal.aborted) return
    this.#closed.abort(new SeamarkError('closed', 'The engine was closed.'))
    await this.#opening?.catch(() => undefined)
    this.#session?.close()
  }
}
