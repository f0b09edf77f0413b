import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Catalog, type CatalogUpdate, catalog, watchingCatalog } from './catalog.ts'
import { type FakeClock, fakeClock } from './fake-clock.ts'
import { type HealthStatus, health } from './health.ts'
import { instance } from './instance.ts'
import { Mailbox } from './mailbox.ts'
import type { ServiceKey } from './names.ts'
import type { Batch, Change, Directory, Entry, Holder, Notice, Revision } from './ports.ts'

const api = { namespace: 'default', service: 'api' }
const web = { namespace: 'default', service: 'web' }

function entry(
  id: string,
  revision: Revision,
  more: { service?: string; status?: HealthStatus } = {},
): Entry {
  const { service = 'api', status = 'passing' } = more
  return Object.freeze({
    instance: instance({ namespace: 'default', service, id, address: '10.0.0.1', port: 80 }),
    health: health([{ id: 'c', status, output: '' }]),
    createdRevision: 1,
    modifiedRevision: revision,
  })
}

function reset(revision: Revision, entries: readonly Entry[], holders: readonly Holder[] = []): Batch {
  return { revision, changes: [{ type: 'reset', entries, holders }] }
}

/** A source that a test plays: each watch is a script of batches, fed by hand. */
function played() {
  const watches: { services: readonly ServiceKey[]; mailbox: Mailbox<Batch | Error>; signal: AbortSignal }[] =
    []
  async function* watch(services: readonly ServiceKey[], signal: AbortSignal): AsyncGenerator<Batch> {
    const mailbox = new Mailbox<Batch | Error>(1_000, () => 1)
    watches.push({ services, mailbox, signal })
    signal.addEventListener('abort', () => mailbox.close(), { once: true })
    for (let next = await mailbox.take(); typeof next === 'object'; next = await mailbox.take()) {
      if (next instanceof Error) throw next
      yield next
    }
  }
  const source: Directory = {
    freshness: 'push',
    watch,
    watchAll: (signal) => watch([], signal),
    async [Symbol.asyncDispose]() {},
  }
  return { source, watches, play: (batch: Batch | Error) => watches.at(-1)!.mailbox.put(batch) }
}

function ids(view: Catalog, service = api): string[] {
  return view.snapshot(service).entries.map(({ instance }) => instance.id)
}

async function opened(
  options: { clock?: FakeClock; notify?: (notice: Notice) => void; protectEmpty?: boolean } = {},
) {
  const clock = options.clock ?? fakeClock()
  const { source, watches, play } = played()
  const view = catalog(source, { clock, ...options })
  await clock.advance(0)
  return { clock, view, watches, play, settle: () => clock.advance(0) }
}

