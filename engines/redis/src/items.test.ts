import { randomBytes, randomUUID } from 'node:crypto'
import { directoryFollower, type ItemFollower, itemFollower } from '@seamark/conformance'
import { type Engine, type Item, instance, limits, type Notice, type WriteOperation } from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type RedisServer, redisServer } from '../../../test/servers/redis.ts'
import { type RedisOptions, redis } from './redis.ts'

const api = instance({ namespace: 'default', service: 'api', id: 'i1', address: '10.0.0.1', port: 3_000 })
const everyByte = Buffer.from(Uint8Array.from({ length: 256 }, (_, byte) => byte))
const text = (item: Item | undefined) => item && Buffer.from(item.value).toString()

function put(key: string, value: string | Uint8Array = key, at?: number): WriteOperation {
  return { type: 'put', key, value: Buffer.from(value), ...(at !== undefined && { at }) }
}

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

  async function followed(engine: Engine, under = ''): Promise<ItemFollower> {
    const following = itemFollower(engine, under, { persistent: true })
    await following.until('the reset', () => true)
    return following
  }

  const resets = ({ batches }: ItemFollower) =>
    batches.filter(({ changes }) => changes[0]?.type === 'reset').length

  describe('what is in Redis', () => {
    test('is values under their keys, their revisions, and a feed apart from the registry', async () => {
      await using engine = await redis(url)
      const first = await engine.write([put('consul/kv/ä b', everyByte), put('a\\n')])
      const lease = await engine.register(api)
      const second = await engine.write([
        put('consul/kv/ä b', 'again', first),
        { type: 'check', key: 'none', at: 0 },
        { type: 'delete', key: 'a\\n' },
      ])
      expect(second).toBeGreaterThan(lease.revision)
      expect(await raw.hgetall(key('items'))).toEqual({ 'consul/kv/ä b': 'again' })
      expect(await raw.hgetall(key('itemRevisions'))).toEqual({ 'consul/kv/ä b': `${first} ${second}` })
      expect(await raw.zrange(key('itemIndex'), '0', '-1')).toEqual(['consul/kv/ä b'])
      const feeds = await Promise.all(['itemFeed', 'feed'].map((name) => raw.xrange(key(name), '-', '+')))
      const told = feeds.map((feed) => feed.map(([id, fields]) => [Number(id.split('-')[0]), fields]))
      expect(told).toEqual([
        [
          [first, ['changed', 'consul/kv/ä b\na\\n']],
          [second, ['changed', 'consul/kv/ä b\na\\n']],
        ],
        [[lease.revision, ['changed', 'default/api/i/i1']]],
      ])
    })

    test('is nothing but the feed, once all items are gone', async () => {
      await using engine = await redis(url)
      await engine.write([put('a'), put('b')])
      await engine.write([
        { type: 'delete', key: 'a' },
        { type: 'delete', key: 'b' },
      ])
      expect(await raw.keys(`{${prefix}}:*`)).toEqual([key('itemFeed')])
    })

    test('may be malformed: it is skipped and told of once, and the next write heals it', async () => {
      const { engine, notices } = await opened()
      await using _ = engine
      const revision = await engine.write([put('good'), put('revisions'), put('untold')])
      await raw.hset(key('itemRevisions'), 'revisions', 'x')
      await raw.hdel(key('itemRevisions'), 'untold')
      for (const name of [Buffer.of(0xc0), 'a\nb']) {
        await raw.hset(key('items'), name, 'x')
        await raw.hset(key('itemRevisions'), name, '1 1')
        await raw.zadd(key('itemIndex'), 0, name)
      }
      await raw.zadd(key('itemIndex'), 0, 'nothing')
      for (let round = 0; round < 2; round++) {
        await using following = await followed(engine)
        expect([...following.items.keys()]).toEqual(['good'])
      }
      expect(notices.map(({ event }) => event)).toEqual(Array(3).fill('record_skipped'))
      expect(notices.map(({ details }) => details?.name).sort()).toEqual(['a\nb', 'revisions', '\ufffd'])
      expect(await engine.write([{ type: 'check', key: 'revisions', at: revision! }])).toBeUndefined()
      const healed = await engine.write([put('revisions', 'new', 0), put('untold', 'new', 0)])
      await using following = await followed(engine)
      expect(following.items.get('revisions')).toMatchObject({
        createdRevision: healed,
        modifiedRevision: healed,
      })
      expect(following.items.size).toBe(3)
    })

    test('may be changed by others: a comparison now and then finds it', async () => {
      const clock = fakeClock()
      const { engine, events } = await opened({ clock })
      await using _ = engine
      await engine.write([put('a'), put('b')])
      await using following = await followed(engine)
      await raw.hdel(key('items'), 'a')
      // In steps that no answer of Redis is late for.
      for (let passed = 0; passed < 80_000; passed += 4_000) {
        await clock.advance(4_000)
        await following.reached((await engine.write([put('c')]))!)
      }
      await following.until('what is left', () => !following.items.has('a'))
      expect([...following.items.keys()].sort()).toEqual(['b', 'c'])
      expect(events()).toEqual(['records_changed_by_others'])
      expect(resets(following)).toBe(2)
    })
  })

  test('what the writer does with its bytes later is not written', async () => {
    await using engine = await redis(url)
    const value = Buffer.from('before')
    const writing = engine.write([{ type: 'put', key: 'a', value }])
    value.fill('x')
    await writing
    expect(await raw.hget(key('items'), 'a')).toBe('before')
  })

  test('a prefix ends where it ends, whatever its last character', async () => {
    await using engine = await redis(url)
    for (const each of ['é', 'éa', 'ê', 'e', 'é\u{10ffff}', '[', '(']) await engine.write([put(each)])
    await using following = await followed(engine, 'é')
    expect([...following.items.keys()].sort()).toEqual(['é', 'éa', 'é\u{10ffff}'])
    await engine.write([put('ez'), put('ë')])
    const last = await engine.write([put('éz')])
    await following.reached(last!)
    expect([...following.items.keys()].sort()).toEqual(['é', 'éa', 'éz', 'é\u{10ffff}'])
    await using all = await followed(engine)
    expect(all.items.size).toBe(10)
  })

  test('who watches instances reads nothing for a write of items, and the other way round', async () => {
    await using engine = await redis(url)
    await using instances = directoryFollower(engine)
    await instances.until('the reset', () => true)
    await using items = await followed(engine)
    for (let n = 0; n < 10; n++) await engine.write([put('a', String(n))])
    await engine.register(api)
    const last = await engine.write([put('a', 'last')])
    await items.reached(last!)
    await instances.until('the instance', ({ entries }) => entries.size === 1)
    expect(instances.batches.flatMap(({ changes }) => changes.map(({ type }) => type))).toEqual([
      'reset',
      'put',
    ])
    expect(items.batches.flatMap(({ changes }) => changes.slice(1))).toEqual([])
  })

  describe('Redis loses', () => {
    test('everything (FLUSHALL): watchers are told, and revisions go on growing', async () => {
      await using engine = await redis(url)
      const before = await engine.write([put('a'), put('b')])
      await using following = await followed(engine)
      await raw.flushall()
      await following.until('the empty reset', () => following.items.size === 0)
      const after = await engine.write([put('a', 'new', 0)])
      expect(after).toBeGreaterThan(before!)
      await following.reached(after!)
      expect(text(following.items.get('a'))).toBe('new')
    })

    test('the beginning of the feed: a reader that is behind gets a reset', async () => {
      await using engine = await redis(url)
      await engine.write([put('a')])
      const controller = new AbortController()
      const batches = engine.watchItems('', controller.signal)[Symbol.asyncIterator]()
      expect((await batches.next()).value).toMatchObject({ changes: [{ type: 'reset' }] })
      for (let n = 0; n < 5; n++) await engine.write([put('b', String(n))])
      await raw.xtrim(key('itemFeed'), 'MAXLEN', 2)
      const { value } = await batches.next()
      expect(value).toMatchObject({ changes: [{ type: 'reset', items: [{ key: 'a' }, { key: 'b' }] }] })
      controller.abort()
      expect((await batches.next()).done).toBe(true)
    })
  })

  test('a clock that goes back makes no revision smaller, of items or of instances', async () => {
    await using engine = await redis(url)
    await engine.write([put('a')])
    const ahead = Date.now() * 1_000 + 3_600_000_000
    await raw.xadd(key('itemFeed'), `${ahead}-1`, 'changed', 'a')
    const lease = await engine.register(api)
    expect(lease.revision).toBe(ahead + 1)
    expect(await engine.write([put('a')])).toBe(ahead + 2)
  })

  test('full memory refuses what is put, whole, and nothing else', async () => {
    await using engine = await redis(url)
    const revision = await engine.write([put('a'), put('b')])
    try {
      await raw.config('SET', 'maxmemory', 1)
      await expect(engine.write([{ type: 'delete', key: 'a' }, put('c')])).rejects.toMatchObject({
        code: 'engine_unavailable',
        message: expect.stringContaining('OOM'),
      })
      expect(await raw.hkeys(key('items'))).toEqual(['a', 'b'])
      expect(await engine.write([{ type: 'check', key: 'a', at: revision! }])).toBe(0)
      expect(await engine.write([{ type: 'delete', key: 'a' }])).toBeGreaterThan(revision!)
      expect(await raw.hkeys(key('items'))).toEqual(['b'])
    } finally {
      await raw.config('SET', 'maxmemory', 0)
    }
  })

  test('large items are read in pages, whole', async () => {
    await using engine = await redis(url)
    const value = randomBytes(limits.writeBytes)
    for (let n = 0; n < 12; n++) await engine.write([put(`large/${n}`, value)])
    await engine.write(Array.from({ length: 64 }, (_, n) => put(`small/${n}`)))
    const stop = new AbortController()
    const batches = engine.watchItems('', stop.signal)[Symbol.asyncIterator]()
    const { value: listed } = await batches.next()
    expect(keysOf(listed!.changes[0])).toHaveLength(76)
    // A slow reader gets what there is now, once, however much was written meanwhile.
    let last: number | undefined
    for (let round = 0; round < 3; round++)
      for (let n = 0; n < 8; n++) last = await engine.write([put(`large/${n}`, value)])
    const { value: changed } = await batches.next()
    expect(changed).toMatchObject({ revision: last })
    expect(changed!.changes).toHaveLength(8)
    for (const change of changed!.changes)
      expect(change.type === 'put' && Buffer.compare(change.item.value, value)).toBe(0)
    stop.abort()

    function keysOf(change: unknown): readonly string[] {
      return (change as { items: readonly Item[] }).items.map((item) => item.key)
    }
  })
})
