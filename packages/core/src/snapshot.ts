import type { ServiceKey } from './names.ts'
import type { Entry, Holder, Revision } from './ports.ts'

/**
 * One service at one moment. Frozen, and the *same object* until something in that service changes: what is derived
 * from it may be kept in a `WeakMap` under it, and needs no invalidation.
 */
export interface Snapshot {
  readonly service: ServiceKey
  /** Of the last change in this service; 0 for a service nothing was ever heard of. */
  readonly revision: Revision
  /** In the order of their ids (by UTF-16 code units), so that every replica shows the same list. */
  readonly entries: readonly Entry[]
  readonly holders: readonly Holder[]
}
