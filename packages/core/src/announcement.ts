import { Backoff } from './backoff.ts'
import { type Clock, sleep } from './clock.ts'
import { isSeamarkError, SeamarkError } from './errors.ts'
import { held } from './held.ts'
import type { Instance } from './instance.ts'
import { displayName } from './names.ts'
import type { Lease, Notify, Registry } from './ports.ts'
import type { Wakeups } from './wakeups.ts'

/** An instance that is kept registered until this is closed. */
export interface Announcement extends AsyncDisposable {
  readonly instance: Instance
  /** Whether it is registered now, as far as one can tell from here: not later than a TTL after the last renewal. */
  readonly registered: boolean
  /** Resolves once it is registered; rejects with the signal's reason, or with `closed`. */
  ready(signal?: AbortSignal): Promise<void>
  /**
   * Deregisters the instance, then waits until callers have heard of it (`drain`), so that the service may stop
   * listening. Never throws: what cannot be deregistered expires with its lease, and a notice says so.
   */
  close(): Promise<void>
}

/** The time for which an announcement keeps one lease. */
export interface Tenure {
  readonly lease: Lease
  /** On the clock, in ms: from then on the lease may be over, unless it is renewed before. It moves with each renewal. */
  readonly until: number
  /** There is reason to doubt that the lease is held: renews it now, so as to find out. */
  doubt(): void
}

export interface AnnouncementOptions {
  readonly engine: Pick<Registry, 'register' | 'release'>
  readonly clock: Clock
  readonly notify: Notify
  readonly wakeups: Wakeups
  readonly instance: Instance
  /** Milliseconds. */
  readonly ttl: number
  /** Milliseconds. */
  readonly drain: number
  readonly closed: (announcement: KeptAnnouncement) => void
  /** What is to go along with each lease: disposed of as soon as that is known to be lost, or is about to be released. */
  readonly accompany?: (tenure: Tenure) => Disposable
}

/** Milliseconds between two tries at most, however long the TTL. */
const longestWait = 5_000

/** Losses, one soon after the other, from which on the registry is taken to hold another announcer of the same id. */
const contest = 2

/**
 * Registers, renews at a third of the TTL, and registers again whenever the lease is lost: for ever, until closed.
 * While the registry is away it is tried again at least six times a TTL, so that the end of an outage is noticed soon.
 *
 * Two announcers of one id supersede each other for ever. From inside, that looks like a registry that forgets again and
 * again: so it is told once, and both go on slowly, at most half a TTL later each time. With the third of a TTL that a
 * loss may take to be noticed, one that really was forgotten is still back within one TTL.
 */
export class KeptAnnouncement implements Announcement {
  readonly instance: Instance
  readonly #options: AnnouncementOptions
  readonly #closing = new AbortController()
  readonly #backoff: Backoff
  readonly #waiting = new Set<() => void>()
  readonly #life: Promise<void>
  #lease: Lease | undefined
  #companion: Disposable | undefined
  /** Ends the wait for the next renewal. */
  #nap: AbortController | undefined
  #doubted = false
  #registered = false
  /** When the last successful registration or renewal was sent. */
  #renewed = 0
  /** When the lease began. */
  #since = 0
  /** Leases lost in a row that were renewed in time, and did not live for a TTL. */
  #losses = 0
  #troubled = false
  #end: Promise<void> | undefined

