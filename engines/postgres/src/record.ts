import {
  type Entry,
  type Health,
  type Holder,
  type InstanceKey,
  type Item,
  instanceId,
  type Notify,
  passing,
  reported,
  storedInstance,
  storedItem,
} from '@seamark/core'
import type { Row } from './database.ts'
import { reason } from './failure.ts'

/** Keys remembered as reported; past that, they are told again. */
const remembered = 10_000

/** Reads rows; what is malformed is skipped, and told once for each key. */
export class Records {
  readonly #notify: Notify
  readonly #told = new Set<string>()

  constructor(notify: Notify) {
    this.#notify = notify
  }

  entry(row: Row): Entry | undefined {
    try {
      const instance = storedInstance(JSON.parse(row.instance))
      if (instanceId(instance) !== instanceId(row as InstanceKey))
        throw new Error('its JSON names another instance than its key')
      const health = storedHealth(row.health)
      return Object.freeze({
        instance,
        health,
        createdRevision: row.created,
        modifiedRevision: row.modified,
      })
    } catch (error) {
      const { namespace, service, id } = row
      this.#skipped(
        `${JSON.stringify([namespace, service, id])} is no instance`,
        { namespace, service, id },
        error,
      )
      return undefined
    }
  }

  item({ key, value, created, modified }: Row): Item | undefined {
    try {
      return storedItem({ key, value, createdRevision: created, modifiedRevision: modified })
    } catch (error) {
      this.#skipped(`${JSON.stringify(key)} is no item`, { key }, error)
      return undefined
    }
  }

  #skipped(what: string, details: Readonly<Record<string, unknown>>, error: unknown): void {
    if (this.#told.has(what)) return
    if (this.#told.size === remembered) this.#told.clear()
    this.#told.add(what)
    this.#notify({
      level: 'warn',
      event: 'record_skipped',
      message: `The row of ${what} (${reason(error)}); it is not shown.`,
      details,
    })
  }
}

/** Reads a health as it was written: JSON of core's `Health`. Throws when it is none. */
export function storedHealth(text: string): Health {
  return reported(passing, JSON.parse(text).checks)
}

export function holder({ namespace, service, id, name, fence }: Row): Holder {
  return Object.freeze({ namespace, service, id, name, fence })
}
