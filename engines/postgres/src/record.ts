import {
  type Entry,
  type Health,
  type Holder,
  type InstanceKey,
  instanceId,
  type Notify,
  passing,
  reported,
  storedInstance,
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
      this.#skipped(row as InstanceKey, error)
      return undefined
    }
  }

  #skipped({ namespace, service, id }: InstanceKey, error: unknown): void {
    const name = instanceId({ namespace, service, id })
    if (this.#told.has(name)) return
    if (this.#told.size === remembered) this.#told.clear()
    this.#told.add(name)
    this.#notify({
      level: 'warn',
      event: 'record_skipped',
      message: `The row of ${JSON.stringify([namespace, service, id])} is no instance (${reason(error)}); it is not shown.`,
      details: { namespace, service, id },
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
