import type { ServerResponse } from 'node:http'
import {
  type Clock,
  type Engine,
  type Items,
  type Notify,
  type Revision,
  SeamarkError,
  type Timer,
} from '@seamark/core'
import type { Bounds } from './bounds.ts'
import { keepAliveComment } from './event-stream.ts'

/** Servers over the same engine. */
export interface Servers {
  /** What this one is called among them. */
  readonly name: string
  /** The names of all. */
  readonly members: readonly string[]
}

export interface PresencesOptions {
  readonly engine: Pick<Engine, 'release' | 'write'>
  readonly items: Items
  readonly clock: Clock
  readonly bounds: Bounds
  readonly notify: Notify
  /** Told of each lease that was ended. */
  readonly ended: () => void
}

/** Keys of items that say on which of several servers a client presented itself last. */
export const presencePrefix = 'presence/'

/** Milliseconds between two looks at who is absent. */
const lookInterval = 100
/** Seconds between two keep-alive comments of one stream; each second one share of the streams gets its own. */
const keepAliveSlots = 15
/** Milliseconds between two looks for items that no server answers for any more. */
const sweepInterval = 60_000
/** Absent clients that are never taken for a failure of the network, however few there are in all. */
const fewAbsent = 10
/** Leases that are ended at the same time. */
const atOnce = 64

/**
 * The streams by which clients show that they live. One whose last stream closed has the grace to open another one, here
 * or on another server; then its leases are ended, long before their TTL.
 *
 * What makes it safe to end them, beside the grace:
 * - Time in which this process stood still does not count, nor is anybody absent before the close was processed: those
 *   who wait in the accept queue come first.
 * - When most clients are absent at once, it is rather the network or something in between that failed: they keep their
 *   TTL.
 * - With several servers, each writes an item when a client presents itself, and removes it, at the revision that it
 *   wrote, before it ends anything. That fails when the client presented itself to another server since.
 * - A server that closes ends nobody's leases.
 */
export class Presences {
  readonly #engine: PresencesOptions['engine']
  readonly #items: Items
  readonly #clock: Clock
  readonly #bounds: Bounds
  readonly #notify: Notify
  readonly #ended: () => void
  readonly #clients = new Map<string, Client>()
  readonly #absent = new Set<Client>()
  /** Who presents a lease: the last that did. */
  readonly #owners = new Map<string, Client>()
  readonly #slots: readonly Set<ServerResponse>[] = Array.from({ length: keepAliveSlots }, () => new Set())
  #servers: Servers | undefined
  #size = 0
  #joined = 0
  #slot = 0
  /** The clock when the absent were last looked at. */
  #looked = 0
  #look: Timer | undefined
  #keepAlive: Timer
  #sweep: Timer | undefined
  #closed = false

  constructor({ engine, items, clock, bounds, notify, ended }: PresencesOptions) {
    this.#engine = engine
    this.#items = items
    this.#clock = clock
    this.#bounds = bounds
    this.#notify = notify
    this.#ended = ended
    this.#keepAlive = this.#nextKeepAlive()
  }

  /** Open streams. */
  get size(): number {
    return this.#size
  }

  /** From now on there are other servers over the engine. */
  share(servers: Servers): void {
    this.#servers = servers
    this.#sweep = this.#nextSweep()
  }

