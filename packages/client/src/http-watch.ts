import {
  type Batch,
  type Change,
  type Clock,
  changedService,
  type Entry,
  type Holder,
  type InstanceKey,
  instanceId,
  type Revision,
  type ServiceKey,
  serviceId,
} from '@seamark/core'
import { type Assembly, resumedEvents } from './resumed-events.ts'
import type { Transport } from './transport.ts'
import { decodeEntry, decodeHolder, decodeKey, type EntryJson } from './wire.ts'

/** Bytes of a query above which everything is watched and sifted here: Node refuses request heads above 16 KB. */
const longestQuery = 12_000

/** The changes of some services, or of all. */
export async function* httpWatch(
  transport: Transport,
  clock: Clock,
  services: readonly ServiceKey[] | undefined,
  signal: AbortSignal,
): AsyncGenerator<Batch> {
  transport.check()
  if (services?.length === 0) return yield* nothing(signal)
  const query = new URLSearchParams()
  for (const { namespace, service } of services ?? [])
    query.append('service', `${encodeURIComponent(namespace)}/${encodeURIComponent(service)}`)
  const all = `${query}`.length > longestQuery
  if (all) query.delete('service')
  const wanted = all ? new Set(services?.map(serviceId)) : undefined
  const path = `/api/v1/watch?${query}`
  for await (const batch of resumedEvents({
    transport,
    clock,
    path,
    signal,
    assembly: () => new PendingBatch(),
  }))
    yield wanted === undefined ? batch : sifted(batch, wanted)
}

/** A watch of no services: without one in the query, a server would send everything. */
async function* nothing(signal: AbortSignal): AsyncGenerator<Batch> {
  yield { revision: 0, changes: [{ type: 'reset', entries: [], holders: [] }] }
  if (!signal.aborted)
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
}

/** What arrived since the last `applied`. */
class PendingBatch implements Assembly<Batch> {
  #changes: Change[] = []
  #reset: { entries: Map<string, Entry>; holders: Map<string, Holder> } | undefined

  batch(revision: Revision): Batch {
    if (this.#reset === undefined) return { revision, changes: this.#changes }
    const { entries, holders } = this.#reset
    const reset = {
      type: 'reset',
      entries: [...entries.values()],
      holders: [...holders.values()],
    } as const
    return { revision, changes: [reset] }
  }

  add(event: string, data: unknown): void {
    if (event === 'reset') this.#reset = { entries: new Map(), holders: new Map() }
    else if (event === 'put') this.#put(decodeEntry(data as EntryJson))
    else if (event === 'delete') this.#delete(decodeKey(data as InstanceKey))
    else if (event === 'claim') this.#claim(decodeHolder(data as Holder))
    else if (event === 'release') this.#release(data as ServiceKey & { name: string })
  }

  #put(entry: Entry): void {
    if (this.#reset) this.#reset.entries.set(instanceId(entry.instance), entry)
    else this.#changes.push({ type: 'put', entry })
  }

  #delete(key: InstanceKey): void {
    if (this.#reset) this.#reset.entries.delete(instanceId(key))
    else this.#changes.push({ type: 'delete', key })
  }

  #claim(holder: Holder): void {
    if (this.#reset) this.#reset.holders.set(instanceId({ ...holder, id: holder.name }), holder)
    else this.#changes.push({ type: 'claim', holder })
  }

  #release({ namespace, service, name }: ServiceKey & { name: string }): void {
    const claim = Object.freeze({ namespace, service, name })
    if (this.#reset) this.#reset.holders.delete(instanceId({ ...claim, id: name }))
    else this.#changes.push({ type: 'release', claim })
  }
}

function sifted({ revision, changes }: Batch, wanted: ReadonlySet<string>): Batch {
  const covers = (key: ServiceKey) => wanted.has(serviceId(key))
  const kept: Change[] = []
  for (const change of changes) {
    if (change.type === 'reset') {
      const entries = change.entries.filter(({ instance }) => covers(instance))
      kept.push({ type: 'reset', entries, holders: change.holders.filter(covers) })
    } else if (covers(changedService(change))) kept.push(change)
  }
  return { revision, changes: kept }
}
