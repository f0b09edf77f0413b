import { Backoff } from './backoff.ts'
import { type Clock, sleep, systemClock } from './clock.ts'
import { SeamarkError } from './errors.ts'
import type { Notify } from './ports.ts'

export interface ContactOptions {
  /** Default the system's. */
  clock?: Clock | undefined
  /** Default: nobody is told. */
  notify?: Notify | undefined
  /** When (ms since 1970) what is known was last true. Default now. */
  since?: number | undefined
}

interface Wait {
  check(): void
  reject(error: unknown): void
}

/** What a replica has with its source: watches that are taken up again when they fail, those who wait, and those who listen. */
export class Contact<Update> {
  readonly clock: Clock
  readonly notify: Notify
  /** Milliseconds since 1970 when the source was lost; `undefined` while in contact. */
  staleSince: number | undefined
  readonly #listeners = new Set<(update: Update) => void>()
  readonly #waits = new Set<Wait>()
  readonly #closing = new AbortController()
  readonly #loops = new Set<Promise<void>>()
  /** Whether somebody was told that the source is lost. */
  #away = false

  constructor({ clock = systemClock, notify = () => {}, since = clock.date() }: ContactOptions) {
    this.clock = clock
    this.notify = notify
    this.staleSince = since
  }

  /** Throws `closed` once it is. */
  open(): void {
    if (this.#closing.signal.aborted) throw closed()
  }

  /** Follows a watch over its failures, until closed or `signal` aborts. */
  follow<B>(
    watch: (signal: AbortSignal) => AsyncIterable<B>,
    apply: (batch: B) => void,
    signal?: AbortSignal,
  ): void {
    const closing = this.#closing.signal
    const stop = signal === undefined ? closing : AbortSignal.any([signal, closing])
    const loop = this.#follow(watch, apply, stop).finally(() => this.#loops.delete(loop))
    this.#loops.add(loop)
  }

  async #follow<B>(
    watch: (signal: AbortSignal) => AsyncIterable<B>,
    apply: (batch: B) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const backoff = new Backoff()
    while (!signal.aborted) {
      try {
        for await (const batch of watch(signal)) {
          if (signal.aborted) return
          backoff.reset()
          this.#regained()
          apply(batch)
          for (const wait of [...this.#waits]) wait.check()
        }
        if (signal.aborted) return
        this.#lost(new SeamarkError('engine_unavailable', 'The watch ended.'))
      } catch (error) {
        if (signal.aborted) return
        this.#lost(error)
      }
      await sleep(this.clock, backoff.next(), signal).catch(() => {})
    }
  }

  /** Resolves once `done`, which is asked now and after each batch. Rejects with the signal's reason, or `closed`. */
  async wait(done: () => boolean, signal?: AbortSignal): Promise<void> {
    this.open()
    if (done()) return
    await new Promise<void>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const end = () => {
        this.#waits.delete(wait)
        signal?.removeEventListener('abort', abort)
      }
      const abort = () => wait.reject(signal?.reason)
      const wait: Wait = {
        check: () => {
          if (!done()) return
          end()
          resolve()
        },
        reject: (error) => {
          end()
          reject(error)
        },
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#waits.add(wait)
    })
  }

  subscribe(listener: (update: Update) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }

  tell(update: Update): void {
    for (const listener of this.#listeners)
      try {
        listener(update)
      } catch (error) {
        this.notify({
          level: 'error',
          event: 'listener_failed',
          message: 'A listener of the catalog threw; the others were told.',
          details: { error },
        })
      }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    for (const wait of [...this.#waits]) wait.reject(closed())
    this.#listeners.clear()
    await Promise.all(this.#loops)
  }

  #lost(error: unknown): void {
    this.staleSince ??= this.clock.date()
    if (this.#away) return
    this.#away = true
    this.notify({
      level: 'warn',
      event: 'source_lost',
      message: 'The registry cannot be watched; what is known of it is kept.',
      details: { error },
    })
  }

  #regained(): void {
    this.staleSince = undefined
    if (!this.#away) return
    this.#away = false
    this.notify({ level: 'info', event: 'source_regained', message: 'The registry is watched again.' })
  }
}

function closed(): SeamarkError {
  return new SeamarkError('closed', 'The catalog was closed.')
}
