import type { InstanceKey } from './names.ts'
import type { ClaimKey, Entry, Holder, Item, Revision } from './ports.ts'

/** All that an embedded engine must remember of a registration. Deadlines are not part of it: a restart grants a full TTL. */
export interface Registration {
  readonly entry: Entry
  readonly token: string
  readonly ttl: number | undefined
}

/** What a journal holds when it is opened. */
export interface JournalState {
  /** Of the last commit; 0 when there was none. */
  readonly revision: Revision
  readonly registrations: Iterable<Registration>
  readonly holders: Iterable<Holder>
  readonly items: Iterable<Item>
}

/** Writes that become durable together, or not at all. Later ones override earlier ones of the same key. */
export interface JournalCommit {
  readonly revision: Revision
  readonly writes: readonly JournalWrite[]
}

export type JournalWrite =
  | { readonly type: 'put'; readonly registration: Registration }
  | { readonly type: 'delete'; readonly key: InstanceKey }
  | { readonly type: 'claim'; readonly holder: Holder }
  | { readonly type: 'release'; readonly claim: ClaimKey }
  | { readonly type: 'put-item'; readonly item: Item }
  | { readonly type: 'delete-item'; readonly key: string }

/** Where an embedded engine keeps its truth over restarts. */
export interface Journal extends AsyncDisposable {
  /** Read once, before the first commit. */
  load(): JournalState
  /** Resolves once the writes would survive the loss of power. Called again only after the former call settled. */
  commit(commit: JournalCommit): Promise<void>
}
