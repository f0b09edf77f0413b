import { randomBytes } from 'node:crypto'
import { type ItemFollower, itemFollower } from '@seamark/conformance'
import { type Engine, type Item, instance, limits, type Notice, type WriteOperation } from '@seamark/core'
import { Etcd3 } from 'etcd3'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type EtcdServer, etcdCluster, etcdServer } from '../../../test/servers/etcd.ts'
import { type Line, line } from '../../../test/servers/line.ts'
import { etcd } from './etcd.ts'

const away = { name: 'SeamarkError', code: 'engine_unavailable' }
const api = instance({ namespace: 'default', service: 'api', id: 'i1', address: '10.0.0.1', port: 8080 })
const text = (item: Item | undefined) => item && Buffer.from(item.value).toString()

function put(key: string, value: string | Uint8Array = key, at?: number): WriteOperation {
  return { type: 'put', key, value: Buffer.from(value), ...(at !== undefined && { at }) }
}

engineTests('etcd', () => {
  let server: EtcdServer
  let raw: Etcd3
  let worlds = 0
  let prefix: string
  let notices: Notice[]
  /** Goes straight. */
  let engine: Engine
  const opened: AsyncDisposable[] = []

  beforeAll(async () => {
    server = await etcdServer()
    raw = new Etcd3({ hosts: `127.0.0.1:${server.port}` })
  })
  afterAll(async () => {
    raw?.close()
    await server?.[Symbol.asyncDispose]()
  })
  beforeEach(async () => {
    prefix = `w${++worlds}`
    notices = []
    engine = await open()
  })
  afterEach(async () => {
    for (const each of opened.splice(0).reverse()) await each[Symbol.asyncDispose]()
  })

  async function open({ port = server.port, query = '' } = {}): Promise<Engine> {
    const url = `etcd://127.0.0.1:${port}/${prefix}${query}`
    const one = await etcd(url, { notify: (notice) => notices.push(notice) })
    opened.push(one)
    return one
  }

  function followed(source: Engine, under = ''): ItemFollower {
    const following = itemFollower(source, under, { persistent: true, patience: 40_000 })
    opened.push(following)
    return following
  }

  const resets = ({ batches }: ItemFollower) =>
    batches.filter(({ changes }) => changes[0]?.type === 'reset').length

  describe('in etcd', () => {
    it('an item is its value under its key, bound to no lease', async () => {
      const value = Uint8Array.from({ length: 256 }, (_, byte) => byte)
      const revision = await engine.write([put('consul/kv/ä b', value)])
      const [kv] = (await raw.get(`/${prefix}/items/consul/kv/ä b`).exec()).kvs
      expect(kv).toMatchObject({ mod_revision: String(revision), version: '1', lease: '0' })
      expect(Buffer.compare(kv!.value, value)).toBe(0)
      await engine.write([{ type: 'delete', key: 'consul/kv/ä b' }])
      expect(await raw.getAll().prefix(`/${prefix}/`).keys()).toEqual([])
    })

    it("in gRPC's format, items are where no resolver looks, and no service is seen in them", async () => {
      const grpc = await open({ query: '?format=grpc' })
      await grpc.register(api)
      const revision = await grpc.write([put('api/i1')])
      expect(await raw.get(`${prefix}/.seamark/items/api/i1`).string()).toBe('api/i1')
      const following = followed(grpc, 'api/')
      await following.reached(revision!)
      expect([...following.items.keys()]).toEqual(['api/i1'])
      for await (const { changes } of grpc.watchAll(new AbortController().signal)) {
        expect(changes).toMatchObject([{ type: 'reset', entries: [{ instance: { id: 'i1' } }] }])
        break
      }
      expect(notices).toEqual([])
    })

    it('a key that no item can have is left alone, and told of once', async () => {
      await engine.write([put('good')])
      await raw.put(`/${prefix}/items/a\nb`).value('x')
      await raw.put(Buffer.concat([Buffer.from(`/${prefix}/items/`), Buffer.of(0xff)])).value('x')
      await raw.put(`/${prefix}/items/`).value('x')
      for (let round = 0; round < 2; round++) {
        const following = followed(engine)
        await following.until('the listing', () => true)
        expect([...following.items.keys()]).toEqual(['good'])
      }
      expect(notices.map(({ event }) => event)).toEqual(Array(3).fill('record_skipped'))
      await raw.delete().key(`/${prefix}/items/a\nb`)
      await engine.write([{ type: 'delete', key: 'good' }])
    })

    it('what the writer does with its bytes later is not written', async () => {
      const value = Buffer.from('before')
      const writing = engine.write([{ type: 'put', key: 'a', value }])
      value.fill('x')
      await writing
      expect(await raw.get(`/${prefix}/items/a`).string()).toBe('before')
    })

    it('a prefix ends where it ends, whatever its last character', async () => {
      for (const key of ['é', 'éa', 'ê', 'e', 'é\u{10ffff}']) await engine.write([put(key)])
      const last = await engine.write([put('éz')])
      const following = followed(engine, 'é')
      await following.reached(last!)
      expect([...following.items.keys()].sort()).toEqual(['é', 'éa', 'éz', 'é\u{10ffff}'])
    })

    it('many who write the same item all write it, one after another', async () => {
      const other = await open()
      const revisions = await Promise.all(
        Array.from({ length: 40 }, (_, n) =>
          (n % 2 ? engine : other).write([put('a', String(n)), put(`b${n}`)]),
        ),
      )
      expect(new Set(revisions).size).toBe(40)
      const [kv] = (await raw.get(`/${prefix}/items/a`).exec()).kvs
      expect(kv).toMatchObject({ version: '40', mod_revision: String(Math.max(...(revisions as number[]))) })
    })
  })

  describe('over a line that breaks', () => {
    let way: Line
    let far: Engine

    beforeEach(async () => {
      way = await line(server.port)
      opened.push(way)
      far = await open({ port: way.port })
    })

    const cut = () => {
      way.lead(undefined)
      way.cut()
    }
    const heal = () => way.lead(server.port)

    it('a watch goes on where it stopped', async () => {
      await using following = followed(far)
      await following.until('the listing', () => true)
      for (let round = 1; round < 5; round++) {
        cut()
        const revision = await engine.write([put('a', String(round)), put(`b${round}`)])
        heal()
        await following.reached(revision!)
        expect(text(following.items.get('a'))).toBe(String(round))
        expect(following.items.size).toBe(1 + round)
      }
      expect(resets(following)).toBe(1)
    })

    it('a watch lists anew once the history is gone', async () => {
      await engine.write([put('kept'), put('gone')])
      await using following = followed(far)
      await following.until('both', () => following.items.size === 2)
      cut()
      await engine.write([{ type: 'delete', key: 'gone' }])
      const revision = await engine.write([put('new')])
      await raw.kv.compact({ revision: String(revision), physical: true })
      heal()
      await following.until('the new one', () => following.items.has('new'))
      expect([...following.items.keys()].sort()).toEqual(['kept', 'new'])
      expect(resets(following)).toBe(2)
    })

    it('a write whose answer is lost is not made twice, and nobody says that it was not made', async () => {
      const there = await engine.write([put('there')])
      way.hold('back')
      const writing = far.write([put('a', 'once', 0), put('there', 'again', there)])
      writing.catch(() => undefined)
      await vi.waitFor(async () => expect(await raw.get(`/${prefix}/items/a`).string()).toBe('once'), {
        timeout: 4_000,
        interval: 10,
      })
      way.cut()
      way.release()
      await expect(writing).rejects.toMatchObject({
        ...away,
        message: expect.stringContaining('may have been'),
      })
      const [kv] = (await raw.get(`/${prefix}/items/there`).exec()).kvs
      expect(kv).toMatchObject({ version: '2' })
    })

    it('without it, everything fails, soon and clearly', async () => {
      cut()
      await expect(far.write([put('a')])).rejects.toMatchObject(away)
      await expect(itemFollower(far, '').ended).rejects.toMatchObject(away)
      heal()
      await vi.waitFor(() => far.write([put('a')]), { timeout: 20_000, interval: 50 })
    })
  })

  it('a cluster whose leader is killed makes every write once, or says that it may not have', async () => {
    await using cluster = await etcdCluster()
    await using many = await etcd(cluster.url)
    const acknowledged = new Map<string, number>()
    const unsure = new Set<string>()
    let over = false
    const writers = Array.from({ length: 6 }, async (_, writer) => {
      for (let n = 0; !over; n++) {
        const key = `${writer}/${n}`
        try {
          acknowledged.set(key, (await many.write([put(key), put(`last/${writer}`, key)]))!)
        } catch (error) {
          expect(error).toMatchObject(away)
          unsure.add(key)
        }
      }
    })
    for (let round = 0; round < 2; round++) {
      const { size } = acknowledged
      const leader = await cluster.leader()
      await leader.kill()
      await vi.waitUntil(() => acknowledged.size > size + 50, { timeout: 40_000 })
      await leader.start()
    }
    over = true
    await Promise.all(writers)
    const client = new Etcd3({ hosts: `127.0.0.1:${cluster.members[0]!.port}` })
    const { kvs } = await client.getAll().prefix('/seamark/items/').exec()
    client.close()
    const kept = new Map(kvs.map((kv) => [kv.key.toString().slice('/seamark/items/'.length), kv]))
    for (const [key, revision] of acknowledged)
      expect(kept.get(key)).toMatchObject({ version: '1', mod_revision: String(revision) })
    for (const key of unsure) expect(kept.get(key)?.version ?? '1').toBe('1')
  }, 120_000)

  describe('large items', () => {
    const large = randomBytes(limits.writeBytes)

    it('are listed in several answers', async () => {
      const small = Array.from({ length: 300 }, (_, n) => `small/${n}`)
      await Promise.all(small.map((key) => engine.write([put(key)])))
      for (let n = 0; n < 4; n++) await engine.write([put(`large/${n}`, large)])
      await using following = itemFollower(engine, '')
      await following.until('the listing', () => true)
      expect(following.items.size).toBe(304)
      expect(Buffer.compare(following.items.get('large/3')!.value, large)).toBe(0)
    })

    it('that nobody reads are not kept: a slow reader lists anew', async () => {
      await using quick = itemFollower(engine, '')
      const stop = new AbortController()
      const batches = engine.watchItems('', stop.signal)[Symbol.asyncIterator]()
      expect((await batches.next()).value).toMatchObject({ changes: [{ type: 'reset', items: [] }] })
      let last: number | undefined
      for (let n = 0; n < 100; n++) last = await engine.write([put('large', large)])
      // What one of two watches got, the other got, too, but for what is on its way: a fifth would not fit, either.
      await quick.reached(last!)
      const { value } = await batches.next()
      expect(value).toMatchObject({ changes: [{ type: 'reset', items: [{ modifiedRevision: last }] }] })
      stop.abort()
      expect((await batches.next()).done).toBe(true)
    }, 60_000)
  })
})
