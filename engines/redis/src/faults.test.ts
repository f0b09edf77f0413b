import { randomUUID } from 'node:crypto'
import { inspect } from 'node:util'
import { directoryFollower, type Follower } from '@seamark/conformance'
import { type Engine, type Instance, instance, isSeamarkError, type Lease, type Notice } from '@seamark/core'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { line } from '../../../test/servers/line.ts'
import { type RedisServer, redisServer } from '../../../test/servers/redis.ts'
import { redis } from './redis.ts'

const api = (id: string): Instance =>
  instance({ namespace: 'default', service: 'api', id, address: '10.0.0.1', port: 3_000 })

const unavailable = { name: 'SeamarkError', code: 'engine_unavailable' }
const patient = { timeout: 30_000, interval: 20 }

/** What an owner does that lost its lease, or cannot tell. */
async function registered(engine: Engine, id: string, ttl?: number): Promise<Lease> {
  return vi.waitFor(() => engine.register(api(id), ttl === undefined ? {} : { ttl }), patient)
}

engineTests('redis', () => {
  let closing: AsyncDisposable[] = []

  function keep<T extends AsyncDisposable>(one: T): T {
    closing.push(one)
    return one
  }

  async function started(...args: string[]): Promise<RedisServer> {
    return keep(await redisServer({ args }))
  }

  async function handle(port: number) {
    const notices: Notice[] = []
    const engine = await redis(`redis://127.0.0.1:${port}`, { notify: (notice) => notices.push(notice) })
    return { engine: keep(engine), events: () => notices.map(({ event }) => event) }
  }

  async function followed(engine: Engine): Promise<Follower> {
    const following = keep(directoryFollower(engine, { persistent: true, patience: 30_000 }))
    await following.until('the reset', () => true)
    return following
  }

  beforeEach(() => {
    closing = []
  })

  afterEach(async () => {
    for (const one of closing.reverse()) await one[Symbol.asyncDispose]()
  })

  test('killed and started empty: watchers are told, and owners register again', {
    timeout: 60_000,
  }, async () => {
    const server = await started()
    const { engine } = await handle(server.port)
    const lease = await engine.register(api('i1'), { ttl: 60_000 })
    const following = await followed(engine)
    expect(following.entries.size).toBe(1)
    await server.restart()
    await following.until('the empty reset', ({ entries }) => entries.size === 0)
    await vi.waitFor(async () => expect(await engine.renew([lease.token])).toEqual([false]), patient)
    const { revision } = await registered(engine, 'i1', 60_000)
    await following.reached(revision)
    expect(following.entries.size).toBe(1)
    expect(revision).toBeGreaterThan(lease.revision)
  })

  test('killed and started with its log: the watch goes on without a reset, and every lease starts its TTL anew', {
    timeout: 60_000,
  }, async () => {
    const server = await started('--appendonly', 'yes', '--appendfsync', 'always')
    const { engine, events } = await handle(server.port)
    const lease = await engine.register(api('i1'), { ttl: 2_000 })
    await engine.register(api('i2'))
    const following = await followed(engine)
    await vi.waitFor(async () => expect(await engine.renew([lease.token])).toEqual([true]), patient)
    const from = performance.now()
    await server.restart()
    // The reader comes back before or after the server does; where it stopped, it goes on.
    const { revision } = await registered(engine, 'i3')
    await following.reached(revision)
    await following.until('the end of i1', ({ entries }) => entries.size === 2)
    expect(performance.now() - from).toBeGreaterThanOrEqual(2_000)
    expect(events()).toContain('server_changed')
    expect(await engine.renew([lease.token])).toEqual([false])
  })

  test('halted for longer than a TTL: nobody waits for ever, and no lease ends for it', {
    timeout: 60_000,
  }, async () => {
    const server = await started()
    const { engine, events } = await handle(server.port)
    const ttl = 2_000
    const leases = await Promise.all(['i1', 'i2', 'i3'].map((id) => engine.register(api(id), { ttl })))
    const following = await followed(engine)
    server.pause()
    await expect(engine.renew(leases.map(({ token }) => token))).rejects.toMatchObject(unavailable)
    await expect(engine.register(api('i4'))).rejects.toMatchObject(unavailable)
    server.resume()
    const held = await vi.waitFor(() => engine.renew(leases.map(({ token }) => token)), patient)
    expect(held).toEqual([true, true, true])
    expect(following.entries.size).toBeGreaterThanOrEqual(3)
    await following.until('the end of the leases', ({ entries }) => entries.size === 0)
    await vi.waitUntil(() => events().includes('leases_expired'), patient)
    expect(events()).toContain('expiry_failed')
  })

  test('out of reach: calls are refused in time, and served when it is back', {
    timeout: 60_000,
  }, async () => {
    const server = await started()
    const way = keep(await line(server.port))
    const { engine } = await handle(way.port)
    const { engine: near } = await handle(server.port)
    const lease = await engine.register(api('i1'), { ttl: 60_000 })
    const following = await followed(engine)
    way.hold()
    const watch = directoryFollower(engine)
    await Promise.all([
      expect(engine.renew([lease.token])).rejects.toMatchObject(unavailable),
      expect(engine.report(api('i1'), [])).rejects.toMatchObject(unavailable),
      expect(watch.ended).rejects.toMatchObject(unavailable),
    ])
    const { revision } = await near.register(api('i2'))
    way.cut()
    way.release()
    await following.reached(revision)
    await vi.waitFor(async () => expect(await engine.renew([lease.token])).toEqual([true]), patient)
  })

  test('not there yet: it opens, refuses, and works once it is', async () => {
    const way = keep(await line())
    const engine = keep(await redis(`redis://127.0.0.1:${way.port}`))
    await expect(engine.register(api('i1'))).rejects.toMatchObject(unavailable)
    await expect(directoryFollower(engine).ended).rejects.toMatchObject(unavailable)
    way.lead((await started()).port)
    await registered(engine, 'i1')
  })

  test('a replica that is written to is none to write to', async () => {
    const master = await started()
    const replica = await started('--replicaof', '127.0.0.1', String(master.port))
    const { engine } = await handle(replica.port)
    await expect(engine.register(api('i1'))).rejects.toMatchObject({
      ...unavailable,
      message: expect.stringContaining('READONLY'),
    })
  })

  test('disposed of while Redis does not answer: what is under way ends, closed', async () => {
    const server = await started()
    const { engine } = await handle(server.port)
    const lease = await engine.register(api('i1'))
    const following = await followed(engine)
    server.pause()
    const renewing = engine.renew([lease.token]).catch((error: unknown) => error)
    const watching = following.ended.catch((error: unknown) => error)
    await engine[Symbol.asyncDispose]()
    expect(isSeamarkError(await renewing, 'closed')).toBe(true)
    expect(isSeamarkError(await watching, 'closed')).toBe(true)
    closing = closing.filter((one) => one !== following)
  })

  test('locked by another password: that is told at once, without any password', async () => {
    const password = randomUUID()
    const server = await started('--requirepass', password)
    const at = `127.0.0.1:${server.port}`
    const refusals = [
      [`redis://:wrong-${password}@${at}`, 'WRONGPASS'],
      [`redis://ann:${password}@${at}`, 'WRONGPASS'],
      [`redis://${at}`, 'NOAUTH'],
      [`redis://:${password}@${at}/99`, 'DB index'],
    ] as const
    for (const [url, reply] of refusals) {
      const error: unknown = await redis(url).catch((error: unknown) => error)
      expect(error).toMatchObject({ code: 'configuration', message: expect.stringContaining(reply) })
      expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(password)
    }

    const notices: Notice[] = []
    const engine = keep(
      await redis(`redis://:${password}@${at}/3`, { notify: (notice) => notices.push(notice) }),
    )
    const lease = await engine.register(api('i1'))
    const operator = new Redis(server.port, '127.0.0.1', { password })
    await operator.config('SET', 'requirepass', 'another')
    await operator.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    operator.disconnect()
    await vi.waitUntil(() => notices.length > 0, patient)
    const error: unknown = await engine.renew([lease.token]).catch((error: unknown) => error)
    expect(error).toMatchObject({ ...unavailable, message: expect.stringContaining('WRONGPASS') })
    expect(inspect([error, notices], { depth: 20, showHidden: true })).not.toContain(password)
  })

  test('memory that Redis may free by evicting is told of', async () => {
    const server = await started('--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru')
    const notices: Notice[] = []
    keep(await redis(server.url, { notify: (notice) => notices.push(notice) }))
    expect(notices).toMatchObject([{ event: 'eviction_possible', level: 'warn' }])
  })
})
