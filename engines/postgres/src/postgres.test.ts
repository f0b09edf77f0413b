import { randomUUID } from 'node:crypto'
import { type Follower, follower } from '@seamark/conformance'
import { type Engine, type Instance, instance, isSeamarkError, type Notice } from '@seamark/core'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type Line, line } from '../../../test/servers/line.ts'
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts'
import { open } from './postgres.ts'

const service = { namespace: 'default', service: 'api' }
const key = { ...service, id: 'i1' }

function api(id: string, fields: Partial<Instance> = {}): Instance {
  return instance({ ...service, id, address: '10.0.0.1', port: 80, ...fields })
}

engineTests('postgres', () => {
  let server: PostgresServer
  let way: Line
  let admin: Client
  let schema: string
  const opened: AsyncDisposable[] = []

  beforeAll(async () => {
    server = await postgresServer({ settings: { synchronous_commit: 'on' } })
    way = await line(server.port)
  })
  afterAll(async () => {
    await way?.[Symbol.asyncDispose]()
    await server?.[Symbol.asyncDispose]()
  })
  beforeAll(connectAdmin)
  afterAll(() => admin?.end())
  afterEach(async () => {
    way.release()
    way.lead(server.port)
    for (const each of opened.splice(0).reverse()) await each[Symbol.asyncDispose]()
  })

  async function connectAdmin() {
    admin = new Client(server.url)
    admin.on('error', () => undefined)
    await admin.connect()
  }

  function newSchema(): string {
    schema = `t${randomUUID().replaceAll('-', '')}`
    return schema
  }

  interface Opening {
    user?: string
    parameters?: string
    notices?: Notice[]
    port?: number
  }

  async function engine({ user = 'postgres:secret', parameters = '', notices, port }: Opening = {}) {
    const url = `postgres://${user}@127.0.0.1:${port ?? server.port}/postgres?schema=${schema}${parameters}`
    const engine = await open(url, { ...(notices && { notify: (notice) => notices.push(notice) }) })
    opened.push(engine)
    return engine
  }

  function follow(source: Engine): Follower {
    const following = follower(source, [service], { persistent: true })
    opened.push(following)
    return following
  }

  async function eventually<T>(work: () => Promise<T>): Promise<T> {
    const deadline = performance.now() + 20_000
    for (;;)
      try {
        return await work()
      } catch (error) {
        if (!isSeamarkError(error, 'engine_unavailable') || performance.now() > deadline) throw error
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
  }

  async function noticed(notices: readonly Notice[], event: string): Promise<Notice> {
    const deadline = performance.now() + 20_000
    for (;;) {
      const notice = notices.find((each) => each.event === event)
      if (notice !== undefined) return notice
      if (performance.now() > deadline)
        throw new Error(`Not noticed: ${event}, but ${JSON.stringify(notices)}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  const backends = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'seamark'`

  describe('its schema', () => {
    it('is made once by five handles that open it at once', async () => {
      newSchema()
      const handles = await Promise.all(Array.from({ length: 5 }, () => engine()))
      await Promise.all(handles.map((handle, index) => handle.register(api(`i${index}`))))
      const following = follow(handles[0]!)
      await following.until('all five', ({ entries }) => entries.size === 5)
    })

    it('keeps an instance in rows that stay readable', async () => {
      newSchema()
      const handle = await engine()
      const lease = await handle.register(api('i1', { tags: ['x'] }), { ttl: 30_000 })
      await handle.report(key, [{ id: 'up', status: 'warning', output: 'a\u0000b' }])
      await handle.claim('primary', lease)
      const { rows: instances } = await admin.query(`SELECT * FROM ${schema}.instances`)
      const { rows: leases } = await admin.query(`SELECT * FROM ${schema}.leases`)
      const { rows: claims } = await admin.query(`SELECT * FROM ${schema}.claims`)
      expect(instances).toEqual([
        {
          ...key,
          instance:
            '{"namespace":"default","service":"api","id":"i1","address":"10.0.0.1","port":80,"scheme":"http","weight":1,"tags":["x"],"metadata":{},"checks":[]}',
          health: '{"status":"warning","checks":[{"id":"up","status":"warning","output":"a\\u0000b"}]}',
          token: expect.stringMatching(/^[\w-]{43}$/),
          created: '1',
          modified: '2',
        },
      ])
      expect(leases).toEqual([{ token: instances[0].token, ttl: '30000', deadline: expect.any(Date) }])
      expect(claims).toEqual([{ ...key, name: 'primary', fence: '3' }])
      // Who reads the tables cannot renew.
      expect(JSON.stringify([instances, leases])).not.toContain(lease.token)
      expect(await handle.renew([instances[0].token])).toEqual([false])
    })

    it('of a newer Seamark is left alone', async () => {
      newSchema()
      await engine()
      await admin.query(`UPDATE ${schema}.registry SET version = 3`)
      await expect(engine()).rejects.toMatchObject({ code: 'store_too_new' })
    })

    it('that holds other things is refused', async () => {
      newSchema()
      await admin.query(`CREATE SCHEMA ${schema} CREATE TABLE instances (id text)`)
      await expect(engine()).rejects.toMatchObject({
        code: 'configuration',
        message: expect.stringContaining(`"${schema}" holds something that is not Seamark's`),
      })
    })

    it('needs a database in UTF-8', async () => {
      await admin.query(`CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0`)
      await expect(open(server.url.replace(/postgres$/, 'latin'))).rejects.toMatchObject({
        code: 'configuration',
        message: expect.stringContaining('LATIN1'),
      })
    })

    it('comes back when it is dropped, and owners register again', async () => {
      newSchema()
      const handle = await engine()
      const lease = await handle.register(api('i1'), { ttl: 30_000 })
      const following = follow(handle)
      await following.until('the instance', ({ entries }) => entries.size === 1)
      await admin.query(`DROP SCHEMA ${schema} CASCADE`)
      expect(await handle.renew([lease.token])).toEqual([false])
      await handle.register(api('i1', { port: 81 }), { ttl: 30_000 })
      await following.until('the new one', ({ entries }) => [...entries.values()][0]?.instance.port === 81)
    })
  })

  describe('rights', () => {
    const user = () => `${schema}_role`
    const asRole = () => engine({ user: `${user()}:pw` })

    async function role(...grants: string[]) {
      newSchema()
      await admin.query(`CREATE ROLE ${user()} LOGIN PASSWORD 'pw'`)
      for (const grant of grants)
        await admin.query(grant.replaceAll('ROLE', user()).replaceAll('SCHEMA_', schema))
    }

    async function works(): Promise<void> {
      const handle = await asRole()
      const lease = await handle.register(api('i1'), { ttl: 1_000 })
      await handle.claim('primary', lease)
      await handle.report(key, [{ id: 'up', status: 'passing' }])
      expect(await handle.renew([lease.token])).toEqual([true])
      const following = follow(handle)
      await following.until('the instance', ({ entries }) => entries.size === 1)
      await following.until('its end', ({ entries }) => entries.size === 0)
    }

    it('to create a schema in the database are enough', async () => {
      await role('GRANT CREATE ON DATABASE postgres TO ROLE')
      await works()
    })

    it('of the owner of a schema that was prepared are enough', async () => {
      await role('CREATE SCHEMA SCHEMA_ AUTHORIZATION ROLE')
      await works()
    })

    it('to use tables that another role made are enough', async () => {
      await role()
      const owner = await engine()
      await owner[Symbol.asyncDispose]()
      await admin.query(`GRANT USAGE ON SCHEMA ${schema} TO ${user()}`)
      await admin.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${user()}`)
      await works()
    })

    it('to read alone are not enough', async () => {
      await role()
      await engine()
      await admin.query(`GRANT USAGE ON SCHEMA ${schema} TO ${user()}`)
      await admin.query(`GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${user()}`)
      await expect(asRole()).rejects.toMatchObject({
        code: 'configuration',
        message: expect.stringContaining('missing: DELETE, INSERT, UPDATE.'),
      })
    })

    it('that are missing are named', async () => {
      await role()
      await expect(asRole()).rejects.toMatchObject({
        code: 'configuration',
        message: expect.stringContaining(`GRANT CREATE ON DATABASE "postgres" TO "${user()}"`),
      })
    })

    it.each([
      ['a wrong password', 'postgres:wrong', 'postgres', /was not let in/],
      ['an unknown database', 'postgres:secret', 'nothing', /no database "nothing"/],
    ])('%s is a mistake of the configuration', async (_, who, database, message) => {
      const opening = open(`postgres://${who}@127.0.0.1:${server.port}/${database}`)
      await expect(opening).rejects.toMatchObject({
        code: 'configuration',
        message: expect.stringMatching(message),
      })
      await expect(opening).rejects.not.toMatchObject({ message: expect.stringContaining('wrong') })
    })

    it('that are taken away make it unavailable until they are given back', async () => {
      await role('CREATE SCHEMA SCHEMA_')
      await admin.query(`GRANT USAGE, CREATE ON SCHEMA ${schema} TO ${user()}`)
      const handle = await asRole()
      await handle.register(api('i1'))
      await admin.query(`REVOKE USAGE ON SCHEMA ${schema} FROM ${user()}`)
      await expect(handle.register(api('i2'))).rejects.toMatchObject({ code: 'engine_unavailable' })
      await admin.query(`GRANT USAGE ON SCHEMA ${schema} TO ${user()}`)
      await handle.register(api('i2'))
    })
  })

  describe('when the database fails', () => {
    it('opens while it is away, and works once it is there', async () => {
      newSchema()
      const notices: Notice[] = []
      way.lead(undefined)
      const handle = await engine({ port: way.port, notices })
      expect(notices).toContainEqual(expect.objectContaining({ event: 'source_lost' }))
      await expect(handle.register(api('i1'))).rejects.toMatchObject({ code: 'engine_unavailable' })
      const following = follow(handle)
      way.lead(server.port)
      await eventually(() => handle.register(api('i1')))
      await following.until('the instance', ({ entries }) => entries.size === 1)
    })

    it('keeps what it acknowledged over kill -9, under load', async () => {
      newSchema()
      const handle = await engine()
      const acknowledged = new Set<string>()
      let stop = false
      const load = Array.from({ length: 4 }, async (_, worker) => {
        for (let count = 0; !stop; count++) {
          const id = `w${worker}-${count}`
          try {
            await handle.register(api(id))
            acknowledged.add(id)
          } catch (error) {
            expect(error).toMatchObject({ code: 'engine_unavailable' })
            await new Promise((resolve) => setTimeout(resolve, 20))
          }
        }
      })
      while (acknowledged.size < 100) await new Promise((resolve) => setImmediate(resolve))
      await server.kill()
      await server.start()
      const size = acknowledged.size
      while (acknowledged.size < size + 20) await new Promise((resolve) => setTimeout(resolve, 10))
      stop = true
      await Promise.all(load)
      await connectAdmin()
      const { rows } = await admin.query(`SELECT id FROM ${schema}.instances`)
      const kept = new Set(rows.map(({ id }) => id))
      expect([...acknowledged].filter((id) => !kept.has(id))).toEqual([])
    })

    it('goes on watching after its backends were terminated, again and again', async () => {
      newSchema()
      const [handle, other] = [await engine(), await engine()]
      const following = follow(other)
      for (let round = 0; round < 5; round++) {
        await following.until('the last', ({ entries }) => entries.size === round)
        await admin.query(backends)
        await eventually(() => handle.register(api(`i${round}`)))
      }
      await following.until('all', ({ entries }) => entries.size === 5)
    })

    it('does not wait for ever for a database that says nothing', async () => {
      newSchema()
      const handle = await engine({ port: way.port })
      const lease = await handle.register(api('i1'))
      way.hold()
      const asked = [handle.renew([lease.token]), handle.register(api('i2')), handle.resume(lease.token)]
      for (const each of await Promise.allSettled(asked))
        expect(each).toMatchObject({ status: 'rejected', reason: { code: 'engine_unavailable' } })
      await handle[Symbol.asyncDispose]()
    })

    it('a writer that is cut off in its transaction does not stop the others', async () => {
      newSchema()
      const [silent, other] = [await engine({ port: way.port }), await engine()]
      const following = follow(other)
      let stop = false
      const load = (async () => {
        for (let count = 0; !stop; count++) await silent.register(api(`s${count}`)).catch(() => undefined)
      })()
      await following.until('writes', ({ entries }) => entries.size > 5)
      way.hold()
      await eventually(() => other.register(api('i1')))
      stop = true
      way.release()
      way.cut()
      await load
    })

    it('shows a new history, however much its revisions look like the old one', async () => {
      newSchema()
      const handle = await engine()
      const following = follow(handle)
      await handle.register(api('old'))
      await following.until('the old', ({ entries }) => entries.size === 1)
      // As a standby that takes over and lacks the last commit, behind a pooler that keeps connections up.
      await admin.query(`BEGIN;
        DELETE FROM ${schema}.instances; DELETE FROM ${schema}.leases;
        UPDATE ${schema}.registry SET revision = 0, stamp = (SELECT stamp FROM ${schema}.commits WHERE revision = 0);
        DELETE FROM ${schema}.commits WHERE revision > 0; COMMIT`)
      const { revision } = await handle.register(api('new'))
      expect(revision).toBe(1)
      await following.until('the new', ({ entries }) => [...entries.values()][0]?.instance.id === 'new')
      expect(following.entries.size).toBe(1)
    })
  })

  describe('leases', () => {
    it('are prolonged by as long as nobody could end them', async () => {
      newSchema()
      const notices: Notice[] = []
      const first = await engine()
      const lease = await first.register(api('i1'), { ttl: 10_000 })
      await first[Symbol.asyncDispose]()
      const moment = `SELECT extract(epoch FROM deadline + stalled - clock_timestamp())::float8 AS left FROM ${schema}.leases, ${schema}.ledger`
      // An hour goes by: the lease was over long ago.
      await admin.query(`UPDATE ${schema}.leases SET deadline = deadline - interval '1 hour'`)
      await admin.query(`UPDATE ${schema}.ledger SET swept = swept - interval '1 hour'`)
      const next = await engine({ notices })
      expect(await noticed(notices, 'clock_stalled')).toMatchObject({ level: 'warn' })
      const { rows } = await admin.query(moment)
      expect(rows[0].left).toBeGreaterThan(5)
      expect(rows[0].left).toBeLessThanOrEqual(10)
      expect(await next.renew([lease.token])).toEqual([true])
    })

    it('that begin while nobody sweeps are not prolonged by the time before', async () => {
      newSchema()
      const handle = await engine()
      await handle.register(api('i1'), { ttl: 5_000 })
      await handle[Symbol.asyncDispose]()
      await admin.query(`UPDATE ${schema}.ledger SET swept = swept - interval '1 hour'`)
      const notices: Notice[] = []
      const next = await engine({ notices })
      // Before or after the first sweep: that is for the race to say.
      await next.register(api('i2'), { ttl: 5_000 })
      await noticed(notices, 'clock_stalled')
      const { rows } = await admin.query(
        `SELECT extract(epoch FROM deadline + stalled - clock_timestamp())::float8 AS left
         FROM ${schema}.instances JOIN ${schema}.leases USING (token), ${schema}.ledger WHERE id = 'i2'`,
      )
      expect(rows[0].left).toBeLessThan(6)
    })

    it('that are over at once end slowly, and say so', async () => {
      newSchema()
      const notices: Notice[] = []
      const handle = await engine({ notices })
      const ids = Array.from({ length: 250 }, (_, index) => `i${index}`)
      await Promise.all(ids.map((id) => handle.register(api(id), { ttl: 60_000 })))
      const following = follow(handle)
      await following.until('all', ({ entries }) => entries.size === 250)
      await admin.query(`UPDATE ${schema}.leases SET deadline = deadline - interval '1 minute'`)
      await following.until('none', ({ entries }) => entries.size === 0)
      expect(await noticed(notices, 'expiry_capped')).toMatchObject({ details: { leases: 250, most: 100 } })
      const deletions = following.batches.map(
        ({ changes }) => changes.filter(({ type }) => type === 'delete').length,
      )
      expect(Math.max(...deletions)).toBeLessThanOrEqual(100)
    })

    it('that are renewed from everywhere while others come and go are all held', async () => {
      newSchema()
      const [one, other] = [await engine(), await engine()]
      const ids = Array.from({ length: 300 }, (_, index) => `i${index}`)
      const leases = await Promise.all(ids.map((id) => one.register(api(id), { ttl: 60_000 })))
      const tokens = leases.map(({ token }) => token)
      const [kept, ending] = [tokens.slice(100), tokens.slice(0, 100)]
      const renewing = Array.from({ length: 20 }, async (_, round) => {
        const order = round % 2 ? tokens : tokens.toReversed()
        const held = await (round % 3 ? one : other).renew(order)
        const lost = order.filter((_, index) => !held[index])
        expect(lost.filter((token) => kept.includes(token))).toEqual([])
      })
      const ends = ending.map((token, index) => (index % 2 ? one : other).release(token))
      await Promise.all([...renewing, ...ends])
      expect(await other.renew(tokens)).toEqual([...ending.map(() => false), ...kept.map(() => true)])
    })

    it('whose rows lost their instance are removed', async () => {
      newSchema()
      const handle = await engine()
      await handle.register(api('i1'), { ttl: 1_000 })
      await admin.query(`DELETE FROM ${schema}.instances`)
      const count = async () => (await admin.query(`SELECT FROM ${schema}.leases`)).rowCount
      while ((await count()) !== 0) await new Promise((resolve) => setTimeout(resolve, 50))
    })
  })

  describe('watches', () => {
    it('skip rows that are no instance, and say so once', async () => {
      newSchema()
      const notices: Notice[] = []
      const handle = await engine({ notices })
      await handle.register(api('good'))
      await handle.register(api('bad'))
      await handle.register(api('other'))
      await admin.query(`UPDATE ${schema}.instances SET instance = '{"id":7}' WHERE id = 'bad'`)
      await admin.query(`UPDATE ${schema}.instances SET health = 'x' WHERE id = 'other'`)
      for (let round = 0; round < 2; round++) {
        const following = follow(handle)
        await following.until('the good one', ({ entries }) => entries.size === 1)
      }
      expect(notices.filter(({ event }) => event === 'record_skipped')).toHaveLength(2)
      // What a newer Seamark adds is left out.
      await admin.query(
        `UPDATE ${schema}.instances SET instance = '{"novelty":1,' || substr(instance, 2) WHERE id = 'good'`,
      )
      await follow(handle).until('the good one', ({ entries }) => entries.size === 1)
    })

    it('that are far behind start anew', async () => {
      newSchema()
      const handle = await engine()
      const controller = new AbortController()
      const batches = handle.watch([service], controller.signal)[Symbol.asyncIterator]()
      await batches.next()
      await handle.register(api('i1'))
      await admin.query(`DELETE FROM ${schema}.commits WHERE revision < 1`)
      const { value } = await batches.next()
      expect(value).toMatchObject({ changes: [{ type: 'reset', entries: [{ instance: { id: 'i1' } }] }] })
      controller.abort()
      expect((await batches.next()).done).toBe(true)
    })

    it('poll where nothing can be notified', async () => {
      newSchema()
      const [handle, polling] = [await engine(), await engine({ parameters: '&listen=false' })]
      expect(handle.freshness).toBe('push')
      expect(polling.freshness).toBe(500)
      const following = follow(polling)
      await following.until('the reset', () => true)
      for (let port = 1; port <= 3; port++) {
        await handle.register(api('i1', { port }))
        await following.until(`port ${port}`, () => following.entry(key)?.instance.port === port)
      }
      const { rowCount } = await admin.query(
        `SELECT FROM pg_stat_activity WHERE application_name = 'seamark' AND query LIKE 'LISTEN%${schema}%'`,
      )
      expect(rowCount).toBe(0)
    })

    it('see what was not notified, and say that notifications are missing', async () => {
      newSchema()
      const notices: Notice[] = []
      const handle = await engine({ notices })
      const following = follow(handle)
      await following.until('the reset', () => true)
      for (let revision = 1; revision <= 4; revision++) {
        // As any commit, but in silence.
        await admin.query(`WITH head AS (UPDATE ${schema}.registry SET revision = ${revision}, stamp = 's${revision}'),
          history AS (INSERT INTO ${schema}.commits (revision, stamp) VALUES (${revision}, 's${revision}'))
          INSERT INTO ${schema}.claims VALUES ('default', 'api', 'c${revision}', 'i1', ${revision})`)
        await following.until('the claim', ({ holders }) => holders.size === revision)
      }
      await noticed(notices, 'notifications_missing')
    })

    it('of many handles and writers end up with the same', async () => {
      newSchema()
      const handles = await Promise.all(Array.from({ length: 4 }, () => engine()))
      const followers = handles.map(follow)
      await Promise.all(
        handles.map(async (handle, who) => {
          for (let round = 0; round < 50; round++) {
            const id = `i${(round * 7 + who) % 13}`
            if (round % 5 === 4) await handle.deregister({ ...service, id })
            else await handle.register(api(id, { port: 1 + round }))
          }
        }),
      )
      const { revision } = await handles[0]!.register(api('last'))
      for (const each of followers) await each.reached(revision)
      const { rows } = await admin.query(`SELECT id, modified FROM ${schema}.instances ORDER BY id`)
      for (const { entries } of followers)
        expect(
          [...entries.values()]
            .map((entry) => ({ id: entry.instance.id, modified: String(entry.modifiedRevision) }))
            .sort((a, b) => (a.id < b.id ? -1 : 1)),
        ).toEqual(rows)
    })
  })
})
