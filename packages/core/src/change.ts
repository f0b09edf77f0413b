import type { ServiceKey } from './names.ts'
import type { Change } from './ports.ts'

/** A change of one thing, as against a reset of all. */
export type EntryChange = Exclude<Change, { type: 'reset' }>

/** The key of the service that a change is in. */
export function changedService(change: EntryChange): ServiceKey {
  switch (change.type) {
    case 'put':
      return change.entry.instance
    case 'delete':
      return change.key
    case 'claim':
      return change.holder
    case 'release':
      return change.claim
  }
}
