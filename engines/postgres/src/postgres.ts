import { type Clock, type Engine, type Notify, systemClock } from '@seamark/core'
import { PostgresEngine } from './engine.ts'
import { location } from './location.ts'

export interface PostgresOptions {
  /** Default the system's. Leases live by the database's clock: this one says only when to look. */
  clock?: Clock
  /** Default: nobody is told. */
  notify?: Notify
}

/**
 * The registry in a PostgreSQL database, in a schema of its own that is made on first use. The URL is
 * `postgres://user:password@host:5432/database`, with the parameters `schema` (default `seamark`), `sslmode` (`disable`,
 * the default, `require`, `verify-ca` or `verify-full`), `sslrootcert` (a file) and `listen` (default `true`).
 *
 * A database that is away is no error here: all that needs it throws `engine_unavailable` until it is back.
 * Throws `configuration` for a wrong URL, a user that is not let in or lacks rights; `store_too_new`.
 */
export async function postgres(url: string, options: PostgresOptions = {}): Promise<Engine> {
  const { clock = systemClock, notify = () => {} } = options
  const engine = new PostgresEngine(location(url), { clock, notify })
  try {
    await engine.start()
  } catch (error) {
    await engine[Symbol.asyncDispose]()
    throw error
  }
  return engine
}

export const open = postgres
