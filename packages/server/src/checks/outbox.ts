import { Backoff, type Clock, isSeamarkError, type Notify, type Timer } from '@seamark/core'

export interface OutboxOptions {
  readonly clock: Clock
  readonly notify: Notify
  /** A source of numbers in [0, 1). */
  readonly random: () => number
}

/** Writes on their way to the engine at once: enough to share its commits, too few to flood it. */
const parallel = 64

/**
 * Writes that must reach the engine sooner or later. Each has a name: a newer one takes the place of one that waits,
 * and two of the same name are never on their way at once. While the engine fails, one of them tries again and again,
 * ever more slowly, and the others wait for it.
 */
export class Outbox {
  readonly #clock: Clock
  readonly #notify: Notify
  readonly #backoff: Backoff
  readonly #waiting = new Map<string, () => Promise<void>>()
  readonly #sending = new Map<string, Promise<void>>()
  #failing = false
  #closed = false
  #pause: Timer | undefined

  constructor({ clock, notify, random }: OutboxOptions) {
    this.#clock = clock
    this.#notify = notify
    this.#backoff = new Backoff({ random })
  }

  /** `write` reads what it writes when it is called, so that a retry carries the latest state. */
  put(name: string, write: () => Promise<void>): void {
    if (this.#closed) return
    this.#waiting.set(name, write)
    this.#pump()
  }

  /** Forgets a write that waits. */
  drop(name: string): void {
    this.#waiting.delete(name)
  }

  /** Forgets what waits, and resolves once nothing is on its way any more. */
  async close(): Promise<void> {
    this.#closed = true
    this.#waiting.clear()
    this.#pause?.cancel()
    await Promise.all(this.#sending.values())
  }

  #pump(): void {
    if (this.#pause !== undefined) return
    for (const [name, write] of this.#waiting) {
      if (this.#sending.size >= (this.#failing ? 1 : parallel)) return
      if (this.#sending.has(name)) continue
      this.#waiting.delete(name)
      this.#sending.set(name, this.#send(name, write))
    }
  }

  async #send(name: string, write: () => Promise<void>): Promise<void> {
    try {
      await write()
      this.#succeeded()
    } catch (error) {
      this.#failed(error, name, write)
    }
    this.#sending.delete(name)
    if (!this.#closed) this.#pump()
  }

  #succeeded(): void {
    this.#backoff.reset()
    if (!this.#failing) return
    this.#failing = false
    this.#notify({
      level: 'info',
      event: 'health_write_recovered',
      message: 'The results of health checks are written again.',
    })
  }

  #failed(error: unknown, name: string, write: () => Promise<void>): void {
    if (this.#closed) return
    if (isHopeless(error)) {
      this.#notify({
        level: 'error',
        event: 'health_write_refused',
        message: 'The engine refused the result of a health check, which is lost.',
        details: { error },
      })
      return
    }
    if (!this.#waiting.has(name)) this.#waiting.set(name, write)
    this.#pause ??= this.#clock.after(this.#backoff.next(), () => {
      this.#pause = undefined
      this.#pump()
    })
    if (this.#failing) return
    this.#failing = true
    this.#notify({
      level: 'warn',
      event: 'health_write_failed',
      message: 'The results of health checks cannot be written; the latest are kept, and tried again.',
      details: { error },
    })
  }
}

/** Whether the same write would fail in the same way for ever. */
function isHopeless(error: unknown): boolean {
  return (
    isSeamarkError(error) && (error.code === 'closed' || (error.status < 500 && error.code !== 'too_many'))
  )
}
