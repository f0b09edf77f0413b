import {
  type Batch,
  type Change,
  type Clock,
  changedService,
  type Entry,
  type Holder,
  type InstanceKey,
  instanceId,
  isSeamarkError,
  type Revision,
  SeamarkError,
  type ServiceKey,
  serviceId,
} from '@seamark/core'
import { ServerSentEvents } from './server-sent-events.ts'
import type { Stream, Transport } from './transport.ts'
import { decodeEntry, decodeHolder, decodeKey, type EntryJson } from './wire.ts'

/** Milliseconds: three of the server's keep-alive comments. */
const silence = 45_000
/** Milliseconds a stream must have lived for its end to be answered with another one at once. */
const shortLived = 1_000
/** Bytes of a query above which everything is watched and sifted here: Node refuses request heads above 16 KB. */
const longestQuery = 12_000

/**
 * The changes of some services, or of all, from whichever server answers. A stream that breaks is resumed at once where it
 * stopped; when no server can do that, this throws `engine_unavailable`, so that the catalog knows that it is stale.
 */
export async function* httpWatch(
  transport: Transport,
  clock: Clock,
  services: readonly ServiceKey[] | undefined,
  signal: AbortSignal,
): AsyncGenerator<Batch> {
  if (transport.closed) throw new SeamarkError('closed', 'The engine was closed.')
  if (services?.length === 0) return yield* nothing(signal)
  const query = new URLSearchParams()
  for (const { namespace, service } of services ?? [])
    query.append('service', `${encodeURIComponent(namespace)}/${encodeURIComponent(service)}`)
  const all = `${query}`.length > longestQuery
  if (all) query.delete('service')
  const wanted = all ? new Set(services?.map(serviceId)) : undefined

  let last: string | undefined
  while (!signal.aborted) {
    const stream = await opened(transport, `/api/v1/watch?${query}`, last, signal)
    if (stream === undefined) return
    const since = clock.now()
    let cause: unknown
    try {
      for await (const { id, batch } of batches(alive(stream, clock))) {
        if (last === undefined && batch.changes[0]?.type !== 'reset')
          throw new SeamarkError('engine_unavailable', `${stream.server} began a watch without a reset.`)
        last = id
        yield wanted === undefined ? batch : sifted(batch, wanted)
      }
    } catch (error) {
      cause = error
    } finally {
      stream.close()
    }
    if (signal.aborted || transport.closed) return
    if (last === undefined || clock.now() - since < shortLived)
      throw new SeamarkError('engine_unavailable', `${stream.server} ended the watch at once.`, { cause })
  }
}

/** A watch of no services: without one in the query, a server would send everything. */
async function* nothing(signal: AbortSignal): AsyncGenerator<Batch> {
  yield { revision: 0, changes: [{ type: 'reset', entries: [], holders: [] }] }
  if (!signal.aborted)
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
}

async function opened(
  transport: Transport,
  path: string,
  last: string | undefined,
  signal: AbortSignal,
): Promise<Stream | undefined> {
  try {
    return await transport.stream(path, last === undefined ? {} : { 'last-event-id': last }, signal)
  } catch (error) {
    if (signal.aborted || transport.closed) return undefined
    if (isSeamarkError(error, 'engine_unavailable')) throw error
    throw new SeamarkError('engine_unavailable', `${transport.current} does not serve the watch.`, {
      cause: error,
    })
  }
}

/** The stream's chunks; ends it when the next one is waited for too long. A reader that takes its time is no silence. */
async function* alive(stream: Stream, clock: Clock): AsyncGenerator<Uint8Array> {
  let waitingSince: number | undefined
  const look = () => {
    if (waitingSince !== undefined && clock.now() - waitingSince >= silence) stream.close()
    else timer = clock.after(silence / 9, look)
  }
  let timer = clock.after(silence / 9, look)
  try {
    waitingSince = clock.now()
    for await (const chunk of stream.body) {
      waitingSince = undefined
      yield chunk
      waitingSince = clock.now()
    }
  } finally {
    timer.cancel()
  }
}

interface Received {
  readonly id: string
  readonly batch: Batch
}

async function* batches(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Received> {
  const events = new ServerSentEvents()
  let pending = new PendingBatch()
  for await (const chunk of chunks)
    for (const { event, data, id } of events.push(chunk)) {
      if (event !== 'applied') {
        pending.add(event, JSON.parse(data))
        continue
      }
      if (id === undefined)
        throw new SeamarkError('engine_unavailable', 'The watch sent a batch without an id.')
      const { revision } = JSON.parse(data) as { revision: Revision }
      yield { id, batch: { revision, changes: pending.changes() } }
      pending = new PendingBatch()
    }
}

/** What arrived since the last `applied`. */
class PendingBatch {
  #changes: Change[] = []
  #reset: { entries: Map<string, Entry>; holders: Map<string, Holder> } | undefined

  changes(): readonly Change[] {
    if (this.#reset === undefined) return this.#changes
    const { entries, holders } = this.#reset
    return [{ type: 'reset', entries: [...entries.values()], holders: [...holders.values()] }]
  }

  /** Events that a newer server knows and this client does not are passed over. */
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
