import { type InstanceKey, type Item, type Items, type Revision, serviceId } from '@seamark/core'
import { type ConsulRecord, decodedItem, keyOf, recordKey, recordPrefix } from './record.ts'

/** What changed of a record. */
export interface RecordChange {
  readonly key: InstanceKey
  readonly record: ConsulRecord | undefined
  readonly revision: Revision
}

/** The records of this registry, by instance, by node, and by the checks that are called as somebody liked. */
export class Records {
  readonly #items: Items
  readonly #subscription: Disposable
  readonly #known = new Map<string, { readonly key: InstanceKey; readonly record: ConsulRecord }>()
  readonly #byNode = new Map<string, Map<string, InstanceKey>>()
  readonly #byCheck = new Map<string, Map<string, InstanceKey>>()
  readonly #generations = new Map<string, number>()
  #changes = 0
  readonly #listeners = new Set<(changes: readonly RecordChange[]) => void>()

  constructor(items: Items) {
    this.#items = items
    for (const item of items.list(recordPrefix)) this.#put(item)
    this.#subscription = items.subscribe(({ revision, changes }) => {
      const made: RecordChange[] = []
      for (const change of changes) {
        const name = change.type === 'put' ? change.item.key : change.key
        if (!name.startsWith(recordPrefix)) continue
        const found = change.type === 'put' ? this.#put(change.item) : this.#delete(name)
        if (found !== undefined)
          made.push({ ...found, revision: change.type === 'put' ? change.item.modifiedRevision : revision })
      }
      if (made.length > 0) for (const listener of this.#listeners) listener(made)
    })
  }

  get(key: InstanceKey): ConsulRecord | undefined {
    return decodedItem<ConsulRecord>(this.item(key))
  }

  item(key: InstanceKey): Item | undefined {
    return this.#items.get(recordKey(key))
  }

  /** The instances recorded on a node, whether they are registered or not. */
  on(node: string): InstanceKey[] {
    return [...(this.#byNode.get(node)?.values() ?? [])]
  }

  /** The instances that have a check which somebody called so. */
  withCheck(check: string): InstanceKey[] {
    return [...(this.#byCheck.get(check)?.values() ?? [])]
  }

  /** All records there are. */
  all(): IterableIterator<{ readonly key: InstanceKey; readonly record: ConsulRecord }> {
    return this.#known.values()
  }

  /** Another number after each change of any record. */
  get changes(): number {
    return this.#changes
  }

  /** Another number after each change of a record of this service. */
  generation(service: { readonly namespace: string; readonly service: string }): number {
    return this.#generations.get(serviceId(service)) ?? 0
  }

  /** Calls back after records changed. */
  subscribe(listener: (changes: readonly RecordChange[]) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }

  close(): void {
    this.#subscription[Symbol.dispose]()
    this.#listeners.clear()
  }

  #put(item: Item): Omit<RecordChange, 'revision'> | undefined {
    this.#delete(item.key)
    const key = keyOf(item.key)?.instance
    const record = decodedItem<ConsulRecord>(item)
    if (key === undefined || record === undefined) return undefined
    this.#known.set(item.key, { key, record })
    add(this.#byNode, record.node, item.key, key)
    for (const check of namedChecks(key, record)) add(this.#byCheck, check, item.key, key)
    this.#grow(key)
    return { key, record }
  }

  #delete(name: string): Omit<RecordChange, 'revision'> | undefined {
    const known = this.#known.get(name)
    if (known === undefined) return undefined
    this.#known.delete(name)
    remove(this.#byNode, known.record.node, name)
    for (const check of namedChecks(known.key, known.record)) remove(this.#byCheck, check, name)
    this.#grow(known.key)
    return { key: known.key, record: undefined }
  }

  #grow(key: InstanceKey): void {
    const service = serviceId(key)
    this.#changes++
    this.#generations.set(service, (this.#generations.get(service) ?? 0) + 1)
  }
}

/** Those that the service's id does not lead to. */
function namedChecks({ id }: InstanceKey, { checks = {} }: ConsulRecord): string[] {
  return Object.keys(checks).filter(
    (check) => check !== `service:${id}` && !check.startsWith(`service:${id}:`),
  )
}

function add<T>(groups: Map<string, Map<string, T>>, name: string, key: string, value: T): void {
  let group = groups.get(name)
  if (group === undefined) {
    group = new Map()
    groups.set(name, group)
  }
  group.set(key, value)
}

function remove<T>(groups: Map<string, Map<string, T>>, name: string, key: string): void {
  const group = groups.get(name)
  group?.delete(key)
  if (group?.size === 0) groups.delete(name)
}
