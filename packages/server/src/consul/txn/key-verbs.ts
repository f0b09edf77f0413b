import { ConsulError } from '../answer.ts'
import { quote } from '../filter/quote.ts'
import type { Draft } from '../kv/draft.ts'
import type { Entry } from '../kv/entry.ts'
import { indexAt } from '../kv/index-at.ts'
import { cas, isAt, isDelayed, lock, removeCas, removeTree, set, unlock, type Wanted } from '../kv/verbs.ts'

/** What an operation shows of a key. */
export interface Shown {
  readonly entry: Entry
  readonly withValue: boolean
}

/** Does it, and answers what it shows; throws an error whose message is what Consul says. */
export interface KeyVerb {
  readonly writes: boolean
  readonly run: (draft: Draft, wanted: Wanted) => readonly Shown[]
}

/** What Consul's transactions can do with a key. */
export const keyVerbs: ReadonlyMap<string, KeyVerb> = new Map<string, KeyVerb>([
  ['set', writing((draft, wanted) => set(draft, wanted), '')],
  ['cas', writing(cas, ({ key }) => `failed to set key ${quote(key)}, index is stale`)],
  ['lock', writing(lock, ({ key }) => `failed to lock key ${quote(key)}, lock is already held`)],
  [
    'unlock',
    writing(
      unlock,
      ({ key }) => `failed to unlock key ${quote(key)}, lock isn't held, or is held by another session`,
    ),
  ],
  ['delete', removing((draft, { key }) => draft.remove(key))],
  ['delete-tree', removing((draft, { key }) => removeTree(draft, key))],
  [
    'delete-cas',
    removing((draft, wanted) => {
      if (!removeCas(draft, wanted)) throw failed(`failed to delete key ${quote(wanted.key)}, index is stale`)
    }),
  ],
  ['get', reading((draft, { key }) => [present(draft, key, `key ${quote(key)} doesn't exist`)], true)],
  ['get-tree', reading((draft, { key }) => draft.tree(key), true)],
  [
    'check-session',
    reading((draft, { key, session }) => {
      const entry = present(draft, key, `failed to check session, key ${quote(key)} doesn't exist`)
      if (entry.session === session) return [entry]
      throw failed(
        `failed session check for key ${quote(key)}, current session ${quote(entry.session)} != ${quote(session)}`,
      )
    }),
  ],
  [
    'check-index',
    reading((draft, { key, index }) => {
      const entry = present(draft, key, `failed to check index, key ${quote(key)} doesn't exist`)
      if (isAt(entry, index)) return [entry]
      throw failed(
        `failed index check for key ${quote(key)}, current modify index ${indexAt(entry.modified)} != ${index}`,
      )
    }),
  ],
  [
    'check-not-exists',
    reading((draft, { key }) => {
      if (draft.entry(key) !== undefined) throw failed(`key ${quote(key)} exists`)
      return []
    }),
  ],
])

/** What Consul refuses before it begins. */
export function refusal(draft: Draft, verb: string, { key }: Wanted): string | undefined {
  if (key === '' && verb !== 'delete-tree') return 'Must provide key'
  return verb === 'lock' && isDelayed(draft, key)
    ? `failed to lock key ${quote(key)} due to lock delay`
    : undefined
}

function writing(
  verb: (draft: Draft, wanted: Wanted) => boolean,
  problem: '' | ((wanted: Wanted) => string),
): KeyVerb {
  return {
    writes: true,
    run(draft, wanted) {
      if (!verb(draft, wanted) && problem !== '') throw failed(problem(wanted))
      return [{ entry: draft.entry(wanted.key)!, withValue: false }]
    },
  }
}

function removing(verb: (draft: Draft, wanted: Wanted) => void): KeyVerb {
  return {
    writes: true,
    run(draft, wanted) {
      verb(draft, wanted)
      return []
    },
  }
}

function reading(verb: (draft: Draft, wanted: Wanted) => readonly Entry[], withValue = false): KeyVerb {
  return { writes: false, run: (draft, wanted) => verb(draft, wanted).map((entry) => ({ entry, withValue })) }
}

function present(draft: Draft, key: string, otherwise: string): Entry {
  const entry = draft.entry(key)
  if (entry === undefined) throw failed(otherwise)
  return entry
}

function failed(what: string): ConsulError {
  return new ConsulError(409, what)
}
