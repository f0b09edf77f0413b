import { directoryFollower, type Follower, itemFollower } from '@seamark/conformance'
import { type Engine, type Instance, instance, type Notice } from '@seamark/core'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { freePort } from '../../../test/servers/free-port.ts'
import { line } from '../../../test/servers/line.ts'
import { type RedisServer, redisServer } from '../../../test/servers/redis.ts'
import { redisSentinel } from '../../../test/servers/redis-sentinel.ts'
import { tls } from '../../../test/servers/tls.ts'
import { redis } from './redis.ts'

const api = (id: string): Instance =>
  instance({ namespace: 'default', service: 'api', id, address: '10.0.0.1', port: 3_000 })

const unavailable = { name: 'SeamarkError', code: 'engine_unavailable' }
const patient = { timeout: 40_000, interval: 50 }

engineTests('redis', () => {
  let closing: AsyncDisposable[] = []

  beforeEach(() => {
    closing = []
  })

  afterEach(async () => {
    for (const one of closing.reverse()) await one[Symbol.asyncDispose]()
  })

  function keep<T extends AsyncDisposable>(one: T): T {
    closing.push(one)
    return one
  }

  async function started(...args: string[]): Promise<RedisServer> {
    return keep(await redisServer({ args }))
  }

  async function handle(url: string) {
    const notices: Notice[] = []
    const engine = keep(await redis(url, { notify: (notice) => notices.push(notice) }))
    return { engine, events: () => notices.map(({ event }) => event) }
  }

  async function asked<T>(server: RedisServer, ask: (client: Redis) => Promise<T>): Promise<T> {
    const client = new Redis(server.port, '127.0.0.1')
    try {
      return await ask(client)
    } finally {
      client.disconnect()
    }
  }

  async function followed(engine: Engine): Promise<Follower> {
    const following = keep(directoryFollower(engine, { persistent: true, patience: 40_000 }))
    await following.until('the reset', () => true)
    return following
  }

  async function replicaOf(port: number): Promise<RedisServer> {
    const replica = await started('--replicaof', '127.0.0.1', String(port))
    await vi.waitFor(
      async () =>
        expect(await asked(replica, (client) => client.info('replication'))).toMatch(/link_status:up/),
      patient,
    )
    return replica
  }

  test('sentinels: when the master dies, its replica takes over, and no lease is lost', {
    timeout: 90_000,
  }, async () => {
    const master = await started()
    const replica = await replicaOf(master.port)
    const sentinel = keep(await redisSentinel(master.port))
    await vi.waitUntil(() => sentinel.log.includes(`+slave slave 127.0.0.1:${replica.port}`), patient)
    const { engine, events } = await handle(sentinel.url)
    const lease = await engine.register(api('i1'), { ttl: 5_000 })
    const following = await followed(engine)
    await asked(master, (client) => client.wait(1, 10_000))
    await master.kill()
    await expect(engine.register(api('i2'))).rejects.toMatchObject(unavailable)
    const held = await vi.waitFor(() => engine.renew([lease.token]), patient)
    expect(held).toEqual([true])
    const { revision } = await engine.register(api('i2'))
    await following.reached(revision)
    expect(following.entries.size).toBe(2)
    for (const { changes } of following.batches)
      for (const change of changes) expect(change.type).not.toBe('delete')
    await vi.waitUntil(() => events().includes('server_changed'), patient)
  })

  test('a failover that loses writes: watchers forget them, and owners write them again', {
    timeout: 60_000,
  }, async () => {
    const master = await started()
    const replication = keep(await line(master.port))
    const replica = await replicaOf(replication.port)
    const way = keep(await line(master.port))
    const { engine } = await handle(`redis://127.0.0.1:${way.port}`)
    const kept = await engine.register(api('kept'), { ttl: 60_000 })
    await asked(master, (client) => client.wait(1, 10_000))
    replication.hold('back')
    const lost = await engine.register(api('lost'), { ttl: 60_000 })
    const following = await followed(engine)
    expect(following.entries.size).toBe(2)

    await master.kill()
    await asked(replica, (client) => client.replicaof('NO', 'ONE'))
    way.lead(replica.port)
    way.cut()
    await following.until('what is left', ({ entries }) => entries.size === 1)
    expect(following.entry(api('kept'))).toBeDefined()
    const held = await vi.waitFor(() => engine.renew([kept.token, lost.token]), patient)
    expect(held).toEqual([true, false])
    const again = await engine.register(api('lost'), { ttl: 60_000 })
    expect(again.revision).toBeGreaterThan(lost.revision)
    await following.reached(again.revision)
    expect(following.entries.size).toBe(2)
  })

  test('a master that becomes a replica is left for its successor', { timeout: 60_000 }, async () => {
    const master = await started()
    const replica = await replicaOf(master.port)
    const way = keep(await line(master.port))
    const { engine } = await handle(`redis://127.0.0.1:${way.port}`)
    await engine.register(api('i1'))
    await asked(master, (client) => client.wait(1, 10_000))
    await asked(replica, (client) => client.replicaof('NO', 'ONE'))
    await asked(master, (client) => client.replicaof('127.0.0.1', replica.port))
    way.lead(replica.port)
    // The connection to the former master lives, and is refused there: asked again elsewhere, nobody notices.
    await engine.register(api('i2'))
    const following = await followed(engine)
    expect(following.entries.size).toBe(2)
  })

  test('a cluster: any node will do, and the keys of a registry are on one', {
    timeout: 60_000,
  }, async () => {
    const nodes = await Promise.all(
      [0, 1].map(async () => started('--cluster-enabled', 'yes', '--cluster-port', String(await freePort()))),
    )
    const [one, other] = nodes as [RedisServer, RedisServer]
    await asked(one, (client) => client.cluster('ADDSLOTSRANGE', 0, 8_191))
    await asked(other, (client) => client.cluster('ADDSLOTSRANGE', 8_192, 16_383))
    const bus = String(await asked(other, (client) => client.config('GET', 'cluster-port'))).split(',')[1]!
    await asked(one, (client) => client.call('CLUSTER', 'MEET', '127.0.0.1', other.port, bus))
    for (const node of nodes)
      await vi.waitFor(
        async () => expect(await asked(node, (client) => client.cluster('INFO'))).toMatch(/state:ok/),
        patient,
      )

    for (const prefix of ['a', 'b', 'c', 'd']) {
      const { engine } = await handle(`${one.url}?prefix=${prefix}`)
      const { engine: there } = await handle(`redis://127.0.0.1:1,127.0.0.1:${other.port}?prefix=${prefix}`)
      const lease = await engine.register(api('i1'), { ttl: 1_000 })
      const following = await followed(there)
      await there.claim('primary', await there.resume(lease.token))
      await there.report(api('i1'), [{ id: 'up', status: 'passing' }])
      expect(await there.renew([lease.token])).toEqual([true])
      await following.until('the end', ({ entries, holders }) => entries.size + holders.size === 0)
      const items = keep(itemFollower(there, ''))
      await items.reached((await engine.write([{ type: 'put', key: 'a', value: Buffer.from('1') }]))!)
      expect(items.items.size).toBe(1)
    }
    const sizes = await Promise.all(nodes.map((node) => asked(node, (client) => client.dbsize())))
    expect(Math.min(...sizes)).toBeGreaterThan(0)
  })

  test('TLS: the certificate is verified', async () => {
    const server = keep(await redisServer({ secure: true }))
    const { engine } = await handle(`${server.url}?ca=${encodeURIComponent(tls.ca)}`)
    await engine.register(api('i1'))
    const following = await followed(engine)
    expect(following.entries.size).toBe(1)
    const { engine: trusting } = await handle(server.url)
    await expect(trusting.register(api('i1'))).rejects.toMatchObject({
      ...unavailable,
      message: expect.stringMatching(/certificate/),
    })
  })

  test('a user needs no more rights than the README says', { timeout: 60_000 }, async () => {
    const server = await started()
    const rights =
      '~{seamark}:* -@all +@read +@write +@connection -@dangerous +eval +evalsha +info +time'.split(' ')
    await asked(server, (client) => client.call('ACL', 'SETUSER', 'seamark', 'on', '>secret', ...rights))
    const url = `redis://seamark:secret@127.0.0.1:${server.port}`
    const { engine, events } = await handle(url)
    const lease = await engine.register(api('i1'), { ttl: 1_000 })
    const following = await followed(engine)
    await engine.report(api('i1'), [{ id: 'up', status: 'passing' }])
    const claim = await engine.claim('primary', lease)
    await claim![Symbol.asyncDispose]()
    expect(await engine.renew([lease.token])).toEqual([true])
    await following.until('the end', ({ entries }) => entries.size === 0)
    const items = keep(itemFollower(engine, ''))
    await items.reached((await engine.write([{ type: 'put', key: 'a', value: Buffer.from('1') }]))!)
    await items.reached((await engine.write([{ type: 'delete', key: 'a' }]))!)
    expect(items.items.size).toBe(0)
    expect(events()).toEqual(['leases_expired'])
    const { engine: elsewhere } = await handle(`${url}?prefix=other`)
    await expect(elsewhere.register(api('i1'))).rejects.toMatchObject({
      ...unavailable,
      message: expect.stringContaining('NOPERM'),
    })
  })
})
