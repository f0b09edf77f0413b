import { type Clock, type Notify, sleep } from '@seamark/core'
import type { Database } from './database.ts'
import { reason } from './failure.ts'
import { ledgerOf, stall, sweepInterval } from './ledger-time.ts'
import type { Writer } from './writer.ts'

/** Minutes that the history of changes is kept. A watcher that is farther behind gets a reset. */
const historyMinutes = 10

/** Commits that one pruning forgets at most, and milliseconds between two. */
const pruned = 10_000
const pruneInterval = 30_000

/** Milliseconds that a handle waits after it could not sweep. */
const retryInterval = 1_000

export interface SweeperOptions {
  readonly schema: string
  readonly clock: Clock
  readonly notify: Notify
  readonly writer: Writer
  readonly write: Database['write']
}

/**
 * Ends leases that are over. Every handle tries every quarter of a second, and one of all gets the turn. Mass expiry
 * is slowed down as in core's `Ledger`: a sweep ends 100 leases or one in a hundred, whichever is more.
 */
export class Sweeper {
  readonly #options: SweeperOptions
  readonly #stop = new AbortController()
  readonly #sweepText: string
  readonly #countText: string
  readonly #pruneText: string
  #ending = false
  #capped = false
  #failed = false
  #pruneAt: number

  constructor(options: SweeperOptions) {
    const { schema, clock } = options
    this.#options = options
    // Handles that were started together do not prune together.
    this.#pruneAt = clock.now() + Math.random() * pruneInterval
    // It need not wait for the disk: a sweep that a crash undoes prolongs leases, at most.
    // While the row is locked, the turn is another's; just after a sweep, it is nobody's.
    this.#sweepText = `WITH
      turn AS (
        SELECT clock_timestamp() AS now, swept FROM ${schema}.ledger LIMIT 1 FOR UPDATE SKIP LOCKED
      ),
      measured AS (
        SELECT now, CASE WHEN now - swept BETWEEN '0' AND interval '${stall} ms' THEN interval '0'
          ELSE now - swept - interval '${stall} ms' END AS excess
        FROM turn WHERE now - swept NOT BETWEEN '0' AND interval '${sweepInterval - 50} ms'
      ),
      sweep AS (
        UPDATE ${schema}.ledger SET swept = now, stalled = stalled + excess FROM measured
        RETURNING swept - stalled AS moment, excess
      )
      SELECT extract(epoch FROM excess)::float8 * 1000 AS excess, (SELECT count(*) FROM (
        SELECT FROM ${schema}.leases WHERE deadline <= moment LIMIT 101) AS over) AS overdue,
        set_config('synchronous_commit', 'off', true) FROM sweep LIMIT 1`
    this.#countText = `SELECT count(*) FILTER (WHERE deadline <= swept - stalled) AS overdue, count(*) AS leases
      FROM ${schema}.leases, ${ledgerOf(schema)} WHERE deadline IS NOT NULL`
    this.#pruneText = `WITH
      floor AS (
        SELECT max(revision) AS revision FROM (
          SELECT revision FROM ${schema}.commits WHERE at < clock_timestamp() - interval '${historyMinutes} min'
          ORDER BY revision LIMIT ${pruned}) AS old
      ),
      commits AS (DELETE FROM ${schema}.commits USING floor WHERE commits.revision < floor.revision),
      gone AS (DELETE FROM ${schema}.gone USING floor WHERE gone.revision <= floor.revision)
      DELETE FROM ${schema}.gone_items USING floor WHERE gone_items.revision <= floor.revision`
  }

  start(): void {
    void this.#run()
  }

  stop(): void {
    this.#stop.abort()
  }

  async #run(): Promise<void> {
    const { clock } = this.#options
    const { signal } = this.#stop
    while (!signal.aborted) {
      let wait = sweepInterval * (0.8 + 0.4 * Math.random())
      try {
        await this.#sweep()
        await this.#prune()
        this.#failed = false
      } catch (error) {
        if (signal.aborted) return
        this.#tell(error)
        wait = retryInterval * (0.5 + Math.random())
      }
      await sleep(clock, wait, signal).catch(() => undefined)
    }
  }

  async #sweep(): Promise<void> {
    const { write, notify } = this.#options
    const [swept] = await write(this.#sweepText)
    if (swept === undefined) return
    if (Math.abs(swept.excess) >= stall)
      notify({
        level: 'warn',
        event: 'clock_stalled',
        message: `Nobody could end leases for ${Math.round(swept.excess)} ms: every lease was prolonged by as much.`,
        details: { stalled: Math.round(swept.excess) },
      })
    if (swept.overdue === 0) this.#capped = false
    else if (!this.#ending) void this.#expire(await this.#most(swept.overdue))
  }

  async #most(overdue: number): Promise<number> {
    const { write, notify } = this.#options
    if (overdue <= 100) {
      this.#capped = false
      return 100
    }
    const [all] = await write(this.#countText)
    const most = Math.max(100, Math.ceil(all!.leases / 100))
    const capped = all!.overdue > most
    if (capped && !this.#capped)
      notify({
        level: 'warn',
        event: 'expiry_capped',
        message:
          `${all!.overdue} of ${all!.leases} leases are over at once, as when the network fails rather than they: ` +
          `ending at most ${most} every ${sweepInterval} ms, so that the others can still renew.`,
        details: { overdue: all!.overdue, leases: all!.leases, most },
      })
    this.#capped = capped
    return most
  }

  /** Beside the sweeps, which tell how time goes on: it may have to wait for other writers. */
  async #expire(overdue: number): Promise<void> {
    const { writer, notify } = this.#options
    this.#ending = true
    try {
      const count = await writer.do(
        {
          overdue,
          evaluate(draft, tokens) {
            for (const token of tokens) {
              const held = draft.held(token)
              if (held === undefined) draft.forget(token)
              else draft.remove(held)
            }
            return tokens.length
          },
        },
        { first: true },
      )
      if (count > 0)
        notify({
          level: 'info',
          event: 'leases_expired',
          message: `${count} leases expired.`,
          details: { count },
        })
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#tell(error)
    } finally {
      this.#ending = false
    }
  }

  async #prune(): Promise<void> {
    const { clock, write } = this.#options
    if (clock.now() < this.#pruneAt) return
    this.#pruneAt = clock.now() + pruneInterval
    await write(this.#pruneText)
  }

  /** Once, until it works again. */
  #tell(error: unknown): void {
    if (this.#failed) return
    this.#failed = true
    this.#options.notify({
      level: 'error',
      event: 'expiry_failed',
      message: `Leases that are over could not be ended (${reason(error)}); trying again.`,
      details: { error },
    })
  }
}
