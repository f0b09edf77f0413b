import {
  Backoff,
  type Clock,
  type InstanceKey,
  Ledger,
  leaseLost,
  type Notify,
  type Revision,
  sleep,
} from '@seamark/core'
import type { Connection } from './connection.ts'
import type { Paths } from './paths.ts'
import { Conflict, type Node, type Session } from './session.ts'

/** What a lease's node says. */
interface LeaseRecord extends InstanceKey {
  readonly ttl?: number
}

/** A lease, as this handle knows it. */
export class Held {
  readonly digest: string
  readonly key: InstanceKey
  readonly leased: boolean
  readonly ttl: number
  readonly revision: Revision
  /** Of its node: it grows with each renewal. */
  version: number
  deadline = 0
  slot: number | undefined = undefined
  ended: string | undefined = undefined
  #lost: AbortController | undefined

  constructor(
    digest: string,
    { namespace, service, id, ttl }: LeaseRecord,
    revision: Revision,
    version: number,
  ) {
    this.digest = digest
    this.key = Object.freeze({ namespace, service, id })
    this.leased = ttl !== undefined
    this.ttl = ttl ?? 0
    this.revision = revision
    this.version = version
  }

  /** Only made when somebody asks for it. */
  get lost(): AbortSignal {
    this.#lost ??= new AbortController()
    if (this.ended !== undefined) this.#lost.abort(leaseLost(this.ended))
    return this.#lost.signal
  }

  get data(): Buffer {
    return leaseJson(this.key, this.leased ? this.ttl : undefined)
  }

  end(why: string): void {
    this.ended ??= why
    this.#lost?.abort(leaseLost(this.ended))
  }
}

export function leaseJson({ namespace, service, id }: InstanceKey, ttl: number | undefined): Buffer {
  return Buffer.from(JSON.stringify({ namespace, service, id, ttl }))
}

export interface LeasesOptions {
  readonly connection: Connection
  readonly paths: Paths
  readonly clock: Clock
  readonly notify: Notify
  /** Ends an expired lease unless its node has another version by now; answers whether it did. */
  remove(session: Session, held: Held, version: number): Promise<boolean>
}

/** Milliseconds between two readings of which leases there are. */
const listInterval = 250
/** Milliseconds for an answer beyond which ZooKeeper is taken to have stood still, so that nobody could renew. */
const longestAnswer = 1_000
/** Milliseconds by which ZooKeeper's clock and ours may disagree without one of them having been set. */
const clockTolerance = 100

/**
 * All leases, and their end. Each is a node that a renewal writes, so that it outlives whoever renewed it, and may be
 * renewed through any handle. Every handle that writes, or watches everything, knows when each would end, and looks at
 * its node only then: if it was renewed meanwhile, the age of that is told by ZooKeeper's own clock. Whoever comes first
 * removes it.
 *
 * Never early: a handle that had lost ZooKeeper, or got its answers late, gives every lease one full TTL, since nobody may
 * have been able to renew, and so does one that is new; after a clock was set, ages are not believed.
 */
export class Leases {
  readonly #options: LeasesOptions
  readonly #ledger: Ledger<Held>
  readonly #table = new Map<string, Held>()
  #running: Promise<void> | undefined
  /** The session in which the table is kept up to date. */
  #session: Session | undefined
  #tick: { readonly asked: number; readonly answered: number; readonly time: number } | undefined

  constructor(options: LeasesOptions) {
    this.#options = options
    const { clock, notify } = options
    this.#ledger = new Ledger<Held>({ clock, notify, expire: (leases) => void this.#expire(leases) })
  }

  /** Begins to look after leases; done once. */
  start(): void {
    this.#running ??= this.#run()
  }

  async stop(): Promise<void> {
    this.#ledger.stop()
    await this.#running
    this.#ledger.stop()
  }

  /** A lease that was just made or read; answers the one object for it. */
  keep(held: Held): Held {
    const known = this.#table.get(held.digest)
    if (known !== undefined) return known
    this.#table.set(held.digest, held)
    if (held.leased) this.#ledger.add(held)
    return held
  }

  /** That it is lost is answered for certain. */
  async find(session: Session, digest: string): Promise<Held | undefined> {
    const [held] = await this.findAll(session, [digest])
    return held
  }

