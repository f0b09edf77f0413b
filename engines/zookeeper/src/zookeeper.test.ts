import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { directoryFollower, type Follower, follower } from '@seamark/conformance'
import { type Engine, instance, isSeamarkError, type Notice } from '@seamark/core'
import driver from 'node-zookeeper-client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type Line, line } from '../../../test/servers/line.ts'
import { type ZookeeperServer, zookeeperServer } from '../../../test/servers/zookeeper.ts'
import { zookeeper } from './zookeeper.ts'

const pay = { namespace: 'default', service: 'pay' }

/** As Spring Cloud ZooKeeper registers, through Curator. */
const springJson =
  '{"name":"pay","id":"5f2e","address":"host","port":8004,"sslPort":null,"payload":{"@class":"org.springframework.cloud.zookeeper.discovery.ZookeeperInstance","id":"application-1","name":"pay","metadata":{"instance_status":"UP"}},"registrationTimeUTC":1591148022189,"serviceType":"DYNAMIC","uriSpec":{"parts":[{"value":"scheme","variable":true},{"value":"://","variable":false},{"value":"address","variable":true},{"value":":","variable":false},{"value":"port","variable":true}]}}'

/** What a program with Curator does: the driver, and no code of ours. */
class Curator {
  readonly #client: driver.Client

  constructor(client: driver.Client) {
    this.#client = client
  }

  create(path: string, data: string, mode: number = driver.CreateMode.EPHEMERAL): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#client.create(path, Buffer.from(data), mode, (error) => (error ? reject(error) : resolve(path)))
    })
  }

  make(path: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#client.mkdirp(path, (error) => (error ? reject(error) : resolve(path)))
    })
  }

  remove(path: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#client.remove(path, (error) => (error ? reject(error) : resolve(path)))
    })
  }

  children(path: string): Promise<string[]> {
    return new Promise((resolve, reject) => {
      this.#client.getChildren(path, (error, children) => (error ? reject(error) : resolve(children.sort())))
    })
  }

  read(path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#client.getData(path, (error, data) => (error ? reject(error) : resolve(data.toString())))
    })
  }

  /** The whole session, with its ephemeral nodes. */
  end(): void {
    this.#client.close()
  }
}