  constructor(options: AnnouncementOptions) {
    this.#options = options
    this.instance = options.instance
    const most = Math.min(longestWait, options.ttl / 6)
    this.#backoff = new Backoff({ first: Math.min(100, most), most })
    this.first = this.#register()
    this.#life = this.first.then(
      () => this.#keep(),
      () => {},
    )
  }

  /** Settles with the first try: rejects only when the registry refused what it was given. */
  readonly first: Promise<void>

  get registered(): boolean {
    const { clock, ttl } = this.#options
    return this.#registered && clock.now() - this.#renewed < ttl
  }

  /** Whoever has it can take the instance away; `undefined` before the first registration. */
  get token(): string | undefined {
    return this.#lease?.token
  }

  async ready(signal?: AbortSignal): Promise<void> {
    while (!this.registered) {
      signal?.throwIfAborted()
      if (this.#closing.signal.aborted) throw new SeamarkError('closed', 'The announcement was closed.')
      await new Promise<void>((resolve) => {
        const done = () => {
          this.#waiting.delete(done)
          signal?.removeEventListener('abort', done)
          resolve()
        }
        this.#waiting.add(done)
        signal?.addEventListener('abort', done, { once: true })
      })
    }
  }

  close(): Promise<void> {
    this.#end ??= this.#close()
    return this.#end
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    const { engine, clock, notify, drain, closed } = this.#options
    this.#closing.abort()
    this.#nap?.abort()
    this.#wake()
    // A registration under way must come to its end first: released before it, the instance would come back.
    await this.#life
    this.#registered = false
    const lease = this.#lease
    this.#lease = undefined
    this.#leave()
    try {
      if (lease !== undefined && (await engine.release(lease.token)) !== undefined)
        await held(sleep(clock, drain))
    } catch (error) {
      notify({
        level: 'warn',
        event: 'deregistration_failed',
        message: `${displayName(this.instance)} could not be deregistered: it expires within ${this.#options.ttl} ms.`,
        details: { error },
      })
    }
    closed(this)
  }

  async #keep(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      if (!this.#registered) {
        await this.#pause(this.#backoff.next())
        if (!signal.aborted) await this.#register()
      } else await this.#renew()
    }
  }

  /** Throws only on the first try, for what the registry will never take. */
  async #register(): Promise<void> {
    const { engine, clock, instance, ttl } = this.#options
    const again = this.#lease !== undefined
    const sent = clock.now()
    let lease: Lease
    try {
      lease = await engine.register(instance, { ttl })
    } catch (error) {
      if (!again && !this.#troubled && !isPassing(error)) throw error
      this.#trouble(error)
      return
    }
    this.#lease = lease
    this.#registered = true
    this.#renewed = sent
    this.#since = sent
    this.#companion = this.#options.accompany?.(this.#tenure(lease))
    this.#backoff.reset()
    this.#inform(again)
    this.#wake()
  }

  async #renew(): Promise<void> {
    const lease = this.#lease!
    const ttl = lease.ttl ?? this.#options.ttl
    if (!this.#doubted) {
      this.#nap = new AbortController()
      await this.#options.wakeups.sleep(ttl * 0.22, ttl / 3, this.#nap.signal)
    }
    while (!this.#closing.signal.aborted) {
      this.#doubted = false
      const sent = this.#options.clock.now()
      try {
        await lease.renew()
        this.#renewed = sent
        this.#backoff.reset()
        this.#troubled = false
        this.#wake()
        return
      } catch (error) {
        if (isSeamarkError(error, 'lease_lost')) {
          await this.#registerAgain(sent - this.#renewed < ttl)
          return
        }
        this.#trouble(error)
        await this.#pause(this.#backoff.next())
      }
    }
  }

  async #registerAgain(inTime: boolean): Promise<void> {
    this.#registered = false
    this.#leave()
    const { ttl } = this.#options
    const shortLived = this.#renewed - this.#since < ttl
    this.#losses = inTime ? (shortLived ? this.#losses + 1 : 1) : 0
    if (this.#losses >= contest) await this.#pause((ttl / 2) * (0.5 + Math.random() / 2))
    if (this.#closing.signal.aborted) return
    await this.#register()
  }

  #tenure(lease: Lease): Tenure {
    const until = () => this.#renewed + (lease.ttl ?? this.#options.ttl)
    return {
      lease,
      get until() {
        return until()
      },
      doubt: () => {
        if (this.#lease !== lease) return
        this.#doubted = true
        this.#nap?.abort()
      },
    }
  }

  #leave(): void {
    this.#companion?.[Symbol.dispose]()
    this.#companion = undefined
  }

  #pause(ms: number): Promise<void> {
    return sleep(this.#options.clock, ms, this.#closing.signal).catch(() => {})
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
  }

  #inform(again: boolean): void {
    this.#troubled = false
    const { notify } = this.#options
    const name = displayName(this.instance)
    if (!again)
      notify({
        level: 'info',
        event: 'announced',
        message: `${name} is registered at ${this.instance.address}:${this.instance.port}.`,
      })
    else if (this.#losses < contest)
      notify({
        level: 'warn',
        event: 'announced_again',
        message: `The registry had lost ${name}: it is registered again.`,
      })
    else if (this.#losses === contest)
      notify({
        level: 'warn',
        event: 'announced_twice',
        message: `${name} was taken over ${contest} times within a TTL, though it was renewed: another process probably announces the same id, and the two supersede each other. Give each its own id. It goes on, more slowly.`,
      })
  }

  /** Told once per outage. */
  #trouble(error: unknown): void {
    if (this.#troubled || this.#closing.signal.aborted) return
    this.#troubled = true
    this.#options.notify({
      level: 'warn',
      event: 'announcement_failed',
      message: `${displayName(this.instance)} cannot be kept registered at present; it is tried again until it is.`,
      details: { error },
    })
  }
}

/** What may be different the next time. */
function isPassing(error: unknown): boolean {
  return (
    isSeamarkError(error, 'engine_unavailable') ||
    isSeamarkError(error, 'draining') ||
    isSeamarkError(error, 'timeout') ||
    isSeamarkError(error, 'too_many')
  )
}
