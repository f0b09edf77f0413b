import { type Clock, isSeamarkError, type Revision, SeamarkError } from '@seamark/core'
import { alive } from './alive.ts'
import { ServerSentEvents } from './server-sent-events.ts'
import type { Stream, Transport } from './transport.ts'

/** What arrives up to an `applied`, put together. */
export interface Assembly<B> {
  /** Events that a newer server knows and this client does not are passed over. */
  add(event: string, data: unknown): void
  batch(revision: Revision): B
}

export interface ResumedEventsOptions<B> {
  readonly transport: Transport
  readonly clock: Clock
  /** Below the server's URL, with its query. */
  readonly path: string
  readonly signal: AbortSignal
  assembly(): Assembly<B>
}

/** Milliseconds a stream must have lived for its end to be answered with another one at once. */
const shortLived = 1_000

/**
 * The batches of a server's event stream, from whichever server answers. A stream that breaks is resumed at once where it
 * stopped; when no server can do that, this throws `engine_unavailable`, so that a replica knows that it is stale.
 */
export async function* resumedEvents<B extends { readonly changes: readonly { readonly type: string }[] }>({
  transport,
  clock,
  path,
  signal,
  assembly,
}: ResumedEventsOptions<B>): AsyncGenerator<B> {
  transport.check()
  let last: string | undefined
  while (!signal.aborted) {
    const stream = await opened(transport, path, last, signal)
    if (stream === undefined) return
    const since = clock.now()
    let cause: unknown
    try {
      for await (const { id, batch } of batches(alive(stream, clock), assembly)) {
        if (last === undefined && batch.changes[0]?.type !== 'reset')
          throw new SeamarkError('engine_unavailable', `${stream.server} began a watch without a reset.`)
        last = id
        yield batch
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

async function opened(
  transport: Transport,
  path: string,
  last: string | undefined,
  signal: AbortSignal,
): Promise<Stream | undefined> {
  try {
    return await transport.stream({
      path,
      ...(last !== undefined && { headers: { 'last-event-id': last } }),
      signal,
    })
  } catch (error) {
    if (signal.aborted || transport.closed) return undefined
    if (isSeamarkError(error, 'engine_unavailable')) throw error
    throw new SeamarkError('engine_unavailable', `${transport.current} does not serve the watch.`, {
      cause: error,
    })
  }
}

interface Received<B> {
  readonly id: string
  readonly batch: B
}

async function* batches<B>(
  chunks: AsyncIterable<Uint8Array>,
  assembly: () => Assembly<B>,
): AsyncGenerator<Received<B>> {
  const events = new ServerSentEvents()
  let pending = assembly()
  for await (const chunk of chunks)
    for (const { event, data, id } of events.push(chunk)) {
      if (event !== 'applied') {
        pending.add(event, JSON.parse(data))
        continue
      }
      if (id === undefined)
        throw new SeamarkError('engine_unavailable', 'The watch sent a batch without an id.')
      const { revision } = JSON.parse(data) as { revision: Revision }
      yield { id, batch: pending.batch(revision) }
      pending = assembly()
    }
}
