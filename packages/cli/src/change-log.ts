import {
  type Entry,
  type EntryChange,
  type HealthStatus,
  type InstanceKey,
  instanceId,
  type ServiceKey,
} from '@seamark/core'

/** What a change meant, seen from what was known before it. */
export interface LoggedChange {
  readonly change: 'present' | 'registered' | 'updated' | 'health' | 'removed' | 'claimed' | 'released'
  /** The instance; of a claim its holder, or the service that it was released in. */
  readonly key: InstanceKey | ServiceKey
  /** The instance as it is now, or as it was when it was removed. */
  readonly entry?: Entry
  /** The health before, when that is what changed. */
  readonly before?: HealthStatus
  /** The claim's name. */
  readonly claim?: string
}

/** Tells what changes mean. It remembers what it was told, as changes do not say what was before. */
export class ChangeLog {
  readonly #known = new Map<string, Entry>()

  /** `begun`: whether what was there from the beginning has all been told, so that what is new was registered since. */
  read(change: EntryChange, begun: boolean): LoggedChange {
    switch (change.type) {
      case 'put': {
        const { entry } = change
        const { namespace, service, id } = entry.instance
        const key = { namespace, service, id }
        const before = this.#known.get(instanceId(key))
        this.#known.set(instanceId(key), entry)
        if (before === undefined) return { change: begun ? 'registered' : 'present', key, entry }
        if (before.health.status === entry.health.status) return { change: 'updated', key, entry }
        return { change: 'health', key, entry, before: before.health.status }
      }
      case 'delete': {
        const { key } = change
        const entry = this.#known.get(instanceId(key))
        this.#known.delete(instanceId(key))
        return { change: 'removed', key, ...(entry && { entry }) }
      }
      case 'claim': {
        const { namespace, service, id, name } = change.holder
        return { change: 'claimed', key: { namespace, service, id }, claim: name }
      }
      case 'release': {
        const { namespace, service, name } = change.claim
        return { change: 'released', key: { namespace, service }, claim: name }
      }
    }
  }
}