describe('a catalog', () => {
  it('is stale until its source has told it everything', async () => {
    const { view, play } = await opened()
    expect(view.staleSince).toBeTypeOf('number')
    const warm = view.warm()
    play(reset(5, [entry('b', 4), entry('a', 5)]))
    await warm
    expect(view.staleSince).toBeUndefined()
    expect(view.revision).toBe(5)
    expect(view.size).toBe(2)
    expect(ids(view)).toEqual(['a', 'b'])
  })

  it('answers the same snapshot until something in that service changes', async () => {
    const { view, play, settle } = await opened()
    play(reset(2, [entry('a', 1), entry('w', 2, { service: 'web' })]))
    await settle()
    const [before, other] = [view.snapshot(api), view.snapshot(web)]
    play({ revision: 3, changes: [{ type: 'put', entry: entry('b', 3) }] })
    await settle()
    expect(view.snapshot(web)).toBe(other)
    expect(view.snapshot(api)).not.toBe(before)
    expect(view.snapshot(api)).toMatchObject({ revision: 3 })
    expect(before.entries).toHaveLength(1)
    const again = view.snapshot(api)
    play({ revision: 4, changes: [{ type: 'put', entry: entry('b', 3) }] })
    await settle()
    expect(view.snapshot(api)).toBe(again)
    expect(Object.isFrozen(again) && Object.isFrozen(again.entries)).toBe(true)
  })

  it('keeps all it knows while its source is away, says since when, and tells only the difference afterwards', async () => {
    const notices: string[] = []
    const { view, play, watches, settle, clock } = await opened({
      notify: ({ event }) => notices.push(event),
    })
    play(reset(3, [entry('a', 1), entry('b', 2), entry('c', 3)]))
    await settle()
    const updates: CatalogUpdate[] = []
    view.subscribe((update) => updates.push(update))
    play(new Error('connection reset'))
    await settle()
    expect(view.staleSince).toBe(clock.date())
    expect(ids(view)).toEqual(['a', 'b', 'c'])
    await clock.advance(10_000)
    expect(watches).toHaveLength(2)
    play(reset(9, [entry('a', 1), entry('b', 8, { status: 'critical' }), entry('d', 9)]))
    await settle()
    expect(view.staleSince).toBeUndefined()
    expect(updates).toHaveLength(1)
    expect(
      updates[0]!.changes.map((change) => [change.type, 'entry' in change && change.entry.instance.id]),
    ).toEqual([
      ['delete', false],
      ['put', 'b'],
      ['put', 'd'],
    ])
    expect(updates[0]!.services).toEqual([api])
    expect(notices).toEqual(['source_lost', 'source_regained'])
  })

  it('waits longer between tries that fail, tries for ever, and says so once', async () => {
    const notices: string[] = []
    const { play, watches, clock } = await opened({ notify: ({ event }) => notices.push(event) })
    for (let round = 0; round < 8; round++) {
      play(new Error('no'))
      await clock.advance(10_000)
    }
    expect(watches).toHaveLength(9)
    expect(notices).toEqual(['source_lost'])
  })

  it('says when a revision is reached, and gives up with its signal', async () => {
    const { view, play, settle } = await opened()
    play(reset(1, []))
    await settle()
    let reached = false
    const wait = view.reached(3).then(() => {
      reached = true
    })
    play({ revision: 2, changes: [{ type: 'put', entry: entry('a', 2) }] })
    await settle()
    expect(reached).toBe(false)
    play({ revision: 4, changes: [{ type: 'put', entry: entry('a', 4) }] })
    await wait
    await expect(view.reached(99, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
    const late = new AbortController()
    const never = view.reached(99, late.signal)
    late.abort(new Error('enough'))
    await expect(never).rejects.toThrow('enough')
  })

  it('knows services, namespaces, and which service holds an id', async () => {
    const { view, play, settle } = await opened()
    play(reset(2, [entry('w', 2, { service: 'web' }), entry('a', 1)]))
    await settle()
    const services = view.services()
    expect(services).toEqual([api, web])
    expect(view.services('default')).toEqual([api, web])
    expect(view.services('other')).toEqual([])
    expect(view.namespaces()).toEqual(['default'])
    expect(view.locate('default', 'w')).toEqual({ ...web, id: 'w' })
    play({ revision: 3, changes: [{ type: 'put', entry: entry('b', 3) }] })
    await settle()
    expect(view.services()).toBe(services)
    play({ revision: 4, changes: [{ type: 'delete', key: { ...web, id: 'w' } }] })
    await settle()
    expect(view.services()).toEqual([api])
    expect(view.locate('default', 'w')).toBeUndefined()
  })

  it('follows who holds a claim', async () => {
    const { view, play, settle } = await opened()
    const holder = { ...api, id: 'a', name: 'primary', fence: 2 }
    play(reset(2, [entry('a', 1)], [holder]))
    await settle()
    expect(view.snapshot(api).holders).toEqual([holder])
    play({ revision: 3, changes: [{ type: 'release', claim: { ...api, name: 'primary' } }] })
    await settle()
    expect(view.snapshot(api).holders).toEqual([])
    play({ revision: 4, changes: [{ type: 'claim', holder: { ...holder, fence: 4 } }] })
    await settle()
    play(reset(5, [entry('a', 1)]))
    await settle()
    expect(view.snapshot(api).holders).toEqual([])
  })

  it('is not disturbed by a listener that throws', async () => {
    const notices: string[] = []
    const { view, play, settle } = await opened({ notify: ({ event }) => notices.push(event) })
    const heard: number[] = []
    view.subscribe(() => {
      throw new Error('bug')
    })
    const second = view.subscribe(({ revision }) => heard.push(revision))
    play(reset(1, [entry('a', 1)]))
    await settle()
    second[Symbol.dispose]()
    play({ revision: 2, changes: [{ type: 'put', entry: entry('b', 2) }] })
    await settle()
    expect(heard).toEqual([1])
    expect(notices).toContain('listener_failed')
  })

  it('ends its watch and its waits when closed', async () => {
    const { view, watches } = await opened()
    const waits = Promise.allSettled([view.warm(), view.ready(api), view.reached(1)])
    await view[Symbol.asyncDispose]()
    expect(watches[0]!.signal.aborted).toBe(true)
    for (const outcome of await waits) expect(outcome).toMatchObject({ reason: { code: 'closed' } })
    await expect(view.warm()).rejects.toMatchObject({ code: 'closed' })
  })

  it('comes to the same state by changes as by one reset, in the order of ids', async () => {
    const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'é', 'z')
    const operation = fc.record({
      does: fc.constantFrom('put', 'delete'),
      id,
      service: fc.constantFrom('api', 'web'),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(operation, { maxLength: 30 }), { maxLength: 12 }),
        async (batches) => {
          const { view, play, settle } = await opened()
          play(reset(1, []))
          const model = new Map<string, Entry>()
          let revision = 1
          for (const operations of batches) {
            const changes = operations.map(({ does, id, service }): Change => {
              revision++
              const key = `${service} ${id}`
              if (does === 'delete') {
                model.delete(key)
                return { type: 'delete', key: { namespace: 'default', service, id } }
              }
              const put = entry(id, revision, { service })
              model.set(key, put)
              return { type: 'put', entry: put }
            })
            play({ revision, changes })
            await settle()
            for (const service of [api, web])
              expect(view.snapshot(service).entries).toEqual(
                [...model.values()]
                  .filter(({ instance }) => instance.service === service.service)
                  .sort((a, b) => (a.instance.id < b.instance.id ? -1 : 1)),
              )
            expect(view.size).toBe(model.size)
          }
          await view[Symbol.asyncDispose]()
        },
      ),
      { numRuns: 40 },
    )
  })
})

