import { getEventListeners } from 'node:events'
import type { Batch, Source } from '@seamark/core'
import { expect } from 'vitest'
import type { Cases } from '../suite.ts'
import { batchesOf, inRounds, noMoreThan, openHandles, type SourceTrial, type State } from '../trial.ts'

const ids = (count: number, prefix = 'i') => Array.from({ length: count }, (_, index) => `${prefix}${index}`)
const idsOf = ({ entries }: Pick<State, 'entries'>) => entries.map(({ instance }) => instance.id).sort()

/** The contract of `Source`. */
export const reading: Cases<SourceTrial> = {
  'says how fresh it is': async (trial) => {
    const { freshness } = await trial.open()
    expect(freshness === 'push' || (Number.isFinite(freshness) && freshness > 0)).toBe(true)
  },

  'the first change is a reset, also for a service that does not exist yet': async (trial) => {
    const source = await trial.open()
    const following = trial.follow(source)
    await following.until('the reset', () => true)
    expect(following.batches[0]!.changes[0]).toMatchObject({ type: 'reset', entries: [], holders: [] })
    await trial.publish('i1')
    await following.until('the instance', ({ entries }) => entries.size === 1)
  },

  'the reset holds every instance of the service': async (trial) => {
    const source = await trial.open()
    await trial.publish(...ids(50))
    expect(idsOf(await trial.read(source))).toEqual(ids(50).sort())
  },

  'changes after the reset arrive in order, with growing revisions': async (trial) => {
    const source = await trial.open()
    const following = trial.follow(source)
    await following.until('the reset', () => true)
    for (let port = 1; port <= 20; port++) await trial.truth.publish(trial.instance('i1', { port }))
    await following.until('the last', () => following.entry(trial.key('i1'))?.instance.port === 20)
    const ports = following.batches
      .flatMap(({ changes }) => changes)
      .flatMap((change) => (change.type === 'put' ? change.entry.instance.port : []))
    expect(ports).toEqual(ports.toSorted((a, b) => a - b))
    expect(ports.at(-1)).toBe(20)
  },

  'an instance that goes is deleted, and one that comes back is put': async (trial) => {
    const source = await trial.open()
    await trial.publish('i1', 'i2')
    const following = trial.follow(source)
    await following.until('both', ({ entries }) => entries.size === 2)
    await trial.truth.withdraw(trial.key('i1'))
    await following.until('the deletion', ({ entries }) => entries.size === 1)
    expect(following.entry(trial.key('i2'))).toBeDefined()
    await trial.publish('i1')
    await following.until('the return', ({ entries }) => entries.size === 2)
  },

  'a service whose last instance goes is empty, and still watched': async (trial) => {
    const source = await trial.open()
    await trial.publish('i1')
    const following = trial.follow(source)
    await following.until('the instance', ({ entries }) => entries.size === 1)
    await trial.truth.withdraw(trial.key('i1'))
    await following.until('the deletion', ({ entries }) => entries.size === 0)
    await trial.publish('i2')
    await following.until('the next', ({ entries }) => entries.size === 1)
  },

  'a watch of several services shows each of them, and nothing else': async (trial) => {
    const source = await trial.open()
    const web = { ...trial.service, service: 'web' }
    const other = { ...trial.service, service: 'ap' }
    await trial.publish('i1')
    const following = trial.follow(source, [trial.service, web])
    await following.until('the first', ({ entries }) => entries.size === 1)
    // The follower refuses what it did not ask for: a service whose name begins alike, and a namespace's.
    await trial.truth.publish(trial.instance('o1', { ...other }))
    await trial.truth.publish(trial.instance('o2', { service: 'api2' }))
    await trial.truth.publish(trial.instance('o3', { namespace: `${trial.service.namespace}2` }))
    await trial.truth.publish(trial.instance('w1', { ...web }))
    await following.until('the second', ({ entries }) => entries.size === 2)
    expect(idsOf(await trial.read(source, [web, trial.service]))).toEqual(['i1', 'w1'])
  },

  'a watch of many services shows them all': async (trial) => {
    const source = await trial.open()
    const services = ids(500, 'service-with-a-long-name-').map((service) => ({ ...trial.service, service }))
    const some = [services[0]!, services[250]!, services[499]!]
    for (const [index, each] of some.entries())
      await trial.truth.publish(trial.instance(`i${index}`, { ...each }))
    const following = trial.follow(source, services)
    await following.until('the three', ({ entries }) => entries.size === 3)
    await trial.truth.publish(trial.instance('next', { ...services[123]! }))
    await following.until('the fourth', ({ entries }) => entries.size === 4)
  },

  'a watch of no services shows none': async (trial) => {
    const source = await trial.open()
    await trial.publish('i1')
    expect((await trial.read(source, [])).entries).toEqual([])
  },

  'a service that is named twice is shown once': async (trial) => {
    const source = await trial.open()
    await trial.publish('i1')
    const following = trial.follow(source, [trial.service, { ...trial.service }])
    await following.until('the instance', ({ entries }) => entries.size === 1)
    await trial.publish('i2')
    await following.until('the second', ({ entries }) => entries.size === 2)
  },

  'watches of one handle do not disturb each other': async (trial) => {
    const source = await trial.open()
    const stays = trial.follow(source)
    const ends = trial.follow(source)
    await stays.until('the reset', () => true)
    await ends.until('the reset', () => true)
    await ends[Symbol.asyncDispose]()
    await trial.publish('i1')
    await stays.until('the instance', ({ entries }) => entries.size === 1)
    expect(ends.entries.size).toBe(0)
  },

  'two handles show the same': async (trial) => {
    const [one, other] = [await trial.open(), await trial.open()]
    await trial.publish(...ids(10))
    const [seen, seenThere] = [trial.follow(one), trial.follow(other)]
    for (const following of [seen, seenThere])
      await following.until('all of them', ({ entries }) => entries.size === 10)
    expect(seenThere.entries).toEqual(seen.entries)
  },

  'a reset is whole, also while instances come and go': async (trial) => {
    const source = await trial.open()
    const stable = ids(200, 'stable')
    await trial.publish(...stable)
    let done = false
    const churn = (async () => {
      for (let round = 0; !done; round++) {
        await trial.publish(`churn${round % 7}`)
        await trial.truth.withdraw(trial.key(`churn${(round + 3) % 7}`))
      }
    })()
    try {
      for (let round = 0; round < 10; round++) {
        const states = await Promise.all(Array.from({ length: 5 }, () => trial.read(source)))
        for (const state of states)
          expect(idsOf(state).filter((id) => id.startsWith('stable'))).toHaveLength(stable.length)
      }
    } finally {
      done = true
      await churn
    }
  },

  'aborting ends a watch without an error': async (trial) => {
    const source = await trial.open()
    const before = new AbortController()
    const reading = everything(source, trial, before.signal, (batches) => {
      if (batches.length === 1) setImmediate(() => before.abort())
    })
    expect(await reading).toHaveLength(1)
  },

  'aborting before the first change ends a watch without an error': async (trial) => {
    const source = await trial.open()
    expect(await everything(source, trial, AbortSignal.abort())).toEqual([])
    const controller = new AbortController()
    const reading = everything(source, trial, controller.signal)
    controller.abort()
    expect((await reading).length).toBeLessThanOrEqual(1)
  },

  'a reader that breaks off leaves nothing on its signal': async (trial) => {
    const source = await trial.open()
    const { signal } = new AbortController()
    for (let round = 0; round < 3; round++)
      for await (const batch of source.watch([trial.service], signal)) {
        expect(batch.changes[0]!.type).toBe('reset')
        break
      }
    await trial.eventually('no listener on the signal', () => getEventListeners(signal, 'abort').length === 0)
  },

  'watches that ended leave no open handle': async (trial) => {
    const source = await trial.open()
    await trial.publish('i1')
    // The first ones bring what the handle keeps for all of its life.
    for (let round = 0; round < 3; round++) await trial.read(source)
    const before = openHandles()
    for (let round = 0; round < 20; round++) await trial.read(source)
    await trial.eventually('no more handles than before', () => noMoreThan(openHandles(), before))
  },

  'disposing of a handle ends its watches': async (trial) => {
    const source = await trial.open()
    const following = trial.follow(source, [trial.service])
    await following.until('the reset', () => true)
    await source[Symbol.asyncDispose]()
    await trial.ended(following)
  },

  'disposing twice does no harm': async (trial) => {
    const source = await trial.open()
    await trial.read(source)
    await Promise.all([source[Symbol.asyncDispose](), source[Symbol.asyncDispose]()])
    await source[Symbol.asyncDispose]()
  },

  'a handle that was disposed of leaves nothing open': async (trial) => {
    const before = openHandles()
    const truth = await trial.another()
    const source = await truth.open()
    await truth.publish(trial.instance('i1'))
    await trial.read(source)
    const left = trial.follow(source)
    await left.until('the reset', () => true)
    await source[Symbol.asyncDispose]()
    await trial.ended(left)
    await truth[Symbol.asyncDispose]()
    await trial.eventually('no more handles than before', () => noMoreThan(openHandles(), before))
  },

  'a reader that is slow ends up with the latest state': async (trial) => {
    const source = await trial.open()
    await trial.publish(...ids(20))
    const controller = new AbortController()
    const batches = batchesOf(source.watch([trial.service], controller.signal))
    const ports = new Map<string, number>()
    fold(ports, await batches.next())
    for (let port = 1; port <= 25; port++)
      await inRounds(ids(20), 20, (id) => trial.truth.publish(trial.instance(id, { port })))
    for (const id of ids(5)) await trial.truth.withdraw(trial.key(id))
    await trial.publish('last')
    while (!ports.has('last')) fold(ports, await batches.next())
    controller.abort()
    expect((await batches.next()).done).toBe(true)
    const expected = ids(20)
      .slice(5)
      .map((id): [string, number] => [id, 25])
    expect(ports).toEqual(new Map([...expected, ['last', 3_000]]))
  },

  'shows 10,000 instances of one service, also to a reader that is slow': async (trial) => {
    const source = await trial.open()
    const following = trial.follow(source)
    const controller = new AbortController()
    const slow = batchesOf(source.watch([trial.service], controller.signal))
    const ports = new Map<string, number>()
    fold(ports, await slow.next())
    await trial.publish(...ids(10_000))
    await following.until('10,000 instances', ({ entries }) => entries.size === 10_000)
    expect(idsOf(await trial.read(source))).toEqual(ids(10_000).sort())
    for (const id of ids(100)) await trial.truth.withdraw(trial.key(id))
    await trial.publish('last')
    while (!ports.has('last')) fold(ports, await slow.next())
    controller.abort()
    expect((await slow.next()).done).toBe(true)
    expect([...ports.keys()].sort()).toEqual([...ids(10_000).slice(100), 'last'].sort())
  },

  'a watch whose connection breaks catches up': async (trial) => {
    const source = await trial.open()
    await trial.publish('i1', 'i2')
    const following = trial.follow(source, [trial.service], { persistent: true })
    await following.until('both', ({ entries }) => entries.size === 2)
    for (let round = 0; round < 5; round++) {
      await trial.disconnect()
      await trial.publish(`next${round}`)
      await trial.truth.withdraw(trial.key(round === 0 ? 'i1' : `next${round - 1}`))
      await following.until(
        'what changed meanwhile',
        () => following.entries.size === 2 && following.entry(trial.key(`next${round}`)) !== undefined,
      )
    }
  },

  'a watch whose connection breaks again and again shows nothing partly': async (trial) => {
    const source = await trial.open()
    await trial.publish(...ids(300))
    const following = trial.follow(source, [trial.service], { persistent: true })
    await following.until('all of them', ({ entries }) => entries.size === 300)
    for (let round = 0; round < 30; round++) {
      await trial.disconnect()
      // Breaks at different moments of the reading.
      for (let turn = 0; turn < round; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
    await trial.publish('last')
    await following.until('the last', () => following.entry(trial.key('last')) !== undefined)
    expect(following.entries.size).toBe(301)
    for (const { changes } of following.batches)
      for (const change of changes)
        if (change.type === 'reset') expect(change.entries.length).toBeGreaterThanOrEqual(300)
        else expect(change.type).toBe('put')
  },

  'a watch shows after a crash what was kept': async (trial) => {
    await trial.publish(...ids(10))
    await trial.crash()
    const source = await trial.open()
    const following = trial.follow(source)
    await following.until('what was kept', ({ entries }) => entries.size === 10)
    await trial.publish('after')
    await following.until('what came after', ({ entries }) => entries.size === 11)
  },
}

/** Applies what was read to the ports of the instances, by id. */
function fold(ports: Map<string, number>, { done, value }: IteratorResult<Batch>): void {
  if (done) throw new Error('The watch ended.')
  for (const change of value.changes)
    if (change.type === 'reset') {
      ports.clear()
      for (const { instance } of change.entries) ports.set(instance.id, instance.port)
    } else if (change.type === 'put') ports.set(change.entry.instance.id, change.entry.instance.port)
    else if (change.type === 'delete') ports.delete(change.key.id)
}

/** All that a watch yields until it ends. */
async function everything(
  source: Source,
  { service }: SourceTrial,
  signal: AbortSignal,
  onBatch?: (batches: readonly Batch[]) => void,
): Promise<readonly Batch[]> {
  const batches: Batch[] = []
  for await (const batch of source.watch([service], signal)) {
    batches.push(batch)
    onBatch?.(batches)
  }
  return batches
}
