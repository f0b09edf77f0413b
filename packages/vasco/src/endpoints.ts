import { type Clock, held, sleep } from '@seamark/core'
import type { Connection } from './connection.ts'
import { aliveKey, endpointsKey, isAlive, removeDead } from './keys.ts'

/**
 * Milliseconds that a URL must be without its alive key to be taken for dead. The original renews when the key has just
 * expired: for a moment, each time, its living endpoints look dead.
 */
const lapse = 1_000
/** Milliseconds between two looks meanwhile. */
const interval = 50

interface Seen {
  readonly alive: readonly string[]
  /** Without an alive key. One that names another service makes a URL neither alive nor absent. */
  readonly absent: readonly string[]
}

/** Where services are, by what the keys say. */
export class Endpoints {
  readonly #connection: Connection
  readonly #clock: Clock
  readonly #cleaning = new Set<string>()

  constructor(connection: Connection, clock: Clock) {
    this.#connection = connection
    this.#clock = clock
  }

  /**
   * One that is alive, at random; `undefined` when there is none, after a second if there are some that were. Those that
   * stay dead for that second are removed: by then, or after the answer.
   */
  async find(service: string): Promise<string | undefined> {
    const hold = this.#connection.hold()
    try {
      const { alive, absent } = await this.#look(service)
      if (alive.length === 0) return await held(this.#outlast(service, absent, true))
      if (absent.length > 0) void this.#clean(service, absent)
      return any(alive)
    } finally {
      hold[Symbol.dispose]()
    }
  }

  /** Never rejects: what could not be removed now is found dead again. */
  async #clean(service: string, absent: readonly string[]): Promise<void> {
    if (this.#cleaning.has(service)) return
    this.#cleaning.add(service)
    const hold = this.#connection.hold()
    try {
      await this.#outlast(service, absent, false)
    } catch {
    } finally {
      hold[Symbol.dispose]()
      this.#cleaning.delete(service)
    }
  }

  /** Removes those of `absent` that stay so. Unless it answers one that is alive meanwhile, if that is `wanted`. */
  async #outlast(service: string, absent: readonly string[], wanted: boolean): Promise<string | undefined> {
    let dead = absent
    for (const end = this.#clock.now() + lapse; dead.length > 0 && this.#clock.now() < end; ) {
      await sleep(this.#clock, interval)
      const seen = await this.#look(service)
      if (wanted && seen.alive.length > 0) return any(seen.alive)
      dead = dead.filter((url) => seen.absent.includes(url))
    }
    await Promise.all(dead.map((url) => this.#remove(service, url)))
    return undefined
  }

  async #look(service: string): Promise<Seen> {
    return this.#connection.ask(async (client) => {
      const urls = await client.smembers(endpointsKey(service))
      if (urls.length === 0) return { alive: [], absent: [] }
      const values = await client.mget(urls.map(aliveKey))
      return {
        alive: urls.filter((_, index) => isAlive(values[index], service)),
        absent: urls.filter((_, index) => values[index] === null),
      }
    })
  }

  async #remove(service: string, url: string): Promise<void> {
    await this.#connection.ask((client) =>
      client.eval(removeDead, 2, endpointsKey(service), aliveKey(url), url),
    )
  }
}

function any(urls: readonly string[]): string | undefined {
  return urls[Math.floor(Math.random() * urls.length)]
}