describe('a catalog of everything', () => {
  it('believes that a service is empty after a restart, unless it is told to protect what it knows', async () => {
    for (const protectEmpty of [false, true]) {
      const { view, play, settle, clock } = await opened({ protectEmpty })
      play(reset(7, [entry('a', 1), entry('w', 2, { service: 'web' })]))
      await settle()
      play(new Error('gone'))
      await clock.advance(10_000)
      play(reset(0, [entry('w', 2, { service: 'web' })]))
      await settle()
      expect(ids(view)).toEqual(protectEmpty ? ['a'] : [])
    }
  })
})

describe('a catalog on demand', () => {
  async function watching(options: Parameters<typeof watchingCatalog>[1] = {}) {
    const clock = fakeClock()
    const { source, watches, play } = played()
    const view = watchingCatalog(source, { clock, ...options })
    return { clock, view, watches, play, settle: () => clock.advance(0) }
  }

  it('keeps its former watch until the wider one has answered', async () => {
    const { view, watches, settle } = await watching()
    const first = view.ready(api)
    await settle()
    watches[0]!.mailbox.put(reset(1, [entry('a', 1)]))
    await first
    const second = view.ready(web)
    await settle()
    expect(watches.map(({ services }) => services)).toEqual([[api], [api, web]])
    watches[0]!.mailbox.put({ revision: 2, changes: [{ type: 'put', entry: entry('b', 2) }] })
    await settle()
    expect(ids(view)).toEqual(['a', 'b'])
    expect(watches[0]!.signal.aborted).toBe(false)
    watches[1]!.mailbox.put(reset(3, [entry('b', 2), entry('w', 3, { service: 'web' })]))
    expect((await second).entries).toHaveLength(1)
    expect(watches[0]!.signal.aborted).toBe(true)
    expect(ids(view)).toEqual(['b'])
  })

  it('does not believe that a service it knows is empty after a restart, until it is told news of it', async () => {
    const notices: string[] = []
    const { view, play, settle, clock } = await watching({ notify: ({ event }) => notices.push(event) })
    const ready = view.ready(api)
    await settle()
    play(reset(7, [entry('a', 1), entry('b', 2)]))
    await ready
    play(new Error('gone'))
    await clock.advance(10_000)
    play(reset(0, []))
    await settle()
    expect(ids(view)).toEqual(['a', 'b'])
    expect(view.keptSince(api)).toBe(clock.date())
    expect(notices).toContain('empty_answer_kept_out')
    play({ revision: 1, changes: [{ type: 'put', entry: entry('c', 1) }] })
    await settle()
    expect(ids(view)).toEqual(['c'])
    expect(view.keptSince(api)).toBeUndefined()
    play({ revision: 2, changes: [{ type: 'delete', key: { ...api, id: 'c' } }] })
    await settle()
    expect(ids(view)).toEqual([])
  })

  it('believes an empty answer where it is told to', async () => {
    const { view, play, settle, clock } = await watching({ protectEmpty: false })
    const ready = view.ready(api)
    await settle()
    play(reset(7, [entry('a', 1)]))
    await ready
    play(new Error('gone'))
    await clock.advance(10_000)
    play(reset(8, []))
    await settle()
    expect(ids(view)).toEqual([])
  })

  it('serves what a former run knew, stale, until the source answers', async () => {
    const { view, play, settle } = await watching({ initial: { entries: [entry('old', 1)], date: 1_234 } })
    expect(ids(view)).toEqual(['old'])
    expect(view.staleSince).toBe(1_234)
    const ready = view.ready(api)
    await settle()
    play(reset(1, [entry('new', 1)]))
    expect((await ready).entries.map(({ instance }) => instance.id)).toEqual(['new'])
    expect(view.staleSince).toBeUndefined()
  })
})
