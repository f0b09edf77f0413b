import { catalog, memory } from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { describe, expect, it } from 'vitest'
import { condition } from '../test/condition.ts'
import { instancePath, type Serving, servicePath, serving } from '../test/serving.ts'
import { type Stream, type StreamEvent, stream } from '../test/stream.ts'

const big = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`k${n}`, 'x'.repeat(1_000)]))

describe('a watch', () => {
  it('begins with a reset, everything there is, and applied with an id', async () => {
    await using served = await serving()
    const token = await served.register('api', 'a')
    await served.register('www', 'w')
    await served.ask('PUT', `${servicePath('api')}/claims/primary`, { token })
    using watching = await watch(served)
    const batch = (await watching.batch())!
    expect(kinds(batch)).toEqual(['reset', 'put a', 'claim primary', 'put w', 'applied'])
    expect(batch.at(-1)).toMatchObject({ id: `${served.server.epoch}:3`, data: { revision: 3 } })
    expect(batch.filter(({ id }) => id !== undefined)).toHaveLength(1)
    expect(batch[1]!.data).toEqual((await served.ask('GET', instancePath('api', 'a'))).json.instance)
  })

  it('tells every kind of change', async () => {
    await using served = await serving()
    using watching = await watch(served)
    await watching.batch()
    const token = await served.register('api', 'a')
    expect(kinds(await watching.batch())).toEqual(['put a', 'applied'])
    await served.ask('PUT', `${servicePath('api')}/claims/primary`, { token })
    expect(kinds(await watching.batch())).toEqual(['claim primary', 'applied'])
    await served.ask('POST', `${servicePath('api')}/claims/primary/release`, { token })
    expect(kinds(await watching.batch())).toEqual(['release primary', 'applied'])
    await served.ask('PUT', `${instancePath('api', 'a')}/maintenance`, { enable: true })
    expect((await watching.batch())![0]!.data.health.status).toBe('maintenance')
    await served.ask('DELETE', instancePath('api', 'a'))
    expect((await watching.batch())![0]).toMatchObject({
      event: 'delete',
      data: { namespace: 'default', service: 'api', id: 'a' },
    })
  })

  it('of named services tells of those only', async () => {
    await using served = await serving()
    await served.register('api', 'a')
    await served.register('www', 'w')
    using watching = await watch(served, '?service=api&service=test.shop/web')
    expect(kinds(await watching.batch())).toEqual(['reset', 'put a', 'applied'])
    await served.register('www', 'w2')
    await served.ask('PUT', '/namespaces/test.shop/services/web/instances/t', { port: 1 })
    expect(kinds(await watching.batch())).toEqual(['put t', 'applied'])
    await served.ask('PUT', '/namespaces/test.shop/services/api/instances/t2', { port: 1 })
    await served.register('api', 'a2')
    expect(kinds(await watching.batch())).toEqual(['put a2', 'applied'])
  })

  it('of several services tells what changed at once in one batch', async () => {
    await using served = await serving()
    using watching = await watch(served, '?service=a&service=b')
    await watching.batch()
    await Promise.all(
      ['a', 'b', 'c'].map((service) =>
        served.engine.register({
          namespace: 'default',
          service,
          id: service,
          address: '127.0.0.1',
          port: 1,
          scheme: 'http',
          weight: 1,
          tags: [],
          metadata: {},
          checks: [],
        }),
      ),
    )
    expect(kinds(await watching.batch())).toEqual(['put a', 'put b', 'applied'])
  })

  it('takes names that hold slashes and percents, each part encoded', async () => {
    await using served = await serving()
    const path = `/namespaces/${encodeURIComponent('a/b')}/services/${encodeURIComponent('50%')}`
    await served.ask('PUT', `${path}/instances/i?names=any`, { port: 1 })
    const name = encodeURIComponent(`${encodeURIComponent('a/b')}/${encodeURIComponent('50%')}`)
    using watching = await watch(served, `?service=${name}`)
    expect(kinds(await watching.batch())).toEqual(['reset', 'put i', 'applied'])
  })

  it('gets a comment every 15 seconds, so that both ends know of each other', async () => {
    const clock = fakeClock()
    await using served = await serving({ clock })
    using watching = await watch(served)
    await watching.batch()
    for (const count of [1, 2]) {
      await clock.advance(15_000)
      await condition(() => watching.comments.length === count)
    }
    expect(watching.comments[0]).toBe(': keep-alive')
  })

  it('ends when the server drains', async () => {
    await using served = await serving()
    using watching = await watch(served)
    await watching.batch()
    const closed = served.server.close()
    expect(await watching.batch()).toBeUndefined()
    await closed
  })

  it('is refused to more than the server has room for', async () => {
    await using served = await serving({ bounds: { watchers: 1 } })
    {
      using watching = await watch(served)
      await watching.batch()
      expect(await served.ask('GET', '/watch')).toMatchObject({
        status: 429,
        json: { error: { code: 'too_many' } },
      })
    }
    await streams(served, 0)
    using watching = await watch(served)
    expect(watching.status).toBe(200)
  })

  it('is told to all who watch, hundreds of them', async () => {
    await using served = await serving()
    const queries = ['', '?service=api', '?service=api&service=www']
    const watching = await Promise.all(Array.from({ length: 300 }, (_, n) => watch(served, queries[n % 3])))
    for (const one of watching) expect(kinds(await one.batch())).toEqual(['reset', 'applied'])
    await served.register('api', 'a')
    for (const one of watching) expect(kinds(await one.batch())).toEqual(['put a', 'applied'])
    for (const one of watching) one[Symbol.dispose]()
    await streams(served, 0)
  })
})

