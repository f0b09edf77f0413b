import type { Notify } from '@seamark/core'
import type { IKeyValue } from 'etcd3'

/** Keys that are remembered at most. */
const bound = 10_000

/** Tells once of each record that cannot be read. */
export class Skipped {
  readonly #notify: Notify
  readonly #keys = new Set<string>()

  constructor(notify: Notify) {
    this.#notify = notify
  }

  /** What `decode` makes of it, or `undefined` if it throws. */
  unlessUnreadable<T>({ key, value }: IKeyValue, decode: (value: Buffer) => T): T | undefined {
    try {
      return decode(value)
    } catch (error) {
      this.#note(key, error)
      return undefined
    }
  }

  #note(key: Buffer, error: unknown): void {
    const name = key.toString()
    if (this.#keys.has(name)) return
    if (this.#keys.size >= bound) this.#keys.clear()
    this.#keys.add(name)
    this.#notify({
      level: 'warn',
      event: 'record_skipped',
      message: `etcd holds under ${JSON.stringify(name)} what cannot be read: it is left alone, and not shown.`,
      details: { key: name, error },
    })
  }
}
