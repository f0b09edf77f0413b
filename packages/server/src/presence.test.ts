import { type Engine, memory, type Notice, SeamarkError } from '@seamark/core'
import { type FakeClock, fakeClock } from '@seamark/core/testing'
import { expect, it } from 'vitest'
import { condition } from '../test/condition.ts'
import { metric, named, Presence, streams } from '../test/presence.ts'
import { type Serving, servicePath, serving } from '../test/serving.ts'
import { defaultBounds } from './bounds.ts'
import { notices } from './notices.ts'

const grace = defaultBounds.presenceGrace

interface Setting {
  readonly clock?: FakeClock
  readonly engine?: Engine
  readonly name?: string
  readonly heard?: Notice[]
}

async function here({ clock = fakeClock(), engine, name, heard = [] }: Setting = {}): Promise<Serving> {
  const hub = notices()
  hub.subscribe((notice) => heard.push(notice))
  const served = await serving({
    clock,
    notices: hub,
    ...(engine && { engine }),
    ...(name !== undefined && { name, shared: true }),
  })
  return {
    ...served,
    async [Symbol.asyncDispose]() {
      let closing = true
      const closed = Promise.resolve(served[Symbol.asyncDispose]()).finally(() => {
        closing = false
      })
      // One of several servers waits a moment after it left.
      while (closing) await clock.advance(1)
      await closed
    },
  }
}

const ids = async (served: Serving, service = 'api'): Promise<string[]> => {
  const { json } = await served.ask('GET', servicePath(service))
  return (json.instances ?? []).map(({ id }: { id: string }) => id)
}

it('ends the leases of a client whose connection closed, after the grace and long before their TTL', async () => {
  const clock = fakeClock()
  const heard: Notice[] = []
  await using served = await here({ clock, heard })
  const tokens = await Promise.all(['a', 'b'].map((id) => served.register('api', id, { ttl: '1h' })))
  await served.register('api', 'other', { ttl: '1h' })
  using present = await Presence.open(served, 'x', tokens)
  expect(present.status).toBe(200)
  await streams(served, 1)

  present.die()
  await streams(served, 0)
  await clock.advance(grace - 200)
  expect(await ids(served)).toEqual(['a', 'b', 'other'])
  await clock.advance(400)
  await condition(async () => (await ids(served)).length === 1)
  expect(await ids(served)).toEqual(['other'])
  expect(await metric(served, 'seamark_presence_endings_total')).toBe(2)
  expect(heard.find(({ event }) => event === 'presence_ended')?.details).toEqual({ leases: 2 })
})

it('ends nothing when the client comes back within the grace, nor when it opened the next stream before', async () => {
  const clock = fakeClock()
  await using served = await here({ clock })
  const token = await served.register('api', 'a', { ttl: '1h' })
  using first = await Presence.open(served, 'x', [token])
  first.die()
  await streams(served, 0)
  await clock.advance(grace - 200)
  using second = await Presence.open(served, 'x', [token])
  await clock.advance(10 * grace)
  using third = await Presence.open(served, 'x', [token])
  second.die()
  await streams(served, 1)
  await clock.advance(10 * grace)
  expect(await ids(served)).toEqual(['a'])
  expect(third.status).toBe(200)
})

it('takes the leases that a client presents last for all that are its own', async () => {
  const clock = fakeClock()
  await using served = await here({ clock })
  const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((id) => served.register('api', id, { ttl: '1h' })))
  using first = await Presence.open(served, 'x', [a!, b!])
  using second = await Presence.open(served, 'x', [b!, c!])
  first.die()
  await streams(served, 1)
  await clock.advance(5 * grace)
  expect(await ids(served)).toEqual(['a', 'b', 'c'])

  // Another process took `c` up.
  using other = await Presence.open(served, 'y', [c!])
  second.die()
  await streams(served, 1)
  await clock.advance(5 * grace)
  await condition(async () => (await ids(served)).length === 2)
  expect(await ids(served)).toEqual(['a', 'c'])
  expect(other.status).toBe(200)
})

it('does not count the time in which the server stood still', async () => {
  const clock = fakeClock()
  await using served = await here({ clock })
  const token = await served.register('api', 'a', { ttl: '1h' })
  using first = await Presence.open(served, 'x', [token])
  first.die()
  await streams(served, 0)
  await clock.advance(grace - 50)
  clock.jump(60_000)
  await clock.advance(100)
  expect(await ids(served)).toEqual(['a'])
  using second = await Presence.open(served, 'x', [token])
  await clock.advance(10 * grace)
  expect(await ids(served)).toEqual(['a'])
  expect(second.status).toBe(200)
})