describe('a watch that comes back', () => {
  it('gets what it missed, and no reset', async () => {
    await using served = await serving()
    await served.register('api', 'a')
    await served.register('api', 'b')
    const id = await lastId(served)
    await served.register('api', 'c')
    await served.register('api', 'c', { port: 4000 })
    await served.ask('DELETE', instancePath('api', 'a'))
    using watching = await watch(served, '', id)
    const batch = (await watching.batch())!
    expect(kinds(batch)).toEqual(['put c', 'delete a', 'applied'])
    expect(batch.at(-1)!.id).toBe(`${served.server.epoch}:5`)
    await served.register('api', 'd')
    expect(kinds(await watching.batch())).toEqual(['put d', 'applied'])
  })

  it('gets applied at once when it missed nothing', async () => {
    await using served = await serving()
    await served.register('api', 'a')
    const id = await lastId(served)
    using watching = await watch(served, '', id)
    expect(kinds(await watching.batch())).toEqual(['applied'])
  })

  it('gets what it missed of its own services only', async () => {
    await using served = await serving()
    const id = await lastId(served)
    await served.register('api', 'a')
    await served.register('www', 'w')
    using watching = await watch(served, '?service=www', id)
    expect(kinds(await watching.batch())).toEqual(['put w', 'applied'])
  })

  it.each(['0123456789abcdef:1', 'other:999999'])('from another epoch (%s) gets a reset', async (id) => {
    await using served = await serving()
    await served.register('api', 'a')
    using watching = await watch(served, '', id)
    expect(kinds(await watching.batch())).toEqual(['reset', 'put a', 'applied'])
  })

  it('from a future that never was gets a reset', async () => {
    await using served = await serving()
    await served.register('api', 'a')
    using watching = await watch(served, '', `${served.server.epoch}:999`)
    expect(kinds(await watching.batch())).toEqual(['reset', 'put a', 'applied'])
  })

  it('after more than the server remembers gets a reset', async () => {
    await using served = await serving({ bounds: { historyChanges: 3 } })
    const id = await lastId(served)
    for (const name of ['a', 'b', 'c']) await served.register('api', name)
    using recent = await watch(served, '', id)
    expect(kinds(await recent.batch())).toEqual(['put a', 'put b', 'put c', 'applied'])
    await served.register('api', 'd')
    using late = await watch(served, '', id)
    expect(kinds(await late.batch())).toEqual(['reset', 'put a', 'put b', 'put c', 'put d', 'applied'])
  })
})

