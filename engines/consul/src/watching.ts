import {
  type Batch,
  type Change,
  type Clock,
  defaultNamespace,
  type Entry,
  type Holder,
  type Notify,
  type Revision,
  SeamarkError,
  type ServiceKey,
  serviceId,
  sleep,
} from '@seamark/core'
import type { Agent, Answer, Item } from './agent.ts'
import { foreignPath, type NodeDump, type Row } from './foreign.ts'
import { ForeignReader } from './foreign-reader.ts'
import type { Keys } from './keys.ts'
import { type Registered, RegisteredReader, skipping } from './registered-reader.ts'
import { TokenBucket } from './token-bucket.ts'

export interface WatchingOptions {
  readonly agent: Agent
  readonly keys: Keys
  readonly clock: Clock
  readonly notify: Notify
  /** `undefined`: everything. */
  readonly services: readonly ServiceKey[] | undefined
  readonly signal: AbortSignal
  /** Something that was registered here is gone. */
  onGone(): void
}

/** Milliseconds between two readings of a busy registry, and how much more for each instance, since each reads all of them. */
const interval = 100
const intervalOfEach = 0.05
/** Milliseconds between two looks whether the agent is there: a blocking query would not tell for minutes. */
const pulseInterval = 5_000

type Upstream = readonly (Row | NodeDump)[]
type News =
  | { readonly of: 'own'; readonly answer: Answer<readonly Item[]> }
  | { readonly of: 'foreign'; readonly answer: Answer<Upstream | undefined> }

/**
 * Two blocking queries, whatever is watched: one over Seamark's entries, one over what others registered. Each answer
 * is the whole of what it covers, and what is told is the difference. While the reader does not read, nothing is asked.
 *
 * Revisions are those of Seamark's entries, since it is their writers who wait for them. What others changed is told at the
 * index at which they did, once it is sure that no entry of ours below it is missing; where that is too late for it,
 * by a reset at the present revision.
 */
export async function* watching(options: WatchingOptions): AsyncGenerator<Batch> {
  const { agent, keys, clock, services, signal } = options
  const controller = new AbortController()
  const abort = () => controller.abort(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  try {
    const covered = services && new Set(services.map(serviceId))
    const skipped = skipping(options.notify)
    const ownReader = new RegisteredReader(keys, covered, skipped)
    const foreignReader = new ForeignReader(covered, skipped)
    const prefix = prefixOf(keys, services)
    const path = foreignPathOf(services)
    const buckets = { own: new TokenBucket(clock), foreign: new TokenBucket(clock) }
    const reading = { signal: controller.signal }
    let own: Registered = { entries: new Map(), holders: new Map() }
    let foreign: ReadonlyMap<string, Entry> = new Map()

    const nextOwn = (after: number) =>
      handled(async (): Promise<News> => {
        await buckets.own.take(interval + own.entries.size * intervalOfEach, controller.signal)
        return { of: 'own', answer: await agent.list(prefix, { after, ...reading }) }
      })
    const nextForeign = (after: number) =>
      path &&
      handled(async (): Promise<News> => {
        await buckets.foreign.take(interval + foreign.size * intervalOfEach, controller.signal)
        return { of: 'foreign', answer: await agent.catalog<Upstream>(path, { after, ...reading }) }
      })

    // Whoever may not read is answered with nothing by a listing, but refused a single entry.
    await agent.item(keys.revision)
    let foreignIndex = 0
    if (path !== undefined) {
      const { index, value } = await agent.catalog<Upstream>(path, reading)
      foreignIndex = index
      foreign = foreignReader.fold(value ?? [], index)
    }
    const first = await agent.list(prefix, reading)
    let ownIndex = first.index
    own = ownReader.fold(first.value)
    let revision: Revision = Math.max(ownIndex, foreignIndex)
    let shown = merged(own, foreign)
    void beat(agent, clock, controller)
    let ownNews = nextOwn(ownIndex)
    let foreignNews = nextForeign(foreignIndex)
    yield reset(revision, shown)

    while (true) {
      const news = await (foreignNews ? Promise.race([ownNews, foreignNews]) : ownNews)
      let lost = false
      if (news.of === 'own') {
        // Backward: a restored snapshot, or a memory of deletions that Consul gave up.
        lost = news.answer.index < ownIndex
        ownIndex = news.answer.index
        own = ownReader.fold(news.answer.value)
        ownNews = nextOwn(lost ? 0 : ownIndex)
      } else {
        const { index, value } = news.answer
        const before = foreign
        foreign = foreignReader.fold(value ?? [], index)
        const back = index < foreignIndex
        foreignIndex = index
        foreignNews = nextForeign(back ? 0 : index)
        if (sameEntries(before, foreign)) continue
        // Now all entries up to this index are known.
        const { index: at, value: items } = await agent.list(prefix, reading)
        lost = at < ownIndex
        if (at !== ownIndex) {
          ownIndex = at
          own = ownReader.fold(items)
        }
      }
      const next = merged(own, foreign)
      const changes = difference(shown, next)
      if (changes.length === 0 && !lost) continue
      const at = Math.max(ownIndex, foreignIndex)
      if (changes.some(({ type }) => type === 'delete')) options.onGone()
      shown = next
      if (lost || at <= revision) {
        revision = lost ? at : revision
        yield reset(revision, shown)
      } else {
        revision = at
        yield { revision, changes }
      }
    }
  } catch (error) {
    if (signal.aborted) return
    // The pulse says why it ended everything.
    if (controller.signal.aborted) throw controller.signal.reason
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
    controller.abort(new SeamarkError('closed', 'The watch is over.'))
  }
}

/** Starts it; that it may fail before anybody waits for it harms nobody. */
function handled<T>(work: () => Promise<T>): Promise<T> {
  const promise = work()
  promise.catch(() => undefined)
  return promise
}

/** Ends the watch when the agent does not answer. */
async function beat(agent: Agent, clock: Clock, controller: AbortController): Promise<void> {
  const { signal } = controller
  try {
    while (true) {
      await sleep(clock, pulseInterval, signal)
      await agent.pulse(signal)
    }
  } catch (error) {
    controller.abort(error)
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

interface Shown {
  readonly entries: ReadonlyMap<string, Entry>
  readonly holders: ReadonlyMap<string, Holder>
}

/** Where both have a key, it is ours. */
function merged({ entries, holders }: Registered, foreign: ReadonlyMap<string, Entry>): Shown {
  return { entries: foreign.size === 0 ? entries : new Map([...foreign, ...entries]), holders }
}

function reset(revision: Revision, { entries, holders }: Shown): Batch {
  return {
    revision,
    changes: [{ type: 'reset', entries: [...entries.values()], holders: [...holders.values()] }],
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
  for (const [id, holder] of after.holders) {
    const former = before.holders.get(id)
    if (former?.fence !== holder.fence) changes.push({ type: 'claim', holder })
  }
  return changes
}

function sameEntries(before: ReadonlyMap<string, Entry>, after: ReadonlyMap<string, Entry>): boolean {
  return before.size === after.size && [...after].every(([id, entry]) => before.get(id) === entry)
}