engineTests('zookeeper', () => {
  let server: ZookeeperServer
  let base: string
  const open: (AsyncDisposable | Disposable)[] = []
  /** A session may be as short as a second here. */
  beforeAll(async () => {
    server = await zookeeperServer({ settings: { maxSessionTimeout: 1_000 } })
  })
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    base = `/${randomUUID()}`
  })
  afterEach(async () => {
    for (const one of open.splice(0).reverse())
      if (Symbol.asyncDispose in one) await one[Symbol.asyncDispose]()
      else one[Symbol.dispose]()
  })

  async function handle(port = server.port, notify?: (notice: Notice) => void): Promise<Engine> {
    const url = `zookeeper://127.0.0.1:${port}${base}`
    const engine = await zookeeper(url, notify === undefined ? {} : { notify })
    open.push(engine)
    return engine
  }

  async function curator(): Promise<Curator> {
    const client = driver.createClient(`127.0.0.1:${server.port}`, { sessionTimeout: 1_000 })
    client.connect()
    await once(client, 'connected')
    const self = new Curator(client)
    open.push({ [Symbol.dispose]: () => self.end() })
    return self
  }

  async function wayToServer(): Promise<Line> {
    const way = await line(server.port)
    open.push(way)
    return way
  }

  function follow(engine: Engine, persistent = false): Follower {
    const following = follower(engine, [pay], { persistent })
    open.push(following)
    return following
  }

  const ours = (id: string, port = 1) => instance({ ...pay, id, address: '127.0.0.1', port })

  describe('with Curator', () => {
    it('finds what Curator registered, until its session ends', async () => {
      const [engine, spring] = [await handle(), await curator()]
      const following = follow(engine)
      await following.until('nothing', ({ entries }) => entries.size === 0)
      await spring.make(`${base}/pay`)
      await spring.create(`${base}/pay/5f2e`, springJson)
      await following.until('the instance', ({ entries }) => entries.size === 1)
      expect(following.entry({ ...pay, id: '5f2e' })).toMatchObject({
        instance: { address: 'host', port: 8_004, scheme: 'http', metadata: { instance_status: 'UP' } },
        health: { status: 'passing' },
      })
      spring.end()
      await following.until('its end', ({ entries }) => entries.size === 0)
    })

    it('shows Curator what we registered, and nothing else', async () => {
      const [engine, spring] = [await handle(), await curator()]
      const lease = await engine.register(ours('i1', 80), { ttl: 60_000 })
      await engine.register(instance({ ...ours('far'), namespace: 'test.shop' }))
      await engine.report(lease.key, [{ id: 'up', status: 'critical' }])
      await engine.claim('primary', lease)
      expect(await spring.children(base)).toEqual(['pay'])
      expect(await spring.children(`${base}/pay`)).toEqual(['i1'])
      const record = JSON.parse(await spring.read(`${base}/pay/i1`))
      expect(record).toMatchObject({
        name: 'pay',
        id: 'i1',
        address: '127.0.0.1',
        port: 80,
        serviceType: 'DYNAMIC',
      })
      expect(record.payload['@class']).toBe('org.springframework.cloud.zookeeper.discovery.ZookeeperInstance')
      // The other namespace is a base path of its own.
      expect(await spring.children(`${base}-seamark/namespaces/test.shop/pay`)).toEqual(['far'])
      await engine.release(lease.token)
      expect(await spring.children(base)).toEqual([])
      for (const kept of ['leases', 'state', 'claims'])
        expect(await spring.children(`${base}-seamark/${kept}`)).toHaveLength(kept === 'claims' ? 0 : 1)
    })

    it('sees an instance that Curator deletes and creates again as a new one', async () => {
      const [engine, spring] = [await handle(), await curator()]
      const following = follow(engine)
      await spring.make(`${base}/pay`)
      await spring.create(`${base}/pay/5f2e`, springJson)
      await following.until('the instance', ({ entries }) => entries.size === 1)
      const before = following.entry({ ...pay, id: '5f2e' })!
      await spring.remove(`${base}/pay/5f2e`)
      await spring.create(`${base}/pay/5f2e`, springJson.replace('8004', '8005'))
      await following.until(
        'the new one',
        () => following.entry({ ...pay, id: '5f2e' })?.instance.port === 8_005,
      )
      expect(following.entry({ ...pay, id: '5f2e' })!.createdRevision).toBeGreaterThan(before.createdRevision)
    })

    it('skips a node that cannot be read, and says so once', async () => {
      const notices: Notice[] = []
      const [engine, spring] = [await handle(server.port, (notice) => notices.push(notice)), await curator()]
      await spring.make(`${base}/pay`)
      await spring.create(`${base}/pay/bad`, '{"name":')
      await spring.create(`${base}/pay/worse%`, springJson)
      await spring.create(`${base}/pay/empty`, '')
      await spring.create(`${base}/pay/5f2e`, springJson)
      for (let round = 0; round < 2; round++) {
        const following = follow(engine)
        await following.until('the good one', ({ entries }) => entries.size === 1)
      }
      expect(notices.map(({ event, details }) => [event, details!.name]).sort()).toEqual([
        ['record_skipped', `${base}/pay/bad`],
        ['record_skipped', `${base}/pay/empty`],
        ['record_skipped', `${base}/pay/worse%`],
      ])
    })

    it('keeps the health of an instance of Curator, and can deregister it', async () => {
      const [engine, spring] = [await handle(), await curator()]
      const key = { ...pay, id: '5f2e' }
      await spring.make(`${base}/pay`)
      await spring.create(`${base}/pay/5f2e`, springJson)
      const following = follow(engine)
      await following.reached(await engine.report(key, [{ id: 'maintenance', status: 'maintenance' }]))
      expect(following.entry(key)?.health.status).toBe('maintenance')
      const revision = await engine.deregister(key)
      await following.reached(revision!)
      expect(following.entries.size).toBe(0)
      expect(await spring.children(`${base}-seamark/state`)).toEqual([])
    })

    it('takes an instance over, so that it no longer ends with the session of Curator', async () => {
      const [engine, spring, witness] = [await handle(), await curator(), await curator()]
      await spring.make(`${base}/pay`)
      await spring.create(`${base}/pay/5f2e`, springJson)
      await spring.create(`${base}/pay/other`, springJson)
      const lease = await engine.register(ours('5f2e', 9))
      const following = follow(engine)
      await following.until('both', ({ entries }) => entries.size === 2)
      spring.end()
      await following.until('the end of the other', ({ entries }) => entries.size === 1)
      expect(await witness.children(`${base}/pay`)).toEqual(['5f2e'])
      expect(await engine.renew([lease.token])).toEqual([true])
    })

    it('tells the owner of an instance that Curator removed, and leaves nothing of it', async () => {
      const [engine, other, spring] = [await handle(), await handle(), await curator()]
      const lease = await engine.register(ours('i1'), { ttl: 60_000 })
      const stays = await engine.register(ours('i2'), { ttl: 60_000 })
      await engine.claim('primary', lease)
      await spring.remove(`${base}/pay/i1`)
      expect(await other.renew([lease.token, stays.token])).toEqual([false, true])
      expect(await spring.children(`${base}-seamark/leases`)).toHaveLength(1)
      expect(await spring.children(`${base}-seamark/claims`)).toEqual([])
      await expect(lease.renew()).rejects.toMatchObject({ code: 'lease_lost' })
    })
  })

  describe('sessions', () => {
    it('may expire: instances, leases and claims stay, and watches begin anew', async () => {
      const way = await wayToServer()
      const [engine, other] = [await handle(way.port), await handle()]
      const following = follow(engine, true)
      const lease = await engine.register(ours('i1'), { ttl: 60_000 })
      const claim = await engine.claim('primary', lease)
      await following.until('the claim', ({ holders }) => holders.size === 1)
      const seen = following.batches.length
      const expired = () => server.log.split('Expiring session').length
      const before = expired()
      way.hold()
      await expect.poll(expired, { timeout: 15_000 }).toBeGreaterThan(before)
      await other.register(ours('i2'))
      way.release()
      await following.until('what came meanwhile', ({ entries }) => entries.size === 2)
      expect(following.batches.slice(seen).map(({ changes }) => changes[0]?.type)).toContain('reset')
      expect(following.holder({ ...pay, name: 'primary' })).toEqual(claim!.holder)
      expect(await engine.renew([lease.token])).toEqual([true])
      expect(lease.lost.aborted).toBe(false)
    })

    it('do not own instances: another handle carries on when the first one dies', async () => {
      const way = await wayToServer()
      const [first, second] = [await handle(way.port), await handle()]
      const following = follow(second)
      const lease = await first.register(ours('i1'), { ttl: 3_000 })
      await following.reached(lease.revision)
      way.lead(undefined)
      way.cut()
      const resumed = await second.resume(lease.token)
      for (let round = 0; round < 5; round++) {
        await resumed.renew()
        await new Promise((resolve) => setTimeout(resolve, 1_000))
      }
      expect(following.batches.flatMap(({ changes }) => changes).map(({ type }) => type)).not.toContain(
        'delete',
      )
      // And if nobody does, the second ends it.
      await following.until('the end of the lease', ({ entries }) => entries.size === 0)
    })

    it('that renewed a lease and died do not change its end: another handle keeps the terms', async () => {
      const way = await wayToServer()
      const [first, second] = [await handle(way.port), await handle()]
      const following = directoryFollower(second)
      open.push(following)
      const lease = await first.register(ours('i1'), { ttl: 2_000 })
      await following.reached(lease.revision)
      let from = 0
      // Past its first end, so that the second handle looks at it, and again.
      for (let round = 0; round < 4; round++) {
        await new Promise((resolve) => setTimeout(resolve, 700))
        from = performance.now()
        await lease.renew()
      }
      const to = performance.now()
      way.lead(undefined)
      way.cut()
      await following.until('the end of the lease', ({ entries }) => entries.size === 0)
      const end = performance.now()
      expect(end).toBeGreaterThanOrEqual(from + lease.ttl!)
      expect(end).toBeLessThanOrEqual(to + lease.ttl! + second.terms.lateness + 250)
    })

    it('are looked for at the next server when one does not answer', async () => {
      const dead = await line(undefined)
      open.push(dead)
      const engine = await zookeeper(
        `zookeeper://127.0.0.1:${dead.port},127.0.0.1:${dead.port},127.0.0.1:${server.port}${base}`,
      )
      open.push(engine)
      expect(await engine.deregister({ ...pay, id: 'none' })).toBeUndefined()
    })

    it('that cannot be opened are an error that says where', async () => {
      const dead = await line(undefined)
      open.push(dead)
      const opening = zookeeper(`zookeeper://me:secret@127.0.0.1:${dead.port}`)
      await expect(opening).rejects.toMatchObject({
        code: 'engine_unavailable',
        message: `No ZooKeeper server can be reached at 127.0.0.1:${dead.port}.`,
      })
    })
  })

  it('answers that it is unavailable when nothing comes back, and recovers', async () => {
    const way = await wayToServer()
    const engine = await handle(way.port)
    const lease = await engine.register(ours('i1'), { ttl: 60_000 })
    const following = follower(engine, [pay])
    open.push({
      [Symbol.asyncDispose]: () => Promise.resolve(following[Symbol.asyncDispose]()).catch(() => undefined),
    })
    await following.until('the reset', () => true)
    way.hold()
    const refused = await Promise.allSettled([
      engine.register(ours('i2')),
      engine.renew([lease.token]),
      engine.deregister(lease.key),
      following.ended,
    ])
    for (const outcome of refused)
      expect(outcome.status === 'rejected' && isSeamarkError(outcome.reason, 'engine_unavailable')).toBe(true)
    way.release()
    await expect
      .poll(() => engine.renew([lease.token]).catch(() => undefined), { timeout: 15_000 })
      .toEqual([true])
  })

  it('does not end leases that nobody could renew while ZooKeeper stood still', async () => {
    // Shorter than a session here.
    const own = await zookeeperServer()
    open.push(own)
    const [owner, other] = [await handle(own.port), await handle(own.port)]
    const following = directoryFollower(other)
    open.push(following)
    const lease = await owner.register(ours('i1'), { ttl: 1_500 })
    await following.until('the instance', ({ entries }) => entries.size === 1)
    own.pause()
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    own.resume()
    expect(await other.renew([lease.token])).toEqual([true])
  })

  it('holds the greatest of names in one transaction with many others', async () => {
    const engine = await handle()
    const leases = await Promise.all(
      Array.from({ length: 300 }, (_, index) => {
        const filler = '\u{1f600}'.repeat(62)
        const key = { namespace: filler, service: filler, id: `${index} ${filler.slice(8)}` }
        return engine.register(instance({ ...key, address: 'h', port: 1 }), { ttl: 60_000 })
      }),
    )
    expect(await engine.renew(leases.map(({ token }) => token))).toEqual(leases.map(() => true))
  })

  it('is registered anew after ZooKeeper lost everything', async () => {
    const own = await zookeeperServer()
    open.push(own)
    const engine = await handle(own.port)
    const following = follow(engine, true)
    const leases = await Promise.all(
      Array.from({ length: 20 }, (_, index) => engine.register(ours(`i${index}`), { ttl: 60_000 })),
    )
    await following.until('all', ({ entries }) => entries.size === 20)
    await own.kill()
    rmSync(join(own.folder, 'data'), { recursive: true })
    await own.start()
    await following.until('that all are gone', ({ entries }) => entries.size === 0)
    expect(await engine.renew([leases[0]!.token])).toEqual([false])
    await engine.register(ours('i1'), { ttl: 60_000 })
    await following.until('the one that came back', ({ entries }) => entries.size === 1)
    await expect.poll(() => leases[1]!.lost.aborted, { timeout: 15_000 }).toBe(true)
  })

  it('keeps its tokens and its nodes from others when it has a password', async () => {
    const engine = await zookeeper(`zookeeper://me:secret@127.0.0.1:${server.port}${base}`)
    open.push(engine)
    const [same, spring] = [
      await zookeeper(`zookeeper://me:secret@127.0.0.1:${server.port}${base}`),
      await curator(),
    ]
    open.push(same)
    const lease = await engine.register(ours('i1'), { ttl: 60_000 })
    expect(await spring.children(`${base}/pay`)).toEqual(['i1'])
    await expect(spring.remove(`${base}/pay/i1`)).rejects.toThrow('NO_AUTH')
    await expect(spring.children(`${base}-seamark/leases`)).rejects.toThrow('NO_AUTH')
    expect(await same.renew([lease.token])).toEqual([true])
    const stranger = await handle()
    await expect(stranger.deregister(lease.key)).rejects.toMatchObject({ code: 'engine_unavailable' })
    expect(await same.release(lease.token)).toBeDefined()
  })
})