describe('a watch that does not read', () => {
  it('costs no queue, and then gets the latest state', async () => {
    await using served = await serving()
    using watching = await watch(served)
    await watching.batch()
    watching.pause()
    let port = 1
    while (!(await isSlow(served)))
      for (let n = 0; n < 50; n++) await served.register('api', 'a', { port: ++port, metadata: big })
    const [before] = [port]
    for (let n = 0; n < 200; n++) await served.register('api', 'a', { port: ++port, metadata: big })
    await served.register('api', 'b')
    await served.ask('DELETE', instancePath('api', 'b'))
    watching.resume()
    const seen = await until(watching, served.server.catalog.revision)
    const ports = seen.filter(({ event }) => event === 'put').map(({ data }) => data.port)
    expect(ports.at(-1)).toBe(port)
    expect(ports.filter((seen) => seen > before).length).toBeLessThan(20)
    expect(kinds(seen)).toContain('delete b')
    expect(kinds(seen)).not.toContain('reset')
    await served.register('api', 'c')
    expect(kinds(await watching.batch())).toEqual(['put c', 'applied'])
    expect((await served.ask('GET', '/metrics')).text).toContain('seamark_watch_streams_slow 0\n')
  })

  it('gets a reset when too many things changed meanwhile', async () => {
    await using served = await serving({ bounds: { watcherKeys: 10 } })
    using watching = await watch(served)
    await watching.batch()
    watching.pause()
    let port = 1
    while (!(await isSlow(served)))
      for (let n = 0; n < 50; n++) await served.register('api', 'a', { port: ++port, metadata: big })
    for (let n = 0; n < 30; n++) await served.register('api', `b${n}`)
    watching.resume()
    const seen = await until(watching, served.server.catalog.revision)
    const fromReset = seen.slice(seen.findLastIndex(({ event }) => event === 'reset'))
    expect(fromReset.filter(({ event }) => event === 'put')).toHaveLength(31)
  })

  it('does not hold the server up when it closes', async () => {
    await using served = await serving({ bounds: { drainTimeout: 3_600_000 } })
    using watching = await watch(served)
    await watching.batch()
    watching.pause()
    let port = 1
    while (!(await isSlow(served)))
      for (let n = 0; n < 50; n++) await served.register('api', 'a', { port: ++port, metadata: big })
    await served.server.close()
  })
})

it('shows each watcher the catalog, whatever happens and however it comes and goes', async () => {
  await using served = await serving({ bounds: { historyChanges: 20 } })
  await using truth = catalog(served.engine)
  const known = new Map<string, number>()
  let id: string | undefined
  let seed = 7
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((seed / 2 ** 31) * below)
  }
  for (let round = 0; round < 40; round++) {
    using watching = await watch(served, '', id)
    for (let change = random(12); change > 0; change--) {
      const name = `i${random(10)}`
      if (random(3) > 0) await served.register('api', name, { port: 1 + random(60_000) })
      else await served.ask('DELETE', instancePath('api', name))
    }
    const target = served.server.catalog.revision
    for (let reached = -1; reached < target; ) {
      const batch = (await watching.batch())!
      for (const { event, data } of batch) {
        if (event === 'reset') known.clear()
        if (event === 'put') known.set(data.id, data.port)
        if (event === 'delete') known.delete(data.id)
      }
      id = batch.at(-1)!.id
      reached = batch.at(-1)!.data.revision
    }
    await truth.reached(target)
    const entries = truth.snapshot({ namespace: 'default', service: 'api' }).entries
    expect([...known].sort()).toEqual(entries.map(({ instance }) => [instance.id, instance.port]).sort())
  }
})