  /**
   * A client presents its leases: these, and no others any more. They are ended once this and all its other streams were
   * closed for longer than the grace. The response is this stream's, and needs a head still. Throws `draining`,
   * `too_many`, `engine_unavailable`.
   */
  async join(id: string, tokens: readonly string[], response: ServerResponse): Promise<void> {
    this.#admit(id, tokens)
    const client = this.#client(id)
    this.#own(client, tokens)
    const slot = this.#slots[this.#joined++ % keepAliveSlots]!
    const leave = () => {
      if (!client.streams.delete(response)) return
      slot.delete(response)
      this.#size--
      if (client.streams.size === 0 && !this.#closed) this.#miss(client)
    }
    // At once, before anything is waited for: whoever came is not absent.
    client.streams.add(response)
    slot.add(response)
    this.#size++
    this.#absent.delete(client)
    response.once('close', leave)
    // It left while the request waited: its `close` is over.
    if (response.closed) return leave()
    try {
      await this.#mark(client)
    } catch (error) {
      leave()
      throw error
    }
  }

  /** A lease was released, in whatever way: nothing is left to be ended. */
  released(token: string): void {
    this.#owners.get(token)?.tokens.delete(token)
    this.#owners.delete(token)
  }

  /** Ends all streams, and nobody's leases. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const timer of [this.#look, this.#sweep, this.#keepAlive]) timer?.cancel()
    for (const { streams } of this.#clients.values()) for (const response of streams) response.end()
    this.#clients.clear()
    this.#absent.clear()
    this.#owners.clear()
  }

  #admit(id: string, tokens: readonly string[]): void {
    if (this.#closed) throw new SeamarkError('draining', 'The server is shutting down: ask another one.')
    const { presenceStreams, presenceLeases } = this.#bounds
    if (this.#size >= presenceStreams)
      throw new SeamarkError('too_many', `The server has ${presenceStreams} streams of presence already.`)
    const others = this.#owners.size - (this.#clients.get(id)?.tokens.size ?? 0)
    if (others + tokens.length > presenceLeases)
      throw new SeamarkError('too_many', `${presenceLeases} leases are presented to the server already.`)
  }

  #client(id: string): Client {
    const client = this.#clients.get(id) ?? new Client(id)
    this.#clients.set(id, client)
    return client
  }

  #own(client: Client, tokens: readonly string[]): void {
    for (const token of client.tokens) if (this.#owners.get(token) === client) this.#owners.delete(token)
    client.tokens = new Set(tokens)
    for (const token of client.tokens) {
      this.#owners.get(token)?.tokens.delete(token)
      this.#owners.set(token, client)
    }
  }

  /** Says to the other servers that the client is here now. */
  async #mark(client: Client): Promise<void> {
    if (this.#servers === undefined) return
    const key = presencePrefix + client.id
    if (client.mark !== undefined && this.#items.get(key)?.modifiedRevision === client.mark) return
    const value = Buffer.from(this.#servers.name)
    const revision = (await this.#engine.write([{ type: 'put', key, value }]))!
    client.mark = Math.max(revision, client.mark ?? 0)
  }

  #miss(client: Client): void {
    client.absentSince = this.#clock.now()
    this.#absent.add(client)
    if (this.#look !== undefined) return
    this.#looked = this.#clock.now()
    this.#look = this.#nextLook()
  }

  #nextLook(): Timer {
    return this.#clock.after(lookInterval, () => {
      const now = this.#clock.now()
      const late = now - this.#looked - lookInterval
      if (late > lookInterval) this.#prolong(late, now)
      this.#looked = now
      this.#lookAtAbsent(now - this.#bounds.presenceGrace)
      this.#look = this.#absent.size > 0 ? this.#nextLook() : undefined
    })
  }

  /** The process stood still: whoever wanted to come back could not, and may wait to be accepted now. */
  #prolong(late: number, now: number): void {
    const latest = now - this.#bounds.presenceGrace + 2 * lookInterval
    for (const client of this.#absent) client.absentSince = Math.max(client.absentSince + late, latest)
  }

  #lookAtAbsent(latest: number): void {
    const due: Client[] = []
    let absent = 0
    for (const client of this.#absent) {
      if (client.tokens.size > 0) absent++
      if (client.absentSince <= latest) due.push(client)
    }
    if (due.length === 0) return
    if (absent > Math.max(fewAbsent, (this.#clients.size - this.#absent.size + absent) / 2))
      this.#forgive(absent)
    else for (const client of due) this.#end(client).catch((error: unknown) => this.#fail(error))
  }

  #forgive(count: number): void {
    this.#notify({
      level: 'warn',
      event: 'presence_lost_at_once',
      message: `The connections of ${count} clients closed at once, more than half of all: rather the network failed than they. Their leases are left to their TTL.`,
      details: { clients: count },
    })
    for (const client of this.#absent) {
      this.#forget(client)
      this.#unmark(client).catch((error: unknown) => this.#fail(error))
    }
  }

  #forget(client: Client): void {
    this.#absent.delete(client)
    this.#clients.delete(client.id)
    for (const token of client.tokens) this.#owners.delete(token)
  }

  /** Whether no other server heard of the client later; with one server, none did. */
  async #unmark({ id, mark }: Client): Promise<boolean> {
    if (this.#servers === undefined) return true
    if (mark === undefined) return false
    return (await this.#engine.write([{ type: 'delete', key: presencePrefix + id, at: mark }])) !== undefined
  }

  async #end(client: Client): Promise<void> {
    this.#absent.delete(client)
    let isDead = false
    try {
      isDead = await this.#unmark(client)
    } catch (error) {
      this.#fail(error)
    }
    if (isDead) client.mark = 0
    // It came back meanwhile, and may have left again.
    if (client.streams.size > 0) return this.#mark(client)
    if (this.#closed || this.#absent.has(client)) return
    this.#forget(client)
    if (isDead) await this.#release(client)
  }

  async #release({ id, tokens }: Client): Promise<void> {
    const left = [...tokens]
    let leases = 0
    while (left.length > 0 && !this.#closed && !this.#clients.has(id)) {
      const revisions = await Promise.all(left.splice(0, atOnce).map((token) => this.#engine.release(token)))
      for (const revision of revisions) {
        if (revision === undefined) continue
        leases++
        this.#ended()
      }
    }
    if (leases > 0)
      this.#notify({
        level: 'info',
        event: 'presence_ended',
        message: `A client closed its connection and did not come back within ${this.#bounds.presenceGrace} ms: ${leases} of its leases were ended.`,
        details: { leases },
      })
  }

  #fail(error: unknown): void {
    this.#notify({
      level: 'warn',
      event: 'presence_failed',
      message: 'The leases of a client that is gone could not be ended: they are left to their TTL.',
      details: { error },
    })
  }

  #nextKeepAlive(): Timer {
    return this.#clock.after(1_000, () => {
      // One that does not read is not dead: it gets no more until it does.
      for (const response of this.#slots[this.#slot]!)
        if (response.headersSent && response.writableLength === 0) response.write(keepAliveComment)
      this.#slot = (this.#slot + 1) % keepAliveSlots
      this.#keepAlive = this.#nextKeepAlive()
    })
  }

  /** Items of servers that are gone, and of this one's former life: their clients presented themselves again, or are gone too. */
  #nextSweep(): Timer {
    return this.#clock.after(sweepInterval, () => {
      const { name, members } = this.#servers!
      for (const { key, value, modifiedRevision: at } of this.#items.list(presencePrefix)) {
        const server = Buffer.from(value).toString()
        const isKept =
          server === name ? this.#clients.has(key.slice(presencePrefix.length)) : members.includes(server)
        if (!isKept) this.#engine.write([{ type: 'delete', key, at }]).catch((error) => this.#fail(error))
      }
      this.#sweep = this.#nextSweep()
    })
  }
}

class Client {
  readonly id: string
  readonly streams = new Set<ServerResponse>()
  tokens: Set<string> = new Set()
  absentSince = 0
  /** The revision of the item that this server wrote for it; 0 when it removed it. */
  mark: Revision | undefined

  constructor(id: string) {
    this.id = id
  }
}