  /** As `find`, and what is there is answered for certain, too: it may have been ended elsewhere a moment ago. */
  async latest(session: Session, digest: string): Promise<Held | undefined> {
    await session.sync()
    if ((await session.stat(this.#options.paths.lease(digest))) !== undefined)
      return this.#look(session, digest)
    this.endedDigest(digest, 'it was ended elsewhere')
    return undefined
  }

  /** Those of them that there are, in any order. */
  async findAll(session: Session, digests: readonly string[]): Promise<readonly Held[]> {
    const found = await Promise.all(digests.map((digest) => this.#look(session, digest)))
    const missing = digests.filter((_, index) => found[index] === undefined)
    if (missing.length > 0) {
      await session.sync()
      found.push(...(await Promise.all(missing.map((digest) => this.#look(session, digest)))))
    }
    return found.filter((held) => held !== undefined)
  }

  async #look(session: Session, digest: string): Promise<Held | undefined> {
    const known = this.#table.get(digest)
    if (known !== undefined) return known
    const node = await session.read(this.#options.paths.lease(digest))
    const held = node && heldOf(digest, node)
    return held && this.keep(held)
  }

  renewed(held: Held, version: number): void {
    held.version = version
    if (held.leased && this.#table.get(held.digest) === held) this.#ledger.renew(held)
  }

  ended(held: Held, why: string): void {
    this.#table.delete(held.digest)
    this.#ledger.remove(held)
    held.end(why)
  }

  endedDigest(digest: string, why: string): void {
    const held = this.#table.get(digest)
    if (held !== undefined) this.ended(held, why)
  }

  async #run(): Promise<void> {
    const { connection, clock } = this.#options
    const backoff = new Backoff()
    while (!connection.closed.aborted) {
      try {
        const session = await connection.session()
        await this.#follow(session, () => backoff.reset())
      } catch {
        // Whoever asks for something is told; here there is nobody to tell.
      }
      this.#session = undefined
      await sleep(clock, backoff.next(), connection.closed).catch(() => undefined)
    }
  }

  /** Keeps the table up to date until the session ends. */
  async #follow(session: Session, working: () => void): Promise<void> {
    const { paths, clock } = this.#options
    const ended = AbortSignal.any([session.lost, this.#options.connection.closed])
    let marked = false
    let wake: (() => void) | undefined
    const mark = () => {
      marked = true
      wake?.()
    }
    session.listen(paths.leases, mark)
    ended.addEventListener('abort', mark)
    try {
      await this.#time(session)
      this.#regrant()
      for (let first = true; !ended.aborted; first = false) {
        marked = false
        await this.#list(session, first)
        this.#session = session
        working()
        await sleep(clock, listInterval, ended)
        if (!marked)
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    } finally {
      session.unlisten(paths.leases, mark)
      ended.removeEventListener('abort', mark)
    }
  }

  #regrant(): void {
    for (const held of this.#table.values()) if (held.leased) this.#ledger.renew(held)
  }

  async #list(session: Session, first: boolean): Promise<void> {
    const { paths } = this.#options
    const before = [...this.#table.values()]
    const digests = await session.children(paths.leases, true)
    if (digests === undefined) {
      await session.make(paths.leases, false)
      return this.#list(session, first)
    }
    const seen = session.zxid
    const there = new Set(digests)
    // With other data than before, revisions begin anew.
    for (const held of before)
      if (!there.has(held.digest) && (first || held.revision <= seen))
        this.ended(held, 'it was ended elsewhere')
    await Promise.all(digests.map((digest) => this.#look(session, digest)))
  }

  async #expire(leases: readonly Held[]): Promise<void> {
    const session = this.#session
    if (session === undefined || session.lost.aborted) return this.#putBack(leases)
    let count = 0
    const renewed: { held: Held; version: number; time: number }[] = []
    const outcomes = await Promise.allSettled(
      leases.map(async (held) => {
        const { version } = held
        const asked = this.#options.clock.now()
        try {
          const stat = await session.stat(this.#options.paths.lease(held.digest))
          if (this.#options.clock.now() - asked > longestAnswer) return this.#regrant()
          if (stat === undefined) return this.ended(held, 'it was ended elsewhere')
          if (stat.version !== version) renewed.push({ held, version: stat.version, time: stat.time })
          else if (await this.#options.remove(session, held, version)) {
            this.ended(held, 'it expired')
            count++
          } else this.#putBack([held])
        } catch (error) {
          this.#putBack([held])
          throw error
        }
      }),
    )
    try {
      if (renewed.length > 0) await this.#renewedElsewhere(session, renewed)
    } catch {
      this.#putBack(renewed.map(({ held }) => held))
    }
    if (count > 0)
      this.#options.notify({
        level: 'info',
        event: 'leases_expired',
        message: `${count} leases expired.`,
        details: { count },
      })
    const failed = outcomes.find((outcome) => outcome.status === 'rejected')
    if (failed !== undefined && !session.lost.aborted)
      this.#options.notify({
        level: 'error',
        event: 'expiry_failed',
        message: 'Expired leases could not be removed; trying again.',
        details: { error: failed.reason },
      })
  }

  #putBack(leases: readonly Held[]): void {
    if (this.#options.connection.closed.aborted) return
    for (const held of leases) if (this.#table.get(held.digest) === held) this.#ledger.putBack(held)
  }

  async #renewedElsewhere(
    session: Session,
    renewed: readonly { held: Held; version: number; time: number }[],
  ): Promise<void> {
    const { time, believed } = await this.#time(session)
    for (const { held, version, time: then } of renewed) {
      // Meanwhile it was renewed here, or ended.
      if (this.#table.get(held.digest) !== held || held.slot !== undefined) continue
      const age = believed ? Math.max(0, time - then - clockTolerance) : 0
      held.version = version
      this.#ledger.add(held)
      this.#ledger.remove(held)
      held.deadline -= Math.min(age, held.ttl)
      this.#ledger.putBack(held)
    }
  }

  /** ZooKeeper's time, and whether its clock went on as ours did since it was last asked. */
  async #time(session: Session): Promise<{ time: number; believed: boolean }> {
    const { clock, paths } = this.#options
    const asked = clock.now()
    const time = await this.#serverTime(session, paths.clock)
    const answered = clock.now()
    const last = this.#tick
    this.#tick = { asked, answered, time }
    if (last === undefined) return { time, believed: false }
    const passed = time - last.time
    const believed =
      passed >= asked - last.answered - clockTolerance && passed <= answered - last.asked + clockTolerance
    return { time, believed }
  }

  async #serverTime(session: Session, path: string): Promise<number> {
    try {
      const { stats } = await session.commit([{ type: 'set', path, data: Buffer.alloc(0) }])
      return stats[0]!.time
    } catch (error) {
      if (!(error instanceof Conflict)) throw error
      await session.make(path, false)
      return this.#serverTime(session, path)
    }
  }
}

function heldOf(digest: string, { data, stat }: Node): Held | undefined {
  try {
    return new Held(digest, JSON.parse(data.toString()) as LeaseRecord, stat.created, stat.version)
  } catch {
    return undefined
  }
}
