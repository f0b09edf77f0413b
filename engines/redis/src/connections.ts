import { type Clock, SeamarkError } from '@seamark/core'
import { type Argument, Connection, isWrongServer } from './connection.ts'
import type { RedisAddress } from './redis-url.ts'
import type { Script } from './scripts.ts'

/**
 * The connections of one handle: one that all commands share, opened when it is needed and again when it broke, and
 * one for each watch.
 */
export class Connections {
  readonly #address: RedisAddress
  readonly #clock: Clock
  readonly #all = new Set<Connection>()
  #shared: Connection | undefined
  #opening: Promise<Connection> | undefined
  #closed: Promise<void> | undefined

  constructor(address: RedisAddress, clock: Clock) {
    this.#address = address
    this.#clock = clock
  }

  /** Runs a script over the shared connection. Throws `engine_unavailable`, and `closed` even if it was under way. */
  async run(script: Script, args: readonly Argument[]): Promise<unknown> {
    for (let tries = 1; ; tries++) {
      this.check()
      try {
        const connection = await this.shared()
        return await connection.run(script, args)
      } catch (error) {
        this.check()
        if (tries > 1 || !isWrongServer(error)) throw error
      }
    }
  }

  /** The one for commands. Throws `engine_unavailable`. */
  async shared(): Promise<Connection> {
    if (this.#shared !== undefined && !this.#shared.closed) return this.#shared
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  /** A new one, not opened yet; whoever asked gives it back. */
  own(): Connection {
    this.check()
    const connection = new Connection(this.#address, this.#clock)
    this.#all.add(connection)
    return connection
  }

  async giveBack(connection: Connection): Promise<void> {
    this.#all.delete(connection)
    await connection.close()
  }

  /** Throws `closed` once this is. */
  check(): void {
    if (this.#closed !== undefined) throw new SeamarkError('closed', 'The engine was closed.')
  }

  /** Breaks off all that is under way. */
  close(): Promise<void> {
    this.#closed ??= Promise.all([...this.#all].map((connection) => this.giveBack(connection))).then(
      () => undefined,
    )
    return this.#closed
  }

  async #open(): Promise<Connection> {
    if (this.#shared !== undefined) await this.giveBack(this.#shared)
    const connection = this.own()
    try {
      await connection.open()
    } catch (error) {
      await this.giveBack(connection)
      throw error
    }
    this.#shared = connection
    return connection
  }
}
