import { type Clock, type Entry, invalidField, type Timer } from '@seamark/core'
import { type buildConnector, type Dispatcher, Pool } from 'undici'
import { endpoint } from '../endpoint.ts'
import type { Condition, Connections } from './condition.ts'
import { dispatchHandler, type NativeHandler } from './native-handler.ts'
import { readdressed } from './readdressed.ts'

/** What carries a try to its instance. */
export interface Carrier {
  /** Why it carries nothing any more. */
  readonly failure: Error | undefined
  carry(
    entry: Entry,
    condition: Condition,
    options: Dispatcher.DispatchOptions,
    headers: Dispatcher.DispatchOptions['headers'],
    handler: NativeHandler,
  ): void
}

export interface PoolsOptions {
  /** Connections to one instance, at most; further requests wait for one. Default 1024, as Envoy. */
  readonly connections?: number
  /** How connections are made: `ca`, `cert` and all else of undici's connector. Its `timeout` is 2 s by default. */
  readonly connect?: buildConnector.BuildOptions
}

/** Milliseconds that connecting to an instance may take before another one is tried. */
const connectTimeout = 2_000
/** Milliseconds after which what is kept for an origin that nobody sent anything to is dropped. */
const idle = 60_000

/**
 * The connections to instances: a pool for each origin, shared by all who hold it. Idle connections are kept for 4 s, or 2 s less
 * than the server says that it keeps them (undici's defaults), so that no request meets one that is being closed.
 */
export class Pools implements Carrier {
  readonly #clock: Clock
  readonly #options: Pool.Options
  readonly #origins = new Map<string, OriginPool>()
  /** Until they are closed. */
  readonly #closing = new Map<Pool, Promise<void>>()
  #timer: Timer | undefined
  failure: Error | undefined

  /** Throws `invalid_field`. */
  constructor(clock: Clock, { connections = 1_024, connect }: PoolsOptions = {}) {
    if (!Number.isInteger(connections) || connections < 1)
      throw invalidField('connections', 'must be a whole number of at least 1')
    this.#clock = clock
    this.#options = { connections, connect: { timeout: connectTimeout, ...connect } }
  }

  carry(
    entry: Entry,
    condition: Condition,
    options: Dispatcher.DispatchOptions,
    headers: Dispatcher.DispatchOptions['headers'],
    handler: NativeHandler,
  ): void {
    if (this.failure !== undefined) {
      handler.onError(this.failure)
      return
    }
    const { origin } = endpoint(entry)
    let pool = condition.connections as OriginPool | undefined
    if (pool === undefined) {
      pool = this.#hold(origin)
      condition.connections = pool
    }
    const isAsIs = headers === options.headers
    pool.dispatch(isAsIs ? options : readdressed(options, origin, headers, pool.servername), handler)
  }

  /** Closes what is idle now, and resolves once all that is under way has come to its end. */
  async close(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    for (const pool of this.#origins.values()) pool.close()
    await Promise.all(this.#closing.values())
  }

  /** Ends all that is under way, with this error. */
  async destroy(error: Error): Promise<void> {
    this.failure = error
    void this.close()
    await Promise.all([...this.#closing.keys()].map((pool) => pool.destroy(error)))
  }

  #hold(origin: string): OriginPool {
    let pool = this.#origins.get(origin)
    if (pool === undefined) {
      pool = new OriginPool(origin, {
        open: () => this.#open(origin),
        close: (pool) => this.#close(pool),
        abandoned: () => this.#origins.delete(origin),
      })
      this.#origins.set(origin, pool)
    }
    pool.holders++
    return pool
  }

  #open(origin: string): Pool {
    this.#timer ??= this.#clock.after(idle, () => this.#sweep())
    return new Pool(origin, this.#options)
  }

  #close(pool: Pool): void {
    const done = () => void this.#closing.delete(pool)
    this.#closing.set(pool, pool.close().then(done, done))
  }

  #sweep(): void {
    this.#timer = undefined
    let any = false
    for (const pool of this.#origins.values()) any = pool.sweep() || any
    if (any) this.#timer = this.#clock.after(idle, () => this.#sweep())
  }
}

interface OriginPoolHost {
  readonly open: () => Pool
  readonly close: (pool: Pool) => void
  readonly abandoned: () => void
}

/** The connections to one origin. They are closed when all who hold them have released them, once nothing is under way. */
class OriginPool implements Connections {
  readonly origin: string
  /** Without TLS nobody reads it, but without it undici works it out of the host, for as long as it takes to choose an instance. */
  readonly servername: string | undefined
  readonly #host: OriginPoolHost
  #pool: Pool | undefined
  #isUsed = false
  holders = 0

  constructor(origin: string, host: OriginPoolHost) {
    this.origin = origin
    this.servername = origin.startsWith('http:') ? 'none' : undefined
    this.#host = host
  }

  dispatch(options: Dispatcher.DispatchOptions, handler: NativeHandler): void {
    this.#isUsed = true
    this.#pool ??= this.#host.open()
    this.#pool.dispatch(options, dispatchHandler(handler))
  }

  release(): void {
    this.holders--
    if (this.holders > 0) return
    this.close()
    this.#host.abandoned()
  }

  /** Those that are idle at once, the others after what is under way. What comes later opens new ones. */
  close(): void {
    const pool = this.#pool
    this.#pool = undefined
    if (pool !== undefined) this.#host.close(pool)
  }

  /** Drops what nobody used since the last time; answers whether something is left. */
  sweep(): boolean {
    if (!this.#isUsed && this.#pool?.stats.size === 0) this.close()
    this.#isUsed = false
    return this.#pool !== undefined
  }
}
