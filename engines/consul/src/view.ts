import type { Batch, Change, Entry, Holder, Revision, ServiceKey } from '@seamark/core'
import { serviceId } from '@seamark/core'
import type { Answer, Item } from './agent.ts'
import type { NodeDump, Row } from './foreign.ts'
import { ForeignReader } from './foreign-reader.ts'
import type { Keys } from './keys.ts'
import { RegisteredReader } from './registered-reader.ts'

/** What others registered, as Consul's catalog answers it. */
export type Foreign = readonly (Row | NodeDump)[]

export interface ViewOptions {
  readonly keys: Keys
  /** Told of each record that cannot be shown. */
  readonly skipped: (key: string, error: unknown) => void
  /** `undefined`: everything. */
  readonly services: readonly ServiceKey[] | undefined
}

interface Shown {
  readonly entries: ReadonlyMap<string, Entry>
  readonly holders: ReadonlyMap<string, Holder>
}

/**
 * What a watch has shown, and what it has heard since, from two sources that each tell the whole of what they cover, at
 * an index: Seamark's own entries, and what others registered.
 *
 * Its revisions are those of Seamark's entries, since it is their writers who wait for them. Whoever hears that others
 * changed something reads our entries again before it asks for the next batch: then none below that index is missing, and
 * the change is told at it. Where that is too late, because a higher revision was told already, a reset tells it.
 */
export class View {
  readonly #ownReader: RegisteredReader
  readonly #foreignReader: ForeignReader
  #own: Shown = { entries: new Map(), holders: new Map() }
  #foreign: ReadonlyMap<string, Entry> = new Map()
  #shown: Shown = this.#own
  #revision: Revision = 0
  #lost = false
  ownIndex = 0
  foreignIndex = 0
  /** When others last changed something: our entries were read since. */
  #foreignChanged = 0

  constructor({ keys, skipped, services }: ViewOptions) {
    const covered = services && new Set(services.map(serviceId))
    const covers = (key: ServiceKey) => covered === undefined || covered.has(serviceId(key))
    this.#ownReader = new RegisteredReader(keys, covers, skipped)
    this.#foreignReader = new ForeignReader(covers, skipped)
  }

  /** How many instances each reading of our entries, and of what others registered, brings. */
  get sizes(): { readonly own: number; readonly foreign: number } {
    return { own: this.#own.entries.size, foreign: this.#foreign.size }
  }

  hearOwn({ index, value }: Answer<readonly Item[]>): void {
    // Backward: Consul was restored from a snapshot, or gave up its memory of deletions.
    if (index < this.ownIndex) this.#lost = true
    this.ownIndex = index
    this.#own = this.#ownReader.fold(value)
  }

  /** Answers whether it changed anything. */
  hearForeign({ index, value }: Answer<Foreign>): boolean {
    const before = this.#foreign
    this.foreignIndex = index
    this.#foreign = this.#foreignReader.fold(value, index)
    const changed = !sameEntries(before, this.#foreign)
    if (changed || index < this.#foreignChanged) this.#foreignChanged = index
    return changed
  }

  /** All that was heard. */
  reset(): Batch {
    const at = Math.max(this.ownIndex, this.#foreignChanged)
    this.#revision = this.#lost ? at : Math.max(at, this.#revision)
    this.#lost = false
    this.#shown = this.#heard()
    const { entries, holders } = this.#shown
    return {
      revision: this.#revision,
      changes: [{ type: 'reset', entries: [...entries.values()], holders: [...holders.values()] }],
    }
  }

  /**
   * What was heard and not shown; `undefined`: nothing. Without changes when what was written was undone before it could be
   * read: its writers wait for the revision all the same.
   */
  next(): Batch | undefined {
    const heard = this.#heard()
    const changes = difference(this.#shown, heard)
    const at = Math.max(this.ownIndex, this.#foreignChanged)
    if (changes.length === 0 && at <= this.#revision && !this.#lost) return undefined
    if (this.#lost || at <= this.#revision) return this.reset()
    this.#revision = at
    this.#shown = heard
    return { revision: at, changes }
  }

  /** Where both have a key, it is ours. */
  #heard(): Shown {
    const { entries, holders } = this.#own
    return { entries: this.#foreign.size === 0 ? entries : new Map([...this.#foreign, ...entries]), holders }
  }
}

function difference(before: Shown, after: Shown): Change[] {
  const changes: Change[] = []
  for (const [id, { namespace, service, name }] of before.holders)
    if (!after.holders.has(id)) changes.push({ type: 'release', claim: { namespace, service, name } })
  for (const [key, { instance }] of before.entries) {
    const { namespace, service, id } = instance
    if (!after.entries.has(key)) changes.push({ type: 'delete', key: { namespace, service, id } })
  }
  for (const [key, entry] of after.entries)
    if (before.entries.get(key) !== entry) changes.push({ type: 'put', entry })
  for (const [id, holder] of after.holders)
    if (before.holders.get(id)?.fence !== holder.fence) changes.push({ type: 'claim', holder })
  return changes
}

function sameEntries(before: ReadonlyMap<string, Entry>, after: ReadonlyMap<string, Entry>): boolean {
  return before.size === after.size && [...after].every(([id, entry]) => before.get(id) === entry)
}
