import {
  type Entry,
  type Holder,
  healthy,
  invalidField,
  type Revision,
  type Selection,
  type Snapshot,
  select,
} from '@seamark/core'
import { type Endpoint, endpoint } from './endpoint.ts'

/** The name that the primary of a service has claimed. */
export const primaryClaim = 'primary'

/** The instance that holds the claim `primary` of its service. Frozen; the same object while nothing about that changes. */
export interface Primary extends Endpoint {
  /**
   * A fencing number: higher with each new primary. Send it along with what only a primary may do; whoever receives that
   * refuses a lower one than it has seen.
   */
  readonly fence: Revision
}

/** Which instances are wanted: as a selection, but for their health; or the primary alone, if that fits. */
export interface FindFilter extends Omit<Selection, 'health'> {
  /** Default false. */
  readonly primary?: boolean | undefined
}

/** One that asks for the primary. */
export type PrimaryFilter = FindFilter & { readonly primary: true }

const primaries = new WeakMap<Entry, Primary>()

export function primaryHolder({ holders }: Snapshot): Holder | undefined {
  return holders.find(({ name }) => name === primaryClaim)
}

/** The primary, if there is one, it is passing or has a warning, and fits. Throws `invalid_field` as `select`. */
export function primaryOf(snapshot: Snapshot, selection: Selection): Primary | undefined {
  const holder = primaryHolder(snapshot)
  const [entry] = healthy(
    select(
      snapshot.entries.filter(({ instance }) => instance.id === holder?.id),
      selection,
    ),
  )
  if (entry === undefined) return undefined
  const { fence } = holder!
  let found = primaries.get(entry)
  if (found?.fence !== fence) {
    found = Object.freeze({ ...endpoint(entry), fence })
    primaries.set(entry, found)
  }
  return found
}

/** Throws `invalid_field`. */
export function checkPrimary(primary: unknown): void {
  if (primary !== undefined && typeof primary !== 'boolean')
    throw invalidField('primary', 'must be true or false')
}
