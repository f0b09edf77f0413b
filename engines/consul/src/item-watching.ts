import { type Clock, type ItemBatch, SeamarkError } from '@seamark/core'
import type { Agent } from './agent.ts'
import { handled } from './handled.ts'
import { heartbeat } from './heartbeat.ts'
import { ItemView, type ItemViewOptions } from './item-view.ts'
import { TokenBucket } from './token-bucket.ts'

export interface ItemWatchingOptions extends ItemViewOptions {
  readonly agent: Agent
  readonly clock: Clock
  readonly prefix: string
  readonly signal: AbortSignal
}

/** Milliseconds between two readings of items that change all the time, and how much more for each byte, since each reads all of them. */
const interval = 100
const intervalOfByte = 0.000_1

/** One blocking query over a prefix. While the reader does not read, nothing is asked. Ends in silence when `signal` aborts. */
export async function* watchingItems(options: ItemWatchingOptions): AsyncGenerator<ItemBatch> {
  const { agent, keys, clock } = options
  const controller = new AbortController()
  const { signal } = controller
  const abort = () => controller.abort(options.signal.reason)
  options.signal.addEventListener('abort', abort, { once: true })
  if (options.signal.aborted) abort()

  const view = new ItemView(options)
  const prefix = keys.item(options.prefix)
  const bucket = new TokenBucket(clock)
  const next = async () => {
    await bucket.take(interval + view.bytes * intervalOfByte, signal)
    return agent.list(prefix, { after: view.index, signal })
  }
  try {
    // Whoever may not read is answered with nothing by a listing, but refused a single entry.
    await agent.item(keys.revision)
    view.hear(await agent.list(prefix, { signal }))
    void heartbeat(agent, clock, controller)
    let answer = handled(next())
    yield view.reset()
    while (true) {
      view.hear(await answer)
      answer = handled(next())
      const batch = view.next()
      if (batch !== undefined) yield batch
    }
  } catch (error) {
    if (options.signal.aborted) return
    // The heartbeat says why it ended everything.
    throw signal.aborted ? signal.reason : error
  } finally {
    options.signal.removeEventListener('abort', abort)
    controller.abort(new SeamarkError('closed', 'The watch is over.'))
  }
}
