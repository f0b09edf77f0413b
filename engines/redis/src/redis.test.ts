import { randomUUID } from 'node:crypto'
import { directoryFollower, type Follower } from '@seamark/conformance'
import { type Engine, type Instance, instance, type Notice } from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type RedisServer, redisServer } from '../../../test/servers/redis.ts'
import { type RedisOptions, redis } from './redis.ts'
import { sweepInterval } from './scripts.ts'

const api = (id: string, port = 3_000): Instance =>
  instance({ namespace: 'default', service: 'api', id, address: '10.0.0.1', port })

const settled = { timeout: 20_000, interval: 20 }

engineTests('redis', () => {
  let server: RedisServer
  let raw: Redis
  let prefix: string
  let url: string
  const key = (name: string) => `{${prefix}}:${name}`

  beforeAll(async () => {
    server = await redisServer()
    raw = new Redis(server.port, '127.0.0.1')
  })

  afterAll(async () => {
    raw?.disconnect()
    await server?.[Symbol.asyncDispose]()
  })

  beforeEach(() => {
    prefix = randomUUID()
    url = `${server.url}?prefix=${prefix}`
  })

  async function opened(options?: RedisOptions) {
    const notices: Notice[] = []
    const engine = await redis(url, { notify: (notice) => notices.push(notice), ...options })
    return { engine, notices, events: () => notices.map(({ event }) => event) }
  }

  async function followed(engine: Engine): Promise<Follower> {
    const following = directoryFollower(engine, { persistent: true })
    await following.until('the reset', () => true)
    return following
  }

  describe('what is in Redis', () => {
    test('can be read by people, and holds no token', async () => {
      await using engine = await redis(url)
      const checked = instance({ ...api('i1'), tags: ['a/b'], checks: [{ type: 'tcp' }] })
      const lease = await engine.register(checked, { ttl: 60_000 })
      const stays = await engine.register({ ...api('i/2'), service: 'a%b' })
      const reported = await engine.report(lease.key, [{ id: 'tcp', status: 'passing', output: 'ok' }])
      const claim = await engine.claim('primary', lease)

      expect(await raw.hgetall(key('instances'))).toEqual({
        'default/api/i/i1': JSON.stringify(checked),
        'default/a%25b/i/i%2F2': JSON.stringify({ ...api('i/2'), service: 'a%b' }),
      })
      expect(JSON.parse((await raw.hget(key('instances'), 'default/api/i/i1'))!)).toEqual({
        namespace: 'default',
        service: 'api',
        id: 'i1',
        address: '10.0.0.1',
        port: 3_000,
        scheme: 'http',
        weight: 1,
        tags: ['a/b'],
        metadata: {},
        checks: [
          {
            id: 'tcp',
            type: 'tcp',
            interval: 10_000,
            timeout: 10_000,
            successThreshold: 1,
            failureThreshold: 1,
          },
        ],
      })
      expect(await raw.hgetall(key('health'))).toEqual({
        'default/api/i/i1': '[{"id":"tcp","status":"passing","output":"ok"}]',
      })
      expect(await raw.hgetall(key('revisions'))).toEqual({
        'default/api/i/i1': `${lease.revision} ${reported}`,
        'default/a%25b/i/i%2F2': `${stays.revision} ${stays.revision}`,
      })
      expect(await raw.hgetall(key('claims'))).toEqual({ 'default/api/c/primary': `${claim!.revision} i1` })
      expect(await raw.zrange(key('index'), '0', '-1')).toEqual([
        'default/a%25b/i/i%2F2',
        'default/api/c/primary',
        'default/api/i/i1',
      ])
      expect(await raw.zrange(key('deadlines'), '0', '-1')).toEqual(['default/api/i/i1'])
      const leases = await raw.hgetall(key('leases'))
      expect(leases['default/api/i/i1']).toMatch(/^60000 [\w-]{43}$/)
      expect(leases['default/a%25b/i/i%2F2']).toMatch(/^0 [\w-]{43}$/)
      expect(Object.values(await raw.hgetall(key('tokens'))).sort()).toEqual(Object.keys(leases).sort())
      const entries = await raw.xrange(key('feed'), '-', '+')
      expect(entries.map(([, fields]) => fields)).toEqual([
        ['changed', 'default/api/i/i1'],
        ['changed', 'default/a%25b/i/i%2F2'],
        ['changed', 'default/api/i/i1'],
        ['changed', 'default/api/c/primary'],
      ])
      expect(entries.map(([id]) => Number(id.split('-')[0]))).toEqual([
        lease.revision,
        stays.revision,
        reported,
        claim!.revision,
      ])

      const keys = await raw.keys(`*${prefix}*`)
      for (const each of keys) expect(each.startsWith(`{${prefix}}:`)).toBe(true)
      const everything = (await Promise.all(keys.map((each) => raw.dumpBuffer(each)))).map(String).join()
      expect(everything).toContain('default/api/i/i1')
      expect(everything).not.toContain(lease.token)
    })

    test('leaves nothing behind of what is gone but the feed', async () => {
      await using engine = await redis(url)
      const lease = await engine.register(api('i1'), { ttl: 60_000 })
      await engine.report(lease.key, [{ id: 'up', status: 'passing' }])
      await engine.claim('primary', lease)
      await engine.register(api('i1'), { ttl: 60_000 })
      await engine.deregister(lease.key)
      const left = (await raw.keys(`{${prefix}}:*`)).sort()
      expect(left).toEqual([key('clock'), key('feed')])
    })

    test('may be of a newer Seamark: fields that are not known are left out', async () => {
      await using engine = await redis(url)
      await engine.register(api('i1'))
      const newer = JSON.stringify({ ...api('i1'), color: 'red' })
      await raw.hset(key('instances'), 'default/api/i/i1', newer)
      await using following = await followed(engine)
      expect(following.entry(api('i1'))?.instance).toEqual(api('i1'))
    })

    test('is skipped where it cannot be read, and told of once', async () => {
      const { engine, notices } = await opened()
      await using _ = engine
      for (const id of ['good', 'json', 'port', 'health', 'revisions']) await engine.register(api(id))
      const fence = await engine.claim('primary', await engine.register(api('holder')))
      await raw.hset(key('instances'), 'default/api/i/json', '{')
      await raw.hset(key('instances'), 'default/api/i/port', JSON.stringify({ ...api('port'), port: 'x' }))
      await raw.hset(key('health'), 'default/api/i/health', '[{}]')
      await raw.hset(key('revisions'), 'default/api/i/revisions', 'x')
      await raw.hset(key('claims'), 'default/api/c/primary', 'x')
      await raw.zadd(key('index'), 0, 'something else')
      for (let round = 0; round < 2; round++) {
        await using following = await followed(engine)
        expect([...following.entries.values()].map((entry) => entry.instance.id).sort()).toEqual([
          'good',
          'holder',
        ])
        expect(following.holders.size).toBe(0)
      }
      expect(notices.every(({ event }) => event === 'record_skipped')).toBe(true)
      expect(notices.map(({ details }) => details?.name).sort()).toEqual([
        'default/api/c/primary',
        'default/api/i/health',
        'default/api/i/json',
        'default/api/i/port',
        'default/api/i/revisions',
        'something else',
      ])
      // Writing heals what it writes.
      await engine.report(api('health'), [{ id: 'up', status: 'passing' }])
      await engine.register(api('json'))
      await using following = await followed(engine)
      expect(following.entry(api('health'))?.health.status).toBe('passing')
      expect(following.entry(api('json'))).toBeDefined()
      expect(fence).toBeDefined()
    })

    test('may be changed by others: a comparison now and then finds it', async () => {
      const clock = fakeClock()
      const { engine, events } = await opened({ clock })
      await using _ = engine
      for (const id of ['i1', 'i2']) await engine.register(api(id))
      await using following = await followed(engine)
      await raw.hdel(key('instances'), 'default/api/i/i1')
      await raw.hset(key('revisions'), 'default/api/i/i2', '1 2')
      await aMinute()
      await following.until('what is left', () => following.entry(api('i1')) === undefined)
      expect(following.entry(api('i2'))?.modifiedRevision).toBe(2)
      expect(events()).toEqual(['records_changed_by_others'])
      // And then all is well.
      const resets = () => following.batches.filter(({ changes }) => changes[0]?.type === 'reset').length
      const before = resets()
      await aMinute()
      expect(resets()).toBe(before)
      expect(events()).toHaveLength(1)

      /** In steps that no answer of Redis is late for. */
      async function aMinute(): Promise<void> {
        for (let passed = 0; passed < 80_000; passed += 4_000) {
          await clock.advance(4_000)
          await following.reached((await engine.register(api('i3'))).revision)
        }
      }
    })

    test('an owner whose record somebody removed learns that its lease is lost', async () => {
      await using engine = await redis(url)
      const lease = await engine.register(api('i1'), { ttl: 60_000 })
      await raw.hdel(key('instances'), 'default/api/i/i1')
      expect(await engine.renew([lease.token])).toEqual([false])
    })
  })

  describe('Redis loses', () => {
    test('everything (FLUSHALL): watchers are told, owners learn it, and all goes on', async () => {
      await using engine = await redis(url)
      await using other = await redis(url)
      const lease = await engine.register(api('i1'), { ttl: 60_000 })
      const claim = await engine.claim('primary', lease)
      await using following = await followed(other)
      expect(following.holders.size).toBe(1)
      await raw.flushall()
      await following.until('the empty reset', ({ entries, holders }) => entries.size + holders.size === 0)
      expect(following.batches.at(-1)!.changes[0]!.type).toBe('reset')
      expect(await engine.renew([lease.token])).toEqual([false])
      expect(await engine.release(lease.token)).toBeUndefined()

      const again = await engine.register(api('i1'), { ttl: 60_000 })
      await following.reached(again.revision)
      expect(following.entry(api('i1'))).toBeDefined()
      // The server's time goes on: so do revisions and fences, though nobody remembers them.
      expect(again.revision).toBeGreaterThan(lease.revision)
      const next = await other.claim('primary', await other.register(api('i2')))
      expect(next!.holder.fence).toBeGreaterThan(claim!.holder.fence)
    })

    test('everything, and others register before anybody looks', async () => {
      await using engine = await redis(url)
      await using other = await redis(url)
      for (const id of ['i1', 'i2', 'i3']) await engine.register(api(id))
      await using following = await followed(other)
      await raw.flushall()
      const { revision } = await engine.register(api('i4'))
      await following.reached(revision)
      expect([...following.entries.values()].map((entry) => entry.instance.id)).toEqual(['i4'])
    })

    test('its scripts (SCRIPT FLUSH)', async () => {
      await using engine = await redis(url)
      const lease = await engine.register(api('i1'), { ttl: 60_000 })
      await using following = await followed(engine)
      await raw.script('FLUSH')
      expect(await engine.renew([lease.token])).toEqual([true])
      const { revision } = await engine.register(api('i2'))
      await following.reached(revision)
      expect(following.entries.size).toBe(2)
    })

    test('the beginning of the feed: a reader that is behind gets a reset', async () => {
      await using engine = await redis(url)
      await engine.register(api('i1'))
      const controller = new AbortController()
      const batches = engine.watchAll(controller.signal)[Symbol.asyncIterator]()
      expect((await batches.next()).value).toMatchObject({ changes: [{ type: 'reset' }] })
      for (let port = 1; port <= 5; port++) await engine.register(api('i2', port))
      await raw.xtrim(key('feed'), 'MAXLEN', 2)
      const { value } = await batches.next()
      expect(value.changes).toHaveLength(1)
      expect(value.changes[0]).toMatchObject({ type: 'reset', entries: [{}, {}] })
      controller.abort()
      expect((await batches.next()).done).toBe(true)
    })

    test('all of the feed', async () => {
      await using engine = await redis(url)
      await engine.register(api('i1'))
      await using following = await followed(engine)
      await raw.del(key('feed'))
      const { revision } = await engine.register(api('i2'))
      await following.reached(revision)
      expect(following.entries.size).toBe(2)
    })
  })

  describe('time', () => {
    /** As if the server's clock had moved by so many milliseconds since anybody last looked at the deadlines. */
    async function shift(ms: number): Promise<void> {
      await raw.hincrby(key('clock'), 'swept', -ms)
      for (const name of await raw.zrange(key('deadlines'), '0', '-1'))
        await raw.zincrby(key('deadlines'), -ms, name)
    }

    test.for([
      ['nobody looked for an hour', 3_600_000],
      ['the clock went back by an hour', -3_600_000],
    ] as const)('a lease has what was left of its TTL when %s', async ([, ms]) => {
      const first = await redis(url)
      const ttl = 1_500
      const begun = performance.now()
      await first.register(api('i1'), { ttl })
      await first[Symbol.asyncDispose]()
      await shift(ms)
      const { engine, events } = await opened()
      await using _ = engine
      await using following = await followed(engine)
      await following.until('the end', ({ entries }) => entries.size === 0)
      // Of the time that passed unseen, as much counts as lies between two sweeps: here, none passed.
      expect(performance.now() - begun).toBeGreaterThanOrEqual(ttl - sweepInterval)
      expect(events()).toEqual(ms > 0 ? ['clock_stalled', 'leases_expired'] : ['leases_expired'])
    })

    test('a pause without leases prolongs none, and is not told', async () => {
      const { engine, events } = await opened()
      await using _ = engine
      const former = await engine.register(api('i1'), { ttl: 60_000 })
      await engine.deregister(former.key)
      await shift(3_600_000)
      await engine.register(api('i1'), { ttl: 1_000 })
      await using following = await followed(engine)
      await following.until('the end', ({ entries }) => entries.size === 0)
      expect(events()).toEqual(['leases_expired'])
    })

    test('many that are over at once do not end at once', async () => {
      const { engine, notices } = await opened()
      await using _ = engine
      const count = 600
      await Promise.all(
        Array.from({ length: count }, (_, index) => engine.register(api(`i${index}`), { ttl: 2_000 })),
      )
      await using following = await followed(engine)
      await following.until('the end of all', ({ entries }) => entries.size === 0)
      await vi.waitUntil(() => counts().reduce((sum, each) => sum + each, 0) === count, settled)
      expect(Math.max(...counts())).toBeLessThanOrEqual(250)
      expect(notices.filter(({ event }) => event === 'expiry_capped')).toHaveLength(1)

      function counts(): number[] {
        return notices
          .filter(({ event }) => event === 'leases_expired')
          .map(({ details }) => details!.count as number)
      }
    })

    test('a handle that is gone leaves expiry to the others', async () => {
      const first = await redis(url)
      await first.register(api('i1'), { ttl: 1_000 })
      await using other = await redis(url)
      await using following = await followed(other)
      await first[Symbol.asyncDispose]()
      await following.until('the end', ({ entries }) => entries.size === 0)
    })
  })

  test('full memory refuses what is new, whole, and nothing else', async () => {
    await using engine = await redis(url)
    const lease = await engine.register(api('i1'), { ttl: 60_000 })
    const released = await engine.register(api('i2'))
    await engine.register(api('i3'), { ttl: 2_000 })
    await using following = await followed(engine)
    const before = await everything()
    try {
      await raw.config('SET', 'maxmemory', 1)
      await expect(engine.register(api('new'))).rejects.toMatchObject({ code: 'engine_unavailable' })
      await expect(engine.report(api('i1'), [{ id: 'up', status: 'warning' }])).rejects.toMatchObject({
        code: 'engine_unavailable',
      })
      await expect(engine.claim('primary', lease)).rejects.toMatchObject({
        code: 'engine_unavailable',
        message: expect.stringContaining('OOM'),
      })
      expect(await everything()).toEqual(before)
      // Leases live on and end as ever: otherwise full memory would take everybody away.
      expect(await engine.renew([lease.token])).toEqual([true])
      expect(await engine.release(released.token)).toBeDefined()
      await following.until('the end of i3', ({ entries }) => entries.size === 1)
      expect(await engine.renew([lease.token])).toEqual([true])
    } finally {
      await raw.config('SET', 'maxmemory', 0)
    }
    await engine.register(api('new'))

    async function everything(): Promise<unknown> {
      const hashes = ['instances', 'revisions', 'health', 'leases', 'tokens', 'claims']
      return [
        await Promise.all(hashes.map((name) => raw.hgetall(key(name)))),
        await raw.zrange(key('index'), '0', '-1'),
        await raw.xrange(key('feed'), '-', '+'),
      ]
    }
  })

  test.for(['a b', ' ', '1', 'c/', '%', '[a-z]*'])('a claim of %j ends with its lease', async (id) => {
    await using engine = await redis(url)
    const lease = await engine.register(api(id))
    await engine.claim(id, lease)
    await using following = await followed(engine)
    expect(following.holders.size).toBe(1)
    const revision = await engine.release(lease.token)
    await following.reached(revision!)
    expect(following.holders.size).toBe(0)
    expect(await raw.zcard(key('index'))).toBe(0)
  })

  test('registries with other prefixes have nothing to do with each other', async () => {
    await using engine = await redis(url)
    await using other = await redis(`${server.url}?prefix=${prefix}2`)
    const lease = await engine.register(api('i1'))
    await using following = await followed(other)
    expect(following.entries.size).toBe(0)
    expect(await other.renew([lease.token])).toEqual([false])
  })

  test('databases of one server have nothing to do with each other', async () => {
    await using engine = await redis(url)
    await using other = await redis(`${server.url}/1?prefix=${prefix}`)
    await engine.register(api('i1'))
    await using following = await followed(other)
    expect(following.entries.size).toBe(0)
  })
})
