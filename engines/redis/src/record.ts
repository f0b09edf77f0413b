import {
  type Change,
  type ClaimKey,
  type Entry,
  type EntryChange,
  type Health,
  type Holder,
  type InstanceKey,
  type Notify,
  passing,
  reported,
  storedInstance,
} from '@seamark/core'
import { type Named, named, unescaped } from './names.ts'

/** What the scripts answer of a name: with less than two strings, there is nothing under it. */
export type State = readonly [name: string, about?: string | null, instance?: string, health?: string]

/** Check results as they are kept; empty for a health without any. */
export function healthText({ checks }: Health): string {
  return checks.length === 0 ? '' : JSON.stringify(checks)
}

/** Throws when it is none. */
export function readHealth(text: string): Health {
  return text === '' ? passing : reported(passing, JSON.parse(text))
}

/** Reads what Redis holds. What cannot be read counts as not there; the operator is told, once for each name. */
export class Records {
  readonly #notify: Notify
  readonly #skipped = new Set<string>()

  constructor(notify: Notify) {
    this.#notify = notify
  }

  /** The health under a name. */
  health(name: string, text: string): Health | undefined {
    return this.read(name, () => readHealth(text))
  }

  /** What there is under a name, in the form of a change that makes it known. */
  change(state: State): EntryChange | undefined {
    const [name, about] = state
    const what = named(name)
    if (what !== undefined && !about) return gone(what)
    return this.read(name, () => readChange(what, state)) ?? (what && gone(what))
  }

  /** A reset to all there is. */
  reset(states: Iterable<State>): Change {
    const entries: Entry[] = []
    const holders: Holder[] = []
    for (const state of states) {
      const change = this.change(state)
      if (change?.type === 'put') entries.push(change.entry)
      else if (change?.type === 'claim') holders.push(change.holder)
    }
    return { type: 'reset', entries, holders }
  }

  /** `undefined`: it cannot be read. */
  read<T>(name: string, read: () => T): T | undefined {
    try {
      const value = read()
      this.#skipped.delete(name)
      return value
    } catch (error) {
      if (this.#skipped.has(name)) return undefined
      this.#skipped.add(name)
      this.#notify({
        level: 'warn',
        event: 'record_skipped',
        message: `What Redis holds under ${JSON.stringify(name)} cannot be read, and is left out: ${(error as Error).message}.`,
        details: { name, skipped: this.#skipped.size },
      })
      return undefined
    }
  }
}

function gone({ kind, key }: Named): EntryChange {
  return kind === 'claim' ? { type: 'release', claim: key } : { type: 'delete', key }
}

function readChange(what: Named | undefined, [, about, instance, health]: State): EntryChange {
  if (what === undefined) throw new Error('Seamark gives no such names')
  if (what.kind === 'claim') return { type: 'claim', holder: readHolder(what.key, about ?? '') }
  return { type: 'put', entry: readEntry(what.key, about ?? '', instance ?? '', health ?? '') }
}

function readEntry(key: InstanceKey, revisions: string, text: string, health: string): Entry {
  const [, created, modified] = /^(\d+) (\d+)$/.exec(revisions) ?? []
  if (created === undefined || modified === undefined) throw new Error('its revisions are none')
  return Object.freeze({
    instance: storedInstance({ ...JSON.parse(text), ...key }),
    health: readHealth(health),
    createdRevision: Number(created),
    modifiedRevision: Number(modified),
  })
}

function readHolder({ namespace, service, name }: ClaimKey, about: string): Holder {
  const [, fence, id] = /^(\d+) (.+)$/.exec(about) ?? []
  if (fence === undefined || id === undefined) throw new Error('its holder is none')
  return Object.freeze({ namespace, service, id: unescaped(id), name, fence: Number(fence) })
}