it.each([
  ['fewer', 1],
  ['as many', 3],
])(
  'has another epoch after the engine started anew, with %s changes, so that nobody resumes from what is no more',
  async (_, registrations) => {
    const engine = memory()
    const lives = [memory(), memory()]
    let life = 0
    let restart = new AbortController()
    await using served = await serving({
      engine: {
        ...forwarded(() => lives[life]!),
        async *watchAll(signal) {
          yield* lives[life]!.watchAll(AbortSignal.any([signal, restart.signal]))
        },
        [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
      },
    })
    for (const name of ['a', 'b', 'c']) await served.register('api', name)
    const id = await lastId(served)
    life = 1
    for (let n = 0; n < registrations; n++)
      await lives[1]!.register({
        ...served.server.catalog.entry({ namespace: 'default', service: 'api', id: 'a' })!.instance,
        id: 'z',
      })
    const former = restart
    restart = new AbortController()
    former.abort()
    await condition(() => served.server.catalog.size === 1)
    using watching = await watch(served, '', id)
    expect(kinds(await watching.batch())).toEqual(['reset', 'put z', 'applied'])
    for (const one of lives) await one[Symbol.asyncDispose]()
  },
)

it('tells by a reset, not by deletions, that a service is empty because the engine lost what it had', async () => {
  const engine = memory()
  const lives = [memory(), memory()]
  let life = 0
  const restart = new AbortController()
  await using served = await serving({
    engine: {
      ...forwarded(() => lives[life]!),
      async *watchAll(signal) {
        yield* lives[life]!.watchAll(life === 0 ? AbortSignal.any([signal, restart.signal]) : signal)
      },
      [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
    },
  })
  await served.register('api', 'a')
  await served.register('www', 'w')
  const id = await lastId(served)
  await lives[1]!.register({
    ...served.server.catalog.entry({ namespace: 'default', service: 'www', id: 'w' })!.instance,
    id: 'w2',
  })
  using watching = await watch(served)
  using watchingApi = await watch(served, '?service=api')
  using watchingOther = await watch(served, '?service=other')
  for (const each of [watching, watchingApi, watchingOther]) await each.batch()
  life = 1
  restart.abort()
  expect(kinds(await watching.batch())).toEqual(['reset', 'put w2', 'applied'])
  expect(kinds(await watchingApi.batch())).toEqual(['reset', 'applied'])
  using returned = await watch(served, '', id)
  expect(kinds(await returned.batch())).toEqual(['reset', 'put w2', 'applied'])
  await served.register('other', 'o')
  expect(kinds(await watchingOther.batch())).toEqual(['put o', 'applied'])
  for (const one of lives) await one[Symbol.asyncDispose]()
})

function forwarded(engine: () => ReturnType<typeof memory>) {
  return {
    freshness: 'push' as const,
    get terms() {
      return engine().terms
    },
    watch: (...args: Parameters<ReturnType<typeof memory>['watch']>) => engine().watch(...args),
    register: (...args: Parameters<ReturnType<typeof memory>['register']>) => engine().register(...args),
    resume: (token: string) => engine().resume(token),
    renew: (tokens: readonly string[]) => engine().renew(tokens),
    release: (token: string) => engine().release(token),
    deregister: (...args: Parameters<ReturnType<typeof memory>['deregister']>) =>
      engine().deregister(...args),
    report: (...args: Parameters<ReturnType<typeof memory>['report']>) => engine().report(...args),
    claim: (...args: Parameters<ReturnType<typeof memory>['claim']>) => engine().claim(...args),
    write: (...args: Parameters<ReturnType<typeof memory>['write']>) => engine().write(...args),
    watchItems: (...args: Parameters<ReturnType<typeof memory>['watchItems']>) =>
      engine().watchItems(...args),
  }
}

function watch(served: Serving, query = '', lastEventId?: string): Promise<Stream> {
  return stream(
    `${served.server.url}/api/v1/watch${query}`,
    lastEventId ? { 'last-event-id': lastEventId } : {},
  )
}

async function lastId(served: Serving): Promise<string> {
  using watching = await watch(served)
  return (await watching.batch())!.at(-1)!.id!
}

async function until(watching: Stream, revision: number): Promise<readonly StreamEvent[]> {
  const seen: StreamEvent[] = []
  for (;;) {
    const batch = await watching.batch()
    if (batch === undefined) throw new Error('the stream ended')
    seen.push(...batch)
    if (batch.at(-1)!.data.revision >= revision) return seen
  }
}

function kinds(batch: readonly StreamEvent[] | undefined): string[] {
  return (batch ?? []).map(({ event, data }) => [event, data.name ?? data.id].filter(Boolean).join(' '))
}

async function isSlow(served: Serving): Promise<boolean> {
  return (await served.ask('GET', '/metrics')).text.includes('seamark_watch_streams_slow 1\n')
}

function streams(served: Serving, count: number): Promise<void> {
  return condition(async () =>
    (await served.ask('GET', '/metrics')).text.includes(`seamark_watch_streams ${count}\n`),
  )
}