it('ends streams, and nobody’s leases, when the server closes', async () => {
  const clock = fakeClock()
  const engine = memory({ clock })
  const served = await here({ clock, engine })
  const token = await served.register('api', 'a', { ttl: '1h' })
  using present = await Presence.open(served, 'x', [token])
  using gone = await Presence.open(served, 'y', [await served.register('api', 'b', { ttl: '1h' })])
  gone.die()
  await streams(served, 1)
  await Promise.all([served.server.close(), present.ended])
  await clock.advance(10 * grace)
  expect(await engine.renew([token])).toEqual([true])
  expect(JSON.parse(await dumped(engine))).toEqual(['a', 'b'])
  await engine[Symbol.asyncDispose]()
})

it('leaves the leases of most clients to their TTL when all are gone at once', async () => {
  const clock = fakeClock()
  const heard: Notice[] = []
  await using served = await here({ clock, heard })
  const tokens = await Promise.all(
    Array.from({ length: 12 }, (_, n) => served.register('api', `i${n}`, { ttl: '1h' })),
  )
  const all = await Promise.all(tokens.map((token, n) => Presence.open(served, `c${n}`, [token])))
  for (const present of all) present.die()
  await streams(served, 0)
  await clock.advance(10 * grace)
  expect(await ids(served)).toHaveLength(12)
  expect(heard.filter(({ event }) => event === 'presence_lost_at_once')).toHaveLength(1)

  // They came back; and then one dies for itself.
  const back = await Promise.all(tokens.map((token, n) => Presence.open(served, `c${n}`, [token])))
  back[0]!.die()
  await streams(served, 11)
  await clock.advance(2 * grace)
  await condition(async () => (await ids(served)).length === 11)
  for (const present of back) present.die()
})

it('asks the engine whether a client went to another server', async () => {
  const clock = fakeClock()
  const engine = memory({ clock })
  await using a = await here({ clock, engine, name: 'a' })
  await using b = await here({ clock, engine, name: 'b' })
  const token = await a.register('api', 'x', { ttl: '1h' })
  // There, elsewhere, and back.
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    using present = await Presence.open(from, 'x', [token])
    present.die()
    await streams(from, 0)
    await clock.advance(grace - 200)
    using moved = await Presence.open(to, 'x', [token])
    await clock.advance(10 * grace)
    expect(await ids(b)).toEqual(['x'])
    moved.die()
    await streams(to, 0)
  }
  await clock.advance(2 * grace)
  await condition(async () => (await ids(b)).length === 0)
  expect(await metric(a, 'seamark_presence_endings_total')).toBe(1)
  await condition(async () => (await items(b)).length === 0)
})

it('ends nothing when the engine does not say whether the client is elsewhere', async () => {
  const clock = fakeClock()
  const truth = memory({ clock })
  let away = false
  const engine: Engine = new Proxy(truth, {
    get: (_, name: keyof Engine) => {
      const value = truth[name]
      if (name === 'write' && away)
        return async () => {
          throw new SeamarkError('engine_unavailable', 'The engine is away.')
        }
      return typeof value === 'function' ? value.bind(truth) : value
    },
  })
  const heard: Notice[] = []
  await using served = await here({ clock, engine, name: 'a', heard })
  const tokens = await Promise.all(['x', 'y'].map((id) => served.register('api', id, { ttl: '1h' })))
  using present = await Presence.open(served, 'x', [tokens[0]!])
  away = true
  const refused = await served.ask('POST', '/presence', { client: named('y'), tokens: [tokens[1]!] })
  expect(refused.status).toBe(503)
  present.die()
  await streams(served, 0)
  await clock.advance(2 * grace)
  expect(heard.map(({ event }) => event)).toContain('presence_failed')
  expect(await ids(served)).toEqual(['x', 'y'])
  away = false
})

it('sweeps up after servers that are gone', async () => {
  const clock = fakeClock()
  const engine = memory({ clock })
  const put = (key: string, text: string) =>
    ({ type: 'put', key: `presence/${key}`, value: Buffer.from(text) }) as const
  await engine.write([put('left', 'gone'), put('former', 'a')])
  await using a = await here({ clock, engine, name: 'a' })
  await using b = await here({ clock, engine, name: 'b' })
  using one = await Presence.open(a, 'one', [await a.register('api', 'x')])
  using other = await Presence.open(b, 'other', [await a.register('api', 'y')])
  await clock.advance(60_000)
  await condition(async () => (await items(a)).length === 2)
  expect(await items(a)).toEqual([`presence/${named('one')}`, `presence/${named('other')}`])
  expect([one.status, other.status]).toEqual([200, 200])
})

it('writes a comment every 15 seconds', async () => {
  const clock = fakeClock()
  await using served = await here({ clock })
  using present = await Presence.open(served, 'x', [await served.register('api', 'a')])
  const begun = present.text.length
  await clock.advance(30_000)
  await condition(() => present.text.length >= 3 * begun)
  expect(present.text).toMatch(/^(: .*\n\n)+$/)
})

