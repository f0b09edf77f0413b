import type { ClaimKey, Instance, InstanceKey, ServiceKey } from '@seamark/core'
import type { KeyRange } from './key-range.ts'

/** What a key is about. */
export type Place =
  | { readonly kind: 'instance' | 'health'; readonly key: InstanceKey }
  | { readonly kind: 'claim'; readonly key: ClaimKey }

/** An instance as etcd keeps it. */
export interface StoredInstance {
  readonly instance: Instance
  /** The hash of its lease's token; `undefined` for one that others than Seamark wrote. */
  readonly lease: string | undefined
}

/** Where in etcd things are, and what an instance looks like there. All else looks the same in every format. */
export interface Format {
  instance(key: InstanceKey): Buffer
  health(key: InstanceKey): Buffer
  claim(key: ClaimKey): Buffer
  /** All claims of a service. */
  claims(service: ServiceKey): KeyRange
  /** What the keys of items begin with: their own follow as they are. */
  readonly items: string
  /** The record of a lease, by the hash of its token. */
  lease(hash: string): Buffer
  /** `undefined`: nothing that a watch shows. */
  place(key: Buffer): Place | undefined
  /** What must be read to know these services, or everything. May hold more than was asked for. */
  ranges(services?: readonly ServiceKey[]): readonly KeyRange[]
  encode(stored: StoredInstance): Buffer
  /** Throws when it is no instance of that key. */
  decode(key: InstanceKey, value: Buffer): StoredInstance
}
