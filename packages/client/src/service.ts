import {
  type Catalog,
  type Clock,
  type Duration,
  displayName,
  healthy,
  held,
  isSeamarkError,
  milliseconds,
  SeamarkError,
  type Selection,
  type ServiceKey,
  type Snapshot,
  select,
  weightedRandom,
} from '@seamark/core'
import type { RequestInit, Response } from 'undici'
import { absence } from './absence.ts'
import { type Endpoint, endpoint } from './endpoint.ts'
import { checkPrimary, type FindFilter, type Primary, type PrimaryFilter, primaryOf } from './primary.ts'
import type { ServiceDispatcher } from './traffic/service-dispatcher.ts'
import { serviceFetch } from './traffic/service-fetch.ts'

/** Which instances are wanted: a version range, tags (all of them), a zone, pairs of metadata. */
export type Filter = Omit<Selection, 'health'>

export interface WaitOptions extends FindFilter {
  /** How long, in ms or as `"30s"`. Default 30 s. */
  readonly timeout?: Duration
  readonly signal?: AbortSignal
}

/** What a service needs of the discovery it belongs to. */
export interface ServiceHost {
  readonly catalog: Catalog
  readonly clock: Clock
  readonly dispatcher: ServiceDispatcher
  /** Milliseconds that a first contact is waited for. */
  readonly wait: number
  /** What last came of the source; `undefined` while nothing went wrong. */
  readonly failure: unknown
  /** Resolves when the source next fails. */
  failed(): Promise<void>
}

/** Prepared selections kept for one snapshot. */
const mostSelections = 100

type Choose = () => Endpoint | undefined

/** One service, watched from the first time it is asked for. */
export class Service {
  readonly key: ServiceKey
  readonly #host: ServiceHost
  readonly #first: Promise<void>
  readonly #listeners = new Set<() => void>()
  #snapshot: Snapshot
  #warm = false
  #ended: unknown
  #choose: Choose | undefined
  #choices = new Map<string, Choose>()

