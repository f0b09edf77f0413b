import { randomBytes, randomUUID } from 'node:crypto'
import { type ItemFollower, itemFollower } from '@seamark/conformance'
import {
  type Engine,
  type Item,
  type ItemBatch,
  instance,
  limits,
  type Notice,
  type WriteOperation,
} from '@seamark/core'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts'
import { open } from './postgres.ts'

const api = (id: string) =>
  instance({ namespace: 'default', service: 'api', id, address: '10.0.0.1', port: 80 })
const text = (item: Item | undefined) => item && Buffer.from(item.value).toString()

function put(key: string, value: string | Uint8Array = key, at?: number): WriteOperation {
  return { type: 'put', key, value: Buffer.from(value), ...(at !== undefined && { at }) }
}

engineTests('postgres', () => {
  let server: PostgresServer
  let admin: Client
  let schema: string
  const opened: AsyncDisposable[] = []

  beforeAll(async () => {
    server = await postgresServer()
    admin = new Client(server.url)
    await admin.connect()
  })
  afterAll(async () => {
    await admin?.end()
    await server?.[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    schema = `t${randomUUID().replaceAll('-', '')}`
  })
  afterEach(async () => {
    for (const each of opened.splice(0).reverse()) await each[Symbol.asyncDispose]()
  })

  async function engine({ user = 'postgres:secret', notices = [] as Notice[] } = {}): Promise<Engine> {
    const url = `postgres://${user}@127.0.0.1:${server.port}/postgres?schema=${schema}`
    const engine = await open(url, { notify: (notice) => notices.push(notice) })
    opened.push(engine)
    return engine
  }

  async function followed(source: Engine, under = ''): Promise<ItemFollower> {
    const following = itemFollower(source, under, { persistent: true })
    opened.push(following)
    await following.until('the reset', () => true)
    return following
  }

  const rows = async (table: string) =>
    (await admin.query(`SELECT * FROM ${schema}.${table} ORDER BY key, 2`)).rows

  describe('its tables', () => {
    it('keep an item as it is, and remember who went', async () => {
      const handle = await engine()
      const value = Buffer.from(Uint8Array.from({ length: 256 }, (_, byte) => byte))
      await handle.write([put('consul/kv/{"ä",\\}', value), put('b')])
      await handle.write([put('consul/kv/{"ä",\\}', ''), { type: 'delete', key: 'b' }])
      await handle.write([put('c', value, 0)])
      expect(await rows('items')).toEqual([
        { key: 'c', value, created: '3', modified: '3' },
        { key: 'consul/kv/{"ä",\\}', value: Buffer.alloc(0), created: '1', modified: '2' },
      ])
      expect(await rows('gone_items')).toEqual([{ key: 'b', revision: '2' }])
    })

    it('of version 1 are extended once, by all who open them at once, and keep what they have', async () => {
      const former = await engine()
      const lease = await former.register(api('i1'), { ttl: 60_000 })
      await admin.query(`DROP TABLE ${schema}.items, ${schema}.gone_items`)
      await admin.query(`UPDATE ${schema}.registry SET version = 1`)
      const handles = await Promise.all(Array.from({ length: 5 }, () => engine()))
      const revisions = await Promise.all(handles.map((handle, n) => handle.write([put(`k${n}`)])))
      expect(Math.min(...(revisions as number[]))).toBeGreaterThan(lease.revision)
      expect(await rows('items')).toHaveLength(5)
      expect((await admin.query(`SELECT version FROM ${schema}.registry`)).rows).toEqual([{ version: 2 }])
      expect(await handles[0]!.renew([lease.token])).toEqual([true])
      // A handle that has been there since version 1 goes on, too.
      expect((await former.register(api('i2'))).revision).toBeGreaterThan(
        Math.max(...(revisions as number[])),
      )
    })

    it('of version 1 that a role may not extend are explained, and extended by the one that may', async () => {
      await engine()
      await admin.query(`DROP TABLE ${schema}.items, ${schema}.gone_items`)
      await admin.query(`UPDATE ${schema}.registry SET version = 1`)
      const role = `${schema}_role`
      const granting = `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role}`
      await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'`)
      await admin.query(`GRANT USAGE ON SCHEMA ${schema} TO ${role}`)
      await admin.query(granting)
      await expect(engine({ user: `${role}:pw` })).rejects.toMatchObject({
        code: 'configuration',
        message: expect.stringContaining(`GRANT CREATE ON SCHEMA ${schema} TO "${role}"`),
      })
      await engine()
      await expect(engine({ user: `${role}:pw` })).rejects.toMatchObject({
        code: 'configuration',
        message: expect.stringContaining('missing: DELETE, INSERT, SELECT, UPDATE.'),
      })
      await admin.query(granting)
      const handle = await engine({ user: `${role}:pw` })
      const following = await followed(handle)
      await following.reached((await handle.write([put('a')]))!)
      await following.reached((await handle.write([{ type: 'delete', key: 'a' }]))!)
      expect(following.items.size).toBe(0)
    })

    it('come back when they are dropped', async () => {
      const handle = await engine()
      await handle.write([put('a')])
      const following = await followed(handle)
      await admin.query(`DROP SCHEMA ${schema} CASCADE`)
      await handle.write([put('b')])
      await following.until('the new one', () => following.items.has('b'))
      expect(following.items.size).toBe(1)
    })
  })

  describe('writes', () => {
    it('that arrive together share a transaction, each with a revision of its own', async () => {
      const handle = await engine()
      const following = await followed(handle)
      const [a, lease, gone, again, refused, none, report] = await Promise.all([
        handle.write([put('a', '1'), put('b', '1')]),
        handle.register(api('i1')),
        handle.write([{ type: 'delete', key: 'a' }]),
        handle.write([put('a', '2', 0)]),
        handle.write([put('b', '2', 0)]),
        handle.write([{ type: 'delete', key: 'none' }]),
        handle.report(api('i1'), [{ id: 'up', status: 'passing' }]),
      ])
      expect([a, lease.revision, gone, again, refused, none, report]).toEqual([1, 2, 3, 4, undefined, 0, 5])
      await following.reached(report)
      expect(following.items.get('a')).toMatchObject({ createdRevision: 4, modifiedRevision: 4 })
      expect(text(following.items.get('b'))).toBe('1')
      expect((await admin.query(`SELECT FROM ${schema}.commits`)).rowCount).toBe(2)
    })

    it('take what they are given at that moment', async () => {
      const handle = await engine()
      const value = Buffer.from('before')
      const writing = handle.write([{ type: 'put', key: 'a', value }])
      value.fill('x')
      await writing
      expect(await rows('items')).toMatchObject([{ value: Buffer.from('before') }])
    })

    it('that fail fail whole', async () => {
      const handle = await engine()
      await handle.write([put('a')])
      await admin.query(`ALTER TABLE ${schema}.items ADD CHECK (key <> 'bad')`)
      await expect(handle.write([put('b'), put('bad'), { type: 'delete', key: 'a' }])).rejects.toMatchObject({
        code: 'engine_unavailable',
      })
      expect(await rows('items')).toMatchObject([{ key: 'a' }])
      expect(await handle.write([put('b')])).toBe(2)
    })
  })

  describe('watches', () => {
    it.each([
      ['%', ['%', '%a']],
      ['_', ['_', '_a']],
      ['\\', ['\\', '\\a']],
      ['é', ['é', 'éa', 'é\u{10ffff}']],
      ['', ['%', '%a', '\\', '\\a', '_', '_a', 'a', 'é', 'éa', 'é\u{10ffff}', 'ê']],
    ])('take the prefix %j as it is', async (prefix, expected) => {
      const handle = await engine()
      const keys = ['%', '%a', '\\', '\\a', '_', '_a', 'a', 'é', 'éa', 'é\u{10ffff}', 'ê']
      const empty = await followed(handle, prefix)
      for (const key of keys) await handle.write([put(key)])
      const last = await handle.write([put(expected[0]!)])
      await empty.reached(last!)
      const listed = await followed(handle, prefix)
      for (const { items } of [empty, listed]) expect([...items.keys()].sort()).toEqual([...expected].sort())
    })

    it('skip rows that are no item, and say so once', async () => {
      const notices: Notice[] = []
      const handle = await engine({ notices })
      await handle.write([put('good')])
      await admin.query(
        `INSERT INTO ${schema}.items VALUES (E'a\\nb', 'x', 1, 1), ('zero', 'x', 0, 1), ('', 'x', 1, 1)`,
      )
      for (let round = 0; round < 2; round++) {
        const { items } = await followed(handle)
        expect([...items.keys()]).toEqual(['good'])
      }
      expect(notices.map(({ event }) => event)).toEqual(Array(3).fill('record_skipped'))
    })

    it('that are far behind start anew', async () => {
      const handle = await engine()
      const stop = new AbortController()
      const batches = handle.watchItems('', stop.signal)[Symbol.asyncIterator]()
      await batches.next()
      await handle.write([put('a')])
      await admin.query(`DELETE FROM ${schema}.commits WHERE revision < 1`)
      expect((await batches.next()).value).toMatchObject({
        changes: [{ type: 'reset', items: [{ key: 'a' }] }],
      })
      stop.abort()
      expect((await batches.next()).done).toBe(true)
    })

    it('read large items in pages, and anew rather than all at once', async () => {
      const handle = await engine()
      const value = randomBytes(limits.writeBytes)
      const stop = new AbortController()
      const batches = handle.watchItems('', stop.signal)[Symbol.asyncIterator]()
      await batches.next()
      for (let n = 0; n < 8; n++) await handle.write([put(`large/${n}`, value)])
      expect((await next(batches)).changes.map(({ type }) => type)).toEqual(Array(8).fill('put'))
      // Of many, the database says only that they are too much.
      for (let n = 0; n < 40; n++) await handle.write([put(`large/${n}`, value)])
      await handle.write(Array.from({ length: 64 }, (_, n) => put(`small/a${n}`)))
      for (let n = 0; n < 4; n++)
        await handle.write(Array.from({ length: 64 }, (_, index) => put(`small/${n}/${index}`)))
      const last = await handle.write([{ type: 'delete', key: 'small/a0' }])
      const { revision, changes } = await next(batches)
      expect(revision).toBe(last)
      const items = changes[0]?.type === 'reset' ? changes[0].items : []
      expect(items).toHaveLength(40 + 63 + 256)
      expect(items.filter((item) => Buffer.compare(item.value, value) === 0)).toHaveLength(40)
      stop.abort()
      expect((await batches.next()).done).toBe(true)
    })

    it('that look after a change of instances only tell nothing', async () => {
      const handle = await engine()
      const following = await followed(handle)
      for (let n = 0; n < 5; n++) await handle.register(api(`i${n}`))
      await following.reached((await handle.write([put('a')]))!)
      expect(following.batches).toHaveLength(2)
    })
  })
})

async function next(batches: AsyncIterator<ItemBatch>): Promise<ItemBatch> {
  return (await batches.next()).value
}
