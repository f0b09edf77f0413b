import { Backoff, type Clock, isSeamarkError, type Notify, type Timer } from '@seamark/core'
import { sweepInterval } from './scripts.ts'

/** What one sweep came to. */
export interface Sweep {
  readonly expired: number
  /** Leases that were over, with those that were ended. */
  readonly overdue: number
  readonly leases: number
  /** How many one sweep ends at most. */
  readonly most: number
  /** Milliseconds for which nobody had swept, and by which every lease was prolonged. */
  readonly stalled: number
  /** Whether another Redis server answers than at the sweep before: every lease starts its TTL anew. */
  readonly another: boolean
}

export interface SweeperOptions {
  readonly clock: Clock
  readonly notify: Notify
  /** Sweeps once; `undefined` when somebody else just did. */
  sweep(): Promise<Sweep | undefined>
}

/**
 * Ends the leases that are over. Each handle has one; while another handle's is at work, this one only looks now and
 * then whether it still is.
 */
export class Sweeper {
  readonly #clock: Clock
  readonly #notify: Notify
  readonly #sweep: () => Promise<Sweep | undefined>
  readonly #backoff = new Backoff({ first: sweepInterval, most: 4 * sweepInterval })
  #timer: Timer | undefined
  #stopped = false
  #capped = false
  #failing = false

  constructor({ clock, notify, sweep }: SweeperOptions) {
    this.#clock = clock
    this.#notify = notify
    this.#sweep = sweep
    this.#next(0)
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  /** Sweeps after about `delay` ms: handles that were opened together do not go on together. */
  #next(delay: number): void {
    if (this.#stopped) return
    this.#timer = this.#clock.after(delay * (0.8 + 0.4 * Math.random()), () => void this.#run())
  }

  async #run(): Promise<void> {
    try {
      const sweep = await this.#sweep()
      this.#backoff.reset()
      this.#failing = false
      if (sweep !== undefined) this.#tell(sweep)
      this.#next(sweep === undefined ? 2 * sweepInterval : sweepInterval)
    } catch (error) {
      if (this.#stopped || isSeamarkError(error, 'closed')) return
      this.#fail(error)
      this.#next(this.#backoff.next())
    }
  }

  #tell({ expired, overdue, leases, most, stalled, another }: Sweep): void {
    if (another)
      this.#notify({
        level: 'warn',
        event: 'server_changed',
        message: `Redis was started anew, or another server took over: each of ${leases} leases starts its TTL anew.`,
        details: { leases },
      })
    else if (stalled >= 1_000)
      this.#notify({
        level: 'warn',
        event: 'clock_stalled',
        message: `Nobody could look after leases for ${stalled} ms: every lease was prolonged by as much.`,
        details: { stalled },
      })
    if (expired > 0)
      this.#notify({
        level: 'info',
        event: 'leases_expired',
        message: `${expired} leases expired.`,
        details: { count: expired },
      })
    const capped = overdue > expired
    if (capped && !this.#capped)
      this.#notify({
        level: 'warn',
        event: 'expiry_capped',
        message:
          `${overdue} of ${leases} leases are over at once, as when the network fails rather than they: ending at most ` +
          `${most} every ${sweepInterval} ms, so that the others can still renew.`,
        details: { overdue, leases, most },
      })
    this.#capped = capped
  }

  #fail(error: unknown): void {
    if (!this.#failing)
      this.#notify({
        level: 'warn',
        event: 'expiry_failed',
        message: 'Leases that are over could not be looked for; trying again.',
        details: { error },
      })
    this.#failing = true
  }
}
