import {
  type Batch,
  type Clock,
  defaultNamespace,
  SeamarkError,
  type ServiceKey,
  serviceId,
} from '@seamark/core'
import type { Agent, Answer, Item } from './agent.ts'
import { foreignPath } from './foreign.ts'
import { handled } from './handled.ts'
import { heartbeat } from './heartbeat.ts'
import type { Keys } from './keys.ts'
import { TokenBucket } from './token-bucket.ts'
import { type Foreign, View, type ViewOptions } from './view.ts'

export interface WatchingOptions extends ViewOptions {
  readonly agent: Agent
  readonly clock: Clock
  readonly signal: AbortSignal
  /** An instance is gone. */
  onGone(): void
}

/** Milliseconds between two readings of a busy registry, and how much more for each instance, since each reads all of them. */
const interval = 100
const intervalOfEach = 0.05
type News =
  | { readonly own: Answer<readonly Item[]>; readonly foreign?: never }
  | { readonly foreign: Answer<Foreign>; readonly own?: never }

/**
 * Two blocking queries, whatever is watched: one over Seamark's entries, one over what others registered. Each answer
 * is the whole of what it covers. While the reader does not read, nothing is asked. Ends in silence when `signal` aborts.
 */
export async function* watching(options: WatchingOptions): AsyncGenerator<Batch> {
  const { agent, keys, clock, services } = options
  const controller = new AbortController()
  const { signal } = controller
  const abort = () => controller.abort(options.signal.reason)
  options.signal.addEventListener('abort', abort, { once: true })
  if (options.signal.aborted) abort()

  const view = new View(options)
  const prefix = prefixOf(keys, services)
  const path = foreignPathOf(services)
  const readForeign = async (path: string, after?: number): Promise<Answer<Foreign>> => {
    const { index, value = [] } = await agent.catalog<Foreign>(path, { signal, ...(after && { after }) })
    return { index, value }
  }
  const ownBucket = new TokenBucket(clock)
  const nextOwn = async (): Promise<News> => {
    await ownBucket.take(interval + view.sizes.own * intervalOfEach, signal)
    return { own: await agent.list(prefix, { after: view.ownIndex, signal }) }
  }
  const foreignBucket = new TokenBucket(clock)
  const nextForeign = async (path: string): Promise<News> => {
    await foreignBucket.take(interval + view.sizes.foreign * intervalOfEach, signal)
    return { foreign: await readForeign(path, view.foreignIndex) }
  }

  try {
    // Whoever may not read is answered with nothing by a listing, but refused a single entry.
    await agent.item(keys.revision)
    if (path !== undefined) view.hearForeign(await readForeign(path))
    view.hearOwn(await agent.list(prefix, { signal }))
    void heartbeat(agent, clock, controller)
    let own = handled(nextOwn())
    let foreign = path && handled(nextForeign(path))
    yield view.reset()
    while (true) {
      const news = await (foreign ? Promise.race([own, foreign]) : own)
      if (news.own !== undefined) {
        view.hearOwn(news.own)
        own = handled(nextOwn())
      } else {
        const changed = view.hearForeign(news.foreign)
        foreign = path && handled(nextForeign(path))
        if (changed) view.hearOwn(await agent.list(prefix, { signal }))
      }
      const batch = view.next()
      if (batch === undefined) continue
      if (batch.changes.some(({ type }) => type === 'delete' || type === 'reset')) options.onGone()
      yield batch
    }
  } catch (error) {
    if (options.signal.aborted) return
    // The pulse says why it ended everything.
    throw signal.aborted ? signal.reason : error
  } finally {
    options.signal.removeEventListener('abort', abort)
    controller.abort(new SeamarkError('closed', 'The watch is over.'))
  }
}

/** What all keys of these services begin with. */
function prefixOf(keys: Keys, services: readonly ServiceKey[] | undefined): string {
  const [first, ...others] = services ?? []
  if (first === undefined) return keys.services
  if (others.every((other) => serviceId(other) === serviceId(first))) return keys.service(first)
  if (others.every((other) => other.namespace === first.namespace)) return keys.namespace(first.namespace)
  return keys.services
}

/** Others register in the default namespace only. */
function foreignPathOf(services: readonly ServiceKey[] | undefined): string | undefined {
  if (services === undefined) return foreignPath(undefined)
  const names = new Set(services.flatMap((key) => (key.namespace === defaultNamespace ? key.service : [])))
  if (names.size === 0) return undefined
  return foreignPath(names.size === 1 ? [...names][0] : undefined)
}