it('keeps no stream of a client that left while it waited for the server to know what is registered', async () => {
  const clock = fakeClock()
  const truth = memory({ clock })
  let know = () => {}
  const known = new Promise<void>((resolve) => {
    know = resolve
  })
  const engine: Engine = new Proxy(truth, {
    get: (_, name: keyof Engine) => {
      const value = truth[name]
      if (name === 'watchAll')
        return async function* (signal: AbortSignal) {
          await known
          yield* truth.watchAll(signal)
        }
      return typeof value === 'function' ? value.bind(truth) : value
    },
  })
  await using served = await here({ clock, engine })
  const asked = Presence.open(served, 'x', ['a']).catch(() => {})
  const sent = new AbortController()
  const body = JSON.stringify({ client: named('x'), tokens: ['a'] })
  const headers = { 'content-type': 'application/json' }
  const left = fetch(`${served.server.url}/api/v1/presence`, {
    method: 'POST',
    body,
    headers,
    signal: sent.signal,
  })
  // Later requests of the same kind are answered after earlier ones arrived.
  await served.ask('GET', '/healthz')
  sent.abort()
  await expect(left).rejects.toThrow()
  await served.ask('GET', '/healthz')
  know()
  const stayed = await asked
  await streams(served, 1)
  stayed?.die()
  await streams(served, 0)
})

it('forgets leases that are released', async () => {
  const clock = fakeClock()
  await using served = await here({ clock })
  const token = await served.register('api', 'a', { ttl: '1h' })
  using present = await Presence.open(served, 'x', [token])
  await served.ask('POST', '/leases/release', { token })
  present.die()
  await streams(served, 0)
  await clock.advance(2 * grace)
  expect(await metric(served, 'seamark_presence_endings_total')).toBe(0)
})

it('has bounds', async () => {
  await using served = await serving({ bounds: { presenceStreams: 2, presenceLeases: 3 } })
  using one = await Presence.open(served, 'x', ['a', 'b'])
  const refused = await served.ask('POST', '/presence', { client: named('y'), tokens: ['c', 'd'] })
  expect(refused).toMatchObject({ status: 429, json: { error: { code: 'too_many' } } })
  // Its own do not count twice.
  using two = await Presence.open(served, 'x', ['a', 'b', 'c'])
  expect([one.status, two.status]).toEqual([200, 200])
  const third = await served.ask('POST', '/presence', { client: named('x'), tokens: ['a'] })
  expect(third).toMatchObject({ status: 429, json: { error: { code: 'too_many' } } })
})

it.each([
  ['no client', { tokens: ['a'] }, 'client'],
  ['a client that is too short', { client: 'x', tokens: ['a'] }, 'client'],
  ['a client that would be another key', { client: '../consul/../../x', tokens: ['a'] }, 'client'],
  ['no tokens', { client: named('x') }, 'tokens'],
  ['no token', { client: named('x'), tokens: [] }, 'tokens'],
  ['an empty token', { client: named('x'), tokens: ['a', ''] }, 'tokens/1'],
  ['a token that is too long', { client: named('x'), tokens: ['x'.repeat(1_025)] }, 'tokens/0'],
  ['a token that is a number', { client: named('x'), tokens: [1] }, 'tokens/0'],
  ['too many tokens', { client: named('x'), tokens: Array.from({ length: 10_001 }, () => 'x') }, 'tokens'],
  ['an unknown field', { client: named('x'), tokens: ['a'], grace: 0 }, 'grace'],
])('refuses %s', async (_, body, field) => {
  await using served = await serving()
  const refused = await served.ask('POST', '/presence', body)
  expect(refused).toMatchObject({ status: 400, json: { error: { code: 'invalid_field', field } } })
  expect(await metric(served, 'seamark_presence_streams')).toBe(0)
})

it('refuses a body that is too large, and another method', async () => {
  await using served = await serving({ bounds: { presenceBodyBytes: 1_000 } })
  const body = { client: named('x'), tokens: ['x'.repeat(1_000)] }
  expect((await served.ask('POST', '/presence', body)).status).toBe(413)
  expect((await served.ask('GET', '/presence')).status).toBe(404)
})

async function items(served: Serving): Promise<string[]> {
  const { json } = await served.ask('GET', '/items?prefix=presence/')
  return json.items.map(({ key }: { key: string }) => key)
}

async function dumped(engine: Engine): Promise<string> {
  for await (const { changes } of engine.watchAll(AbortSignal.timeout(10_000)))
    if (changes[0]?.type === 'reset')
      return JSON.stringify(changes[0].entries.map(({ instance }) => instance.id).sort())
  throw new Error('unreachable')
}
