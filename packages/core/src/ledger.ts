import type { Clock, Timer } from './clock.ts'
import type { Notify } from './ports.ts'

/** What a ledger keeps of a lease; owned by the ledger, embedded in the lease to save an allocation each. */
export interface Dated {
  /** Milliseconds. */
  readonly ttl: number
  /** In the ledger's own time. */
  deadline: number
  /** Which bucket the lease lies in; `undefined` when in none. */
  slot: number | undefined
}

export interface LedgerOptions<T extends Dated> {
  clock: Clock
  notify: Notify
  /** Called with leases that are over. Each is out of the ledger then, unless it is renewed or put back. */
  expire(leases: readonly T[]): void
}

/** Milliseconds between two sweeps. */
export const sweepInterval = 100

/**
 * The deadlines of leases. Renewing is one assignment: a lease stays in the bucket of its former deadline, and moves on
 * when that bucket's turn comes.
 *
 * The ledger lives in its own time, which stands still while the sweeper does: when the process was stalled or
 * suspended, every deadline moves by as much, because its owners could not renew either. So expiry is never early.
 *
 * Mass expiry is slowed down, since it is more often the network's death than everybody's: a sweep ends at most
 * 100 leases or one in a hundred, whichever is more. The others get the chance to be renewed.
 */
export class Ledger<T extends Dated> {
  readonly #clock: Clock
  readonly #notify: Notify
  readonly #expire: (leases: readonly T[]) => void
  readonly #buckets = new Map<number, Set<T>>()
  readonly #overdue = new Set<T>()
  #size = 0
  #timer: Timer | undefined
  /** The clock when it was last looked at. */
  #seen = 0
  /** Milliseconds by which the ledger's time is behind the clock. */
  #stalled = 0
  /** The next bucket to sweep. */
  #next = 0
  #capped = false

  constructor({ clock, notify, expire }: LedgerOptions<T>) {
    this.#clock = clock
    this.#notify = notify
    this.#expire = expire
  }

  get size(): number {
    return this.#size
  }

  /** Starts a lease's TTL now. */
  add(lease: T): void {
    if (this.#timer === undefined) this.#start()
    lease.deadline = this.#time() + lease.ttl
    this.#place(lease)
  }

  /** The lease ends its TTL from now. */
  renew(lease: T): void {
    if (lease.slot === undefined) this.add(lease)
    else lease.deadline = this.#time() + lease.ttl
  }

  /** Forgets a lease. */
  remove(lease: T): void {
    if (lease.slot === undefined) return
    this.#take(lease)
    if (this.#size === 0) this.stop()
  }

  /** Tries a lease again at the next sweep that could not be ended now. */
  putBack(lease: T): void {
    if (lease.slot !== undefined) return
    if (this.#timer === undefined) this.#start()
    this.#place(lease)
  }

  isOver(lease: T): boolean {
    return lease.deadline <= this.#time()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #start(): void {
    this.#seen = this.#clock.now()
    this.#next = this.#bucket(this.#time())
    this.#timer = this.#clock.after(sweepInterval, () => this.#sweep())
  }

  #time(): number {
    const now = this.#clock.now()
    const passed = now - this.#seen
    this.#seen = now
    if (this.#timer !== undefined && passed > 2 * sweepInterval) {
      const stalled = passed - sweepInterval
      this.#stalled += stalled
      if (stalled >= 1_000)
        this.#notify({
          level: 'warn',
          event: 'clock_stalled',
          message: `The process stood still for ${Math.round(stalled)} ms: every lease was prolonged by as much.`,
          details: { stalled },
        })
    }
    return now - this.#stalled
  }

  #bucket(time: number): number {
    return Math.ceil(time / sweepInterval)
  }

  #place(lease: T): void {
    const slot = Math.max(this.#bucket(lease.deadline), this.#next)
    let bucket = this.#buckets.get(slot)
    if (bucket === undefined) {
      bucket = new Set()
      this.#buckets.set(slot, bucket)
    }
    bucket.add(lease)
    lease.slot = slot
    this.#size++
  }

  #take(lease: T): void {
    const bucket = this.#buckets.get(lease.slot!)
    if (bucket?.delete(lease)) {
      if (bucket.size === 0) this.#buckets.delete(lease.slot!)
    } else this.#overdue.delete(lease)
    lease.slot = undefined
    this.#size--
  }

  #sweep(): void {
    const time = this.#time()
    for (; this.#next * sweepInterval <= time; this.#next++) {
      const bucket = this.#buckets.get(this.#next)
      if (bucket === undefined) continue
      this.#buckets.delete(this.#next)
      for (const lease of bucket) this.#overdue.add(lease)
    }
    const over = this.#collect(time)
    if (this.#size > 0) this.#timer = this.#clock.after(sweepInterval, () => this.#sweep())
    else this.stop()
    if (over.length > 0) this.#expire(over)
  }

  #collect(time: number): T[] {
    const most = Math.max(100, Math.ceil(this.#size / 100))
    const over: T[] = []
    for (const lease of this.#overdue) {
      const renewed = lease.deadline > time
      if (!renewed && over.length === most) break
      this.#take(lease)
      if (renewed) this.#place(lease)
      else over.push(lease)
    }
    const capped = this.#overdue.size > 0
    if (capped && !this.#capped)
      this.#notify({
        level: 'warn',
        event: 'expiry_capped',
        message:
          `${this.#overdue.size + over.length} of ${this.#size + over.length} leases are over at once, as when the network ` +
          `fails rather than they: ending at most ${most} every ${sweepInterval} ms, so that the others can still renew.`,
        details: { overdue: this.#overdue.size + over.length, leases: this.#size + over.length, most },
      })
    this.#capped = capped
    return over
  }
}
