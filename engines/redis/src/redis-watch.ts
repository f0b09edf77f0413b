import type { Clock, Notify, Revision } from '@seamark/core'
import type { Connection } from './connection.ts'
import type { Connections } from './connections.ts'
import { nonce } from './nonce.ts'
import type { Keys, Script } from './scripts.ts'

/** Milliseconds that Redis waits for a change before it is asked whether the feed is still the same. */
const longestWait = 2_000
/** Milliseconds that Redis has to answer beyond that. */
const patience = 5_000
/** Milliseconds between two comparisons of what was told with what there is. */
const censusInterval = 60_000
/** Names and changes that one script reads: about a millisecond of Redis' time. */
const pageSize = 500
/** Ranges in one call. */
const mostRanges = 500

/** Text, or the bytes of what may be none. */
export type Text = string | Buffer

/** What the scripts answer of a name: the second says in which revisions it is; without it, there is nothing. */
export type State = readonly [name: Text, about?: Text | null, ...rest: readonly (Text | undefined)[]]

/** What a watch is of, and how it is read. */
export interface Subject<S extends State, C> {
  readonly feed: keyof Keys
  readonly list: Script
  readonly changes: Script
  /** Of the index, as ZRANGEBYLEX takes them. */
  readonly ranges: readonly (readonly [from: Text, to: Text])[]
  /** What `changes` is told of them. */
  readonly scope: readonly string[]
  /** Asks for the answer of `list` or `changes`, in the form that states have. */
  run(connection: Connection, script: Script, args: readonly (Text | number)[]): Promise<unknown>
  /** What there is under a name, in the form of a change that makes it known; `undefined`: nothing to tell. */
  change(state: S): C | undefined
  /** A reset to all there is. */
  reset(states: Iterable<S>): C
}

export interface WatchOptions<S extends State, C> {
  readonly connections: Connections
  readonly clock: Clock
  readonly notify: Notify
  readonly subject: Subject<S, C>
  readonly signal: AbortSignal
}

interface Told<C> {
  readonly revision: Revision
  readonly changes: readonly C[]
}

/**
 * Reads what there is, and then what changes, each time its reader wants more: a slow one gets several changes as one, or
 * a reset, and nothing waits in a queue. A connection that breaks is replaced once; then `engine_unavailable` is thrown.
 */
export async function* redisWatch<S extends State, C>({
  connections,
  signal,
  ...options
}: WatchOptions<S, C>): AsyncGenerator<Told<C>> {
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
      let batch: Told<C> | undefined
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

interface Reading<S> {
  readonly position: string
  readonly states: ReadonlyMap<string, S>
}

type Page<S> = readonly [position: Text, stop: number, ...states: S[]]

/** What one watch has told, and how to learn what came after. */
class View<S extends State, C> {
  readonly #subject: Subject<S, C>
  readonly #clock: Clock
  readonly #notify: Notify
  /** The feed's entry up to which everything was told. */
  #position: string | undefined
  /** What was told last of each name: its revisions, or its fence and holder. */
  #told = new Map<string, string>()
  #nextCensus = 0

  constructor({ subject, clock, notify }: Omit<WatchOptions<S, C>, 'connections' | 'signal'>) {
    this.#subject = subject
    this.#clock = clock
    this.#notify = notify
  }

  /** What to tell next, after waiting for it if `wait`; `undefined` when there was nothing for a while. */
  async next(connection: Connection, wait: boolean): Promise<Told<C> | undefined> {
    if (this.#position === undefined) return this.#reset(connection)
    if (wait) {
      const feed = connection.keys[this.#subject.feed]
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

  async #reset(connection: Connection): Promise<Told<C> | undefined> {
    const reading = await this.#list(connection, 'whole')
    if (reading === undefined) return undefined
    const { position, states } = reading
    this.#position = position
    this.#told.clear()
    for (const state of states.values()) this.#note(state)
    this.#planCensus()
    return { revision: revisionOf(position), changes: [this.#subject.reset(states.values())] }
  }

  #take({ position, states }: Reading<S>): Told<C> | undefined {
    if (states.size === 0) return undefined
    const changes: C[] = []
    for (const state of states.values()) {
      this.#note(state)
      const change = this.#subject.change(state)
      if (change !== undefined) changes.push(change)
    }
    return { revision: revisionOf(position), changes }
  }

  #note([name, about]: State): void {
    if (about) this.#told.set(String(name), String(about))
    else this.#told.delete(String(name))
  }

  /** The feed tells all that Seamark does; here shows what others did to the keys. */
  #compare(census: Reading<S>, { states: changed }: Reading<S>): void {
    this.#planCensus()
    const differs = (name: string) =>
      !changed.has(name) && (this.#told.get(name) ?? '') !== String(census.states.get(name)?.[1] ?? '')
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
  async #list(connection: Connection, form: 'whole' | 'brief'): Promise<Reading<S> | undefined> {
    const { list, ranges: all } = this.#subject
    const ranges = [...all]
    const states = new Map<string, S>()
    let position: string | undefined
    let pages = 0
    let at = 0
    do {
      const some = ranges.slice(at, at + mostRanges)
      const args = [nonce(), pageSize, form, ...some.flat()]
      const [current, stop, ...page] = (await this.#subject.run(connection, list, args)) as Page<S>
      position ??= String(current)
      pages++
      for (const state of page) states.set(String(state[0]), state)
      at += stop === 0 ? some.length : stop - 1
      if (stop !== 0) ranges[at] = [following(page.at(-1)![0]), ranges[at]![1]]
    } while (at < ranges.length)
    // A census needs no more: what changed meanwhile is not compared.
    if (pages === 1 || form === 'brief') return { position, states }
    const later = await this.#changes(connection, position)
    return later && { position: later.position, states: new Map([...states, ...later.states]) }
  }

  /** What changed after a position, as it is now; `undefined` when the feed does not have it any more. */
  async #changes(connection: Connection, since: string): Promise<Reading<S> | undefined> {
    const { changes, scope } = this.#subject
    const states = new Map<string, S>()
    for (let position = since; ; ) {
      const answer = (await this.#subject.run(connection, changes, [
        position,
        pageSize,
        ...scope,
      ])) as Page<S> | null
      if (answer === null) return undefined
      const [current, more, ...page] = answer
      position = String(current)
      for (const state of page) states.set(String(state[0]), state)
      if (more === 0) return { position, states }
    }
  }
}

/** The range after a name, whatever bytes it has. */
function following(name: Text): Text {
  return typeof name === 'string' ? `(${name}` : Buffer.concat([Buffer.from('('), name])
}

function revisionOf(position: string): number {
  return Number(position.slice(0, position.indexOf('-')))
}
