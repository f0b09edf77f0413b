import {
  type Batch,
  type Change,
  type Revision,
  SeamarkError,
  type ServiceKey,
  type Source,
  serviceId,
} from '@seamark/core'
import { type Entries, PolledService, type PollOptions } from './polled-service.ts'

/** Services that are remembered while nobody watches them, so that they need not be asked for again at once. */
const mostRemembered = 10_000
/**
 * Milliseconds for which a service that was never answered for holds up those watched with it. Most failures are over by
 * then; a name that never gets an answer must not be in the way of all others for good.
 */
const patience = 30_000
const none: Entries = new Map()

/** What can be asked, but tells nothing by itself, as a source. */
export class PolledSource implements Source {
  readonly freshness: number
  readonly #options: PollOptions
  readonly #services = new Map<string, PolledService>()
  /** Wakes the watches that wait. */
  readonly #wakes = new Set<() => void>()
  #revision: Revision = 0
  #closed = false

  constructor(options: PollOptions) {
    this.#options = options
    this.freshness = options.most
  }

  async *watch(services: readonly ServiceKey[], signal: AbortSignal): AsyncGenerator<Batch> {
    if (this.#closed) throw closed()
    if (signal.aborted) return
    const watched = [...new Set(services.map((key) => this.#service(key)))]
    const view = new View(
      watched,
      () => this.#revision,
      () => this.#options.clock.now(),
    )
    let wake = () => {}
    const woken = () => wake()
    this.#wakes.add(woken)
    signal.addEventListener('abort', woken, { once: true })
    const listening = watched.map((service) =>
      service.listen((told) => {
        view.tell(told)
        wake()
      }),
    )
    try {
      for (;;) {
        if (signal.aborted) return
        if (this.#closed) throw closed()
        const batch = view.next()
        if (batch !== undefined) yield batch
        else
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    } finally {
      for (const each of listening) each[Symbol.dispose]()
      signal.removeEventListener('abort', woken)
      this.#wakes.delete(woken)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    for (const service of this.#services.values()) service.halt()
    this.#services.clear()
    for (const wake of this.#wakes) wake()
  }

  #service({ namespace, service }: ServiceKey): PolledService {
    const id = serviceId({ namespace, service })
    let found = this.#services.get(id)
    if (found === undefined) {
      if (this.#services.size >= mostRemembered) this.#forget()
      const key = Object.freeze({ namespace, service })
      found = new PolledService(key, this.#options, () => ++this.#revision)
      this.#services.set(id, found)
    }
    return found
  }

  #forget(): void {
    for (const [id, { watched }] of this.#services) {
      if (watched) continue
      this.#services.delete(id)
      return
    }
  }
}

/** What one watch was shown. A reader that is slow misses what was in between, never the last. */
class View {
  readonly #services: readonly PolledService[]
  readonly #revision: () => Revision
  readonly #now: () => number
  readonly #shown = new Map<PolledService, Entries>()
  readonly #unsettled: Set<PolledService>
  readonly #failing: Set<PolledService>
  /** Those that may differ from what was shown. */
  readonly #told: Set<PolledService>
  #begun = false

  constructor(services: readonly PolledService[], revision: () => Revision, now: () => number) {
    this.#services = services
    this.#revision = revision
    this.#now = now
    this.#unsettled = new Set(services)
    this.#failing = new Set()
    this.#told = new Set(services)
  }

  tell(service: PolledService): void {
    this.#told.add(service)
  }

  /** What is to be shown now; `undefined`: nothing. Throws when it is not known any more. */
  next(): Batch | undefined {
    for (const service of this.#told) {
      if (service.settled) this.#unsettled.delete(service)
      if (service.settled && service.failure !== undefined) this.#failing.add(service)
      else this.#failing.delete(service)
    }
    this.#judge()
    if (this.#unsettled.size > 0) return undefined
    for (const service of this.#failing) service.complain()
    const told = [...this.#told]
    this.#told.clear()
    const changes = this.#begun ? told.flatMap((service) => this.#changes(service)) : [this.#reset()]
    return changes.length === 0 ? undefined : { revision: this.#revision(), changes }
  }

  /**
   * A watch goes on while one of its services gets answers. It does not begin before each of them got one, however old;
   * after a while, it begins nevertheless.
   */
  #judge(): void {
    for (const { entries, failure, failingSince = 0 } of this.#failing) {
      const missing = !this.#begun && entries === undefined && this.#now() - failingSince < patience
      if (missing || this.#failing.size === this.#services.length) throw failure
    }
  }

  #reset(): Change {
    this.#begun = true
    for (const service of this.#services) this.#shown.set(service, service.entries ?? none)
    const entries = [...this.#shown.values()].flatMap((shown) => [...shown.values()])
    return { type: 'reset', entries, holders: [] }
  }

  #changes(service: PolledService): readonly Change[] {
    const { entries = none, key } = service
    const before = this.#shown.get(service) ?? none
    if (entries === before) return []
    this.#shown.set(service, entries)
    const changes: Change[] = []
    for (const id of before.keys())
      if (!entries.has(id)) changes.push({ type: 'delete', key: Object.freeze({ ...key, id }) })
    for (const [id, entry] of entries) if (entry !== before.get(id)) changes.push({ type: 'put', entry })
    return changes
  }
}

function closed(): SeamarkError {
  return new SeamarkError('closed', 'The source was closed.')
}
