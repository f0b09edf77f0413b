import type { Batch, Clock, Notify, ServiceKey } from '@seamark/core'
import type { Connection } from './connection.ts'
import type { Connections } from './connections.ts'
import { serviceName } from './names.ts'
import { nonce } from './nonce.ts'
import type { Records, State } from './record.ts'
import { changes, list } from './scripts.ts'

/** Milliseconds that Redis waits for a change before it is asked whether the feed is still the same. */
const longestWait = 2_000
/** Milliseconds that Redis has to answer beyond that. */
const patience = 5_000
/** Milliseconds between two comparisons of what was told with what there is. */
const censusInterval = 60_000
/** Names and changes that one script reads: about a millisecond of Redis' time. */
const pageSize = 500
/** Services in one call. */
const mostRanges = 500

export interface WatchOptions {
  readonly connections: Connections
  readonly records: Records
  readonly clock: Clock
  readonly notify: Notify
  /** Default all. */
  readonly services: readonly ServiceKey[] | undefined
  readonly signal: AbortSignal
}

/**
 * Reads what there is, and then what changes, each time its reader wants more: a slow one gets several changes as one, or
 * a reset, and nothing waits in a queue. A connection that breaks is replaced once; then `engine_unavailable` is thrown.
 */
export async function* redisWatch({ connections, signal, ...options }: WatchOptions): AsyncGenerator<Batch> {
  connections.check()
  if (signal.aborted) return
  const view = new View(options)
  let connection: Connection | undefined
  /** Whether the connection did its work so far. */
  let proven = false
  const stop = () => void connection?.close()
  signal.addEventListener('abort', stop, { once: true })
  try {
    while (!signal.aborted) {
      let batch: Batch | undefined
      try {
        if (connection === undefined) {
          connection = connections.own()
          await connection.open()
        }
        batch = await view.next(connection, proven)
        proven = true
      } catch (error) {
        if (connection !== undefined) await connections.giveBack(connection)
        connection = undefined
        if (signal.aborted) return
        connections.check()
        if (!proven) throw error
        proven = false
      }
      if (batch !== undefined && !signal.aborted) yield batch
    }
  } finally {
    signal.removeEventListener('abort', stop)
    if (connection !== undefined) await connections.giveBack(connection)
  }
}

interface Reading {
  readonly position: string
  readonly states: ReadonlyMap<string, State>
}

type Page = readonly [position: string, stop: number, ...states: State[]]

/** What one watch has told, and how to learn what came after. */
class View {
  readonly #records: Records
  readonly #clock: Clock
  readonly #notify: Notify
  /** How the names of each service begin; `undefined` for all. */
  readonly #services: readonly string[] | undefined
  /** The feed's entry up to which everything was told. */
  #position: string | undefined
  /** What was told last of each name: its revisions, or its fence and holder. */
  #told = new Map<string, string>()
  #nextCensus = 0

  constructor({ records, clock, notify, services }: Omit<WatchOptions, 'connections' | 'signal'>) {
    this.#records = records
    this.#clock = clock
    this.#notify = notify
    this.#services = services && [...new Set(services.map(serviceName))]
  }

  /** What to tell next, after waiting for it if `wait`; `undefined` when there was nothing for a while. */
  async next(connection: Connection, wait: boolean): Promise<Batch | undefined> {
    if (this.#position === undefined) return this.#reset(connection)
    if (wait) {
      const [feed] = connection.keys
      const block = ['COUNT', 1, 'BLOCK', longestWait, 'STREAMS', feed, this.#position]
      await connection.callWithin(longestWait + patience, 'XREAD', ...block)
    }
    const census = this.#clock.now() >= this.#nextCensus ? await this.#list(connection, 'brief') : undefined
    const reading = await this.#changes(connection, this.#position)
    this.#position = reading?.position
    if (reading === undefined) return undefined
    const batch = this.#take(reading)
    if (census !== undefined) this.#compare(census, reading)
    return batch
  }

  async #reset(connection: Connection): Promise<Batch | undefined> {
    const reading = await this.#list(connection, 'whole')
    if (reading === undefined) return undefined
    const { position, states } = reading
    this.#position = position
    this.#told.clear()
    for (const state of states.values()) this.#note(state)
    this.#planCensus()
    return { revision: revisionOf(position), changes: [this.#records.reset(states.values())] }
  }

  #take({ position, states }: Reading): Batch | undefined {
    if (states.size === 0) return undefined
    const changes = []
    for (const state of states.values()) {
      this.#note(state)
      const change = this.#records.change(state)
      if (change !== undefined) changes.push(change)
    }
    return { revision: revisionOf(position), changes }
  }

  #note([name, about]: State): void {
    if (about) this.#told.set(name, about)
    else this.#told.delete(name)
  }

  /** The feed tells all that Seamark does; here shows what others did to the keys. */
  #compare(census: Reading, { states: changed }: Reading): void {
    this.#planCensus()
    const differs = (name: string) =>
      !changed.has(name) && this.#told.get(name) !== (census.states.get(name)?.[1] ?? undefined)
    const names = [...new Set([...census.states.keys(), ...this.#told.keys()])].filter(differs)
    if (names.length === 0) return
    this.#position = undefined
    this.#notify({
      level: 'warn',
      event: 'records_changed_by_others',
      message: `Something other than Seamark changed or removed ${names.length} records in Redis: reading all anew.`,
      details: { count: names.length, names: names.slice(0, 10) },
    })
  }

  /** All handles that lost the same server do not compare together. */
  #planCensus(): void {
    this.#nextCensus = this.#clock.now() + censusInterval * (0.75 + 0.5 * Math.random())
  }

  /** What there is; `undefined` when more changed meanwhile than the feed keeps. */
  async #list(connection: Connection, form: 'whole' | 'brief'): Promise<Reading | undefined> {
    const ranges = this.#services?.map((name) => [`[${name}`, `(${name.slice(0, -1)}0`]) ?? [['-', '+']]
    const states = new Map<string, State>()
    let position: string | undefined
    let pages = 0
    let at = 0
    do {
      const some = ranges.slice(at, at + mostRanges)
      const args = [nonce(), pageSize, form, ...some.flat()]
      const [current, stop, ...page] = (await connection.run(list, args)) as Page
      position ??= current
      pages++
      for (const state of page) states.set(state[0], state)
      at += stop === 0 ? some.length : stop - 1
      if (stop !== 0) ranges[at] = [`(${page.at(-1)![0]}`, ranges[at]![1]!]
    } while (at < ranges.length)
    // A census needs no more: what changed meanwhile is not compared.
    if (pages === 1 || form === 'brief') return { position, states }
    const later = await this.#changes(connection, position)
    return later && { position: later.position, states: new Map([...states, ...later.states]) }
  }

  /** What changed after a position, as it is now; `undefined` when the feed does not have it any more. */
  async #changes(connection: Connection, since: string): Promise<Reading | undefined> {
    const scope = this.#services === undefined ? ['all'] : ['some', ...this.#services]
    const states = new Map<string, State>()
    for (let position = since; ; ) {
      const answer = (await connection.run(changes, [position, pageSize, ...scope])) as Page | null
      if (answer === null) return undefined
      const [current, more, ...page] = answer
      position = current
      for (const state of page) states.set(state[0], state)
      if (more === 0) return { position, states }
    }
  }
}

function revisionOf(position: string): number {
  return Number(position.slice(0, position.indexOf('-')))
}