  constructor(host: ServiceHost, key: ServiceKey) {
    this.#host = host
    this.key = key
    this.#snapshot = host.catalog.snapshot(key)
    this.#first = host.catalog.ready(key).then(
      (snapshot) => {
        this.#warm = true
        this.update(snapshot)
      },
      (error) => this.end(error),
    )
  }

  /** What is known now: the same object until something changes. */
  get snapshot(): Snapshot {
    return this.#snapshot
  }

  /** Whether the registry was heard of. */
  get isKnown(): boolean {
    return this.#warm
  }

  /** Resolves once it was, or there is something from disk to go on with; throws as `find` when neither. */
  async known(): Promise<void> {
    if (!this.#warm) await this.#contact()
  }

  /** Why nobody fits: `service_not_found` or `no_match`, with what there is. */
  absence(filter: Filter = {}): SeamarkError {
    return this.#why(filter)
  }

  /**
   * One healthy instance at random, in proportion to the weights: passing ones, or, without any, those with a warning.
   * At once, from memory; `undefined` when nobody fits, or before the registry was heard of (see `find`).
   *
   * With `primary`, the instance that holds the claim `primary` of the service, if that one fits.
   */
  pick(filter: PrimaryFilter): Primary | undefined
  pick(filter?: FindFilter): Endpoint | undefined
  pick(filter?: FindFilter): Endpoint | undefined {
    if (filter === undefined) {
      this.#choose ??= this.#prepare({})
      return this.#choose()
    }
    const key = JSON.stringify(filter)
    let choose = this.#choices.get(key)
    if (choose === undefined) {
      choose = this.#prepare(filter)
      if (this.#choices.size >= mostSelections) this.#choices.clear()
      this.#choices.set(key, choose)
    }
    return choose()
  }

  /**
   * As `pick`, and before the first contact waits for it. Throws `service_not_found` or `no_match`, with what there is;
   * `engine_unavailable` when the registry was never reached and nothing is on disk; `invalid_field` for a filter that is wrong.
   */
  find(filter: PrimaryFilter): Promise<Primary>
  find(filter?: FindFilter): Promise<Endpoint>
  find(filter?: FindFilter): Promise<Endpoint> {
    // Nearly always so: spares the detour of an async function.
    const found = this.#warm && filter === undefined ? this.pick() : undefined
    return found === undefined ? this.#find(filter) : Promise.resolve(found)
  }

  /** All healthy instances that fit; with `health`, those of that health instead. Empty when there are none. Throws as `find`. */
  async findAll(filter: Selection = {}): Promise<readonly Endpoint[]> {
    if (!this.#warm) await this.#contact()
    const fitting = select(this.#snapshot.entries, filter)
    return (filter.health === undefined ? healthy(fitting) : fitting).map(endpoint)
  }

  /** As `find`, but waits until somebody fits. Throws `timeout`, with what there is then, or the signal's reason. */
  waitFor(options: WaitOptions & PrimaryFilter): Promise<Primary>
  waitFor(options?: WaitOptions): Promise<Endpoint>
  async waitFor({ timeout = 30_000, signal, ...filter }: WaitOptions = {}): Promise<Endpoint> {
    const limit = milliseconds('timeout', timeout)
    signal?.throwIfAborted()
    const controller = new AbortController()
    const abort = () => controller.abort()
    const timer = this.#host.clock.after(limit, abort)
    signal?.addEventListener('abort', abort, { once: true })
    try {
      for await (const _ of this.watch({ signal: controller.signal })) {
        const found = this.pick(filter)
        if (found !== undefined) return found
      }
    } finally {
      timer.cancel()
      signal?.removeEventListener('abort', abort)
    }
    signal?.throwIfAborted()
    this.#throwEnded()
    const cause = this.#warm ? this.#why(filter) : this.#unreached(limit)
    const message = `No instance within ${limit} ms: ${cause.message}`
    throw new SeamarkError('timeout', message, { cause, ...(cause.details && { details: cause.details }) })
  }

  /**
   * The service's snapshots: the current one, once the registry was heard of, then the latest after each change. A slow
   * reader misses what was in between, never the last. Ends when `signal` aborts or the discovery is closed.
   */
  async *watch({
    signal,
  }: {
    readonly signal?: AbortSignal
  } = {}): AsyncGenerator<Snapshot, void, undefined> {
    let seen: Snapshot | undefined
    while (!signal?.aborted && this.#ended === undefined) {
      const snapshot = this.#snapshot
      if (snapshot !== seen && (this.#warm || snapshot.entries.length > 0)) {
        seen = snapshot
        yield snapshot
      } else await held(this.#change(signal))
    }
    if (!signal?.aborted && !isSeamarkError(this.#ended, 'closed')) this.#throwEnded()
  }

  /**
   * Calls `listener` after each change, and when the discovery is closed, until disposed of. Nobody waits here, so no
   * process is kept alive.
   */
  subscribe(listener: () => void): Disposable {
    const own = () => listener()
    this.#listeners.add(own)
    return { [Symbol.dispose]: () => this.#listeners.delete(own) }
  }

  /**
   * Sends a request to one of the service's instances that are reached over HTTP, as `dispatcher()` does, with `connect`'s
   * `traffic`; but the instance sees its own address as the host. A body that is a stream is sent once. Any answer is an answer, a 503 too,
   * when nobody has a better one. Throws as `find`; then as `fetch`.
   */
  fetch(path: string, init: RequestInit = {}, filter?: Filter): Promise<Response> {
    return serviceFetch(this.#host.dispatcher, this, path, init, filter)
  }

  /** The catalog has another snapshot. */
  update(snapshot: Snapshot): void {
    this.#snapshot = snapshot
    this.#choose = undefined
    this.#choices.clear()
    for (const listener of [...this.#listeners]) listener()
  }

  async #find(filter: FindFilter = {}): Promise<Endpoint> {
    if (!this.#warm) await this.#contact()
    const found = this.pick(filter)
    if (found === undefined) throw this.#why(filter)
    return found
  }

  #prepare({ primary, ...selection }: FindFilter): Choose {
    checkPrimary(primary)
    if (primary) {
      const found = primaryOf(this.#snapshot, selection)
      return () => found
    }
    const candidates = healthy(select(this.#snapshot.entries, selection))
    const choose = weightedRandom(candidates)
    return () => {
      const entry = choose({ random: Math.random() })
      return entry && endpoint(entry)
    }
  }

  /** Until the registry was heard of. With something from disk, its first failure is reason enough to go on with that. */
  async #contact(): Promise<void> {
    const { clock, wait } = this.#host
    this.#throwEnded()
    let timer: { cancel(): void } | undefined
    const timeout = new Promise<void>((resolve) => {
      timer = clock.after(wait, resolve)
    })
    const known = this.#snapshot.entries.length > 0
    try {
      const waited: Promise<void>[] = [this.#first, timeout]
      if (known) waited.push(this.#host.failure === undefined ? this.#host.failed() : Promise.resolve())
      await held(Promise.race(waited))
    } finally {
      timer?.cancel()
    }
    this.#throwEnded()
    if (!this.#warm && this.#snapshot.entries.length === 0) throw this.#unreached(wait)
  }

  #change(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#listeners.delete(done)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      this.#listeners.add(done)
      signal?.addEventListener('abort', done, { once: true })
    })
  }

  /** Nothing more will come; `error` says why. */
  end(error: unknown): void {
    this.#ended ??= error
    this.#warm = false
    for (const listener of [...this.#listeners]) listener()
  }

  #throwEnded(): void {
    if (this.#ended !== undefined) throw this.#ended
  }

  #why(filter: FindFilter): SeamarkError {
    const { catalog, clock } = this.#host
    const staleSince = catalog.staleSince ?? catalog.keptSince(this.key)
    return absence({ snapshot: this.#snapshot, filter, staleSince, date: clock.date() })
  }

  #unreached(waited: number): SeamarkError {
    const { failure } = this.#host
    const reason = failure instanceof Error ? ` ${failure.message}` : ''
    return new SeamarkError(
      'engine_unavailable',
      `Nothing is known of ${displayName(this.key)}: the registry was not reached within ${waited} ms, and no snapshot of it is on disk.${reason}`,
      { cause: failure },
    )
  }
}
