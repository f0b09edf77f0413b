import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Follower, follower } from '@seamark/conformance'
import { type Engine, instance, isSeamarkError, type Lease, type ServiceKey } from '@seamark/core'
import { Etcd3 } from 'etcd3'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type EtcdCluster, type EtcdServer, etcdCluster, etcdServer } from '../../../test/servers/etcd.ts'
import { type Line, line } from '../../../test/servers/line.ts'
import { etcd } from './etcd.ts'

const service: ServiceKey = { namespace: 'default', service: 'api' }
const api = (id: string, port = 8080) => instance({ ...service, id, address: '10.0.0.1', port })
const away = { name: 'SeamarkError', code: 'engine_unavailable' }
const patience = 40_000

/** As an owner does: again and again until the engine can. */
async function persistently<T>(work: () => Promise<T>): Promise<T> {
  return vi
    .waitFor(
      async () => {
        try {
          return { answer: await work() }
        } catch (error) {
          if (isSeamarkError(error, 'engine_unavailable')) throw error
          return { error }
        }
      },
      { timeout: patience, interval: 50 },
    )
    .then((outcome) => {
      if ('error' in outcome) throw outcome.error
      return outcome.answer as T
    })
}

engineTests('etcd', () => {
  const opened: Engine[] = []
  afterEach(async () => {
    for (const each of opened.splice(0)) await each[Symbol.asyncDispose]()
  })

  async function open(url: string): Promise<Engine> {
    const engine = await etcd(url)
    opened.push(engine)
    return engine
  }

  describe('one server', () => {
    let server: EtcdServer
    let way: Line
    /** Goes over the line. */
    let engine: Engine
    /** Goes straight. */
    let near: Engine
    let worlds = 0

    beforeAll(async () => {
      server = await etcdServer()
    })
    afterAll(() => server?.[Symbol.asyncDispose]())
    beforeEach(async () => {
      const world = `world${++worlds}`
      way = await line(server.port)
      engine = await open(`etcd://127.0.0.1:${way.port}/${world}`)
      near = await open(`${server.url}/${world}`)
    })
    afterEach(() => way[Symbol.asyncDispose]())

    const watch = () => follower(engine, [service], { persistent: true, patience })
    const cut = () => {
      way.lead(undefined)
      way.cut()
    }
    const heal = () => way.lead(server.port)

    it('that restarts keeps all it acknowledged, and is watched on', async () => {
      await using following = watch()
      const lease = await engine.register(api('i1'), { ttl: 20_000 })
      await server.restart()
      await persistently(() => engine.register(api('i2')))
      await following.until('both', ({ entries }) => entries.size === 2)
      await lease.renew()
    })

    it('whose connection breaks for a moment is watched on without another listing', async () => {
      await using following = watch()
      await engine.register(api('i1'))
      await following.until('the first', ({ entries }) => entries.size === 1)
      for (let round = 2; round < 7; round++) {
        cut()
        await near.register(api(`i${round}`))
        heal()
        await following.until('the next', ({ entries }) => entries.size === round)
      }
      expect(resets(following)).toBe(1)
    })

    it('whose connection breaks while the watch catches up is caught up with, and nothing is lost', async () => {
      await using following = watch()
      await following.until('the listing', () => true)
      cut()
      // A member tells of 1,000 revisions at a time.
      const ids = Array.from({ length: 1_500 }, (_, n) => `i${n}`)
      await Promise.all(ids.map((id) => near.register(api(id))))
      heal()
      for (let round = 0; round < 3; round++) {
        const { size } = following.entries
        await following.until('some more', ({ entries }) => entries.size > size || size === ids.length)
        cut()
        heal()
      }
      await following.until('all', ({ entries }) => entries.size === ids.length)
    }, 60_000)

    it('that compacted its history while the watch was away is listed again', async () => {
      await using following = watch()
      await engine.register(api('gone'))
      await engine.register(api('i1'))
      await following.until('both', ({ entries }) => entries.size === 2)
      cut()
      await near.deregister(api('gone'))
      const { revision } = await near.register(api('i2'))
      const raw = new Etcd3({ hosts: `127.0.0.1:${server.port}` })
      await raw.kv.compact({ revision, physical: true })
      raw.close()
      heal()
      await following.until('the new one', () => following.entry(api('i2')) !== undefined)
      expect([...following.entries.values()].map((entry) => entry.instance.id).toSorted()).toEqual([
        'i1',
        'i2',
      ])
      expect(following.batches.at(-1)?.changes[0]?.type).toBe('reset')
    })

    it('that ended a lease while its owner was away has told so, once it is back', async () => {
      await using following = watch()
      const lease = await engine.register(api('i1'), { ttl: 1_000 })
      await following.until('it', ({ entries }) => entries.size === 1)
      cut()
      await using other = follower(near, [service], { patience })
      await other.until('the end', ({ entries }) => entries.size === 0)
      await expect(lease.renew()).rejects.toMatchObject(away)
      expect(lease.lost.aborted).toBe(false)
      heal()
      await following.until('the end', ({ entries }) => entries.size === 0)
      await expect(persistently(() => lease.renew())).rejects.toMatchObject({ code: 'lease_lost' })
      expect(lease.lost.aborted).toBe(true)
    })

    it('that cannot be reached makes everything fail, soon and clearly, and is found again', async () => {
      const lease = await engine.register(api('i1'))
      cut()
      const failures = await Promise.allSettled([
        engine.register(api('i2')),
        engine.renew([lease.token]),
        engine.resume(lease.token),
        engine.release(lease.token),
        engine.deregister(lease.key),
        engine.report(lease.key, []),
        engine.claim('primary', lease),
        follower(engine, [service]).until('anything', () => true),
      ])
      for (const failure of failures) expect(failure).toMatchObject({ status: 'rejected', reason: away })
      expect((failures[0] as PromiseRejectedResult).reason.message).toContain(`127.0.0.1:${way.port}`)
      heal()
      await persistently(() => lease.renew())
    })

    it('that is away is no reason not to open an engine', async () => {
      cut()
      const early = await open(`etcd://127.0.0.1:${way.port}/early${worlds}`)
      await expect(early.register(api('i1'))).rejects.toMatchObject(away)
      heal()
      const { ttl } = await persistently(() => early.register(api('i1'), { ttl: 1 }))
      expect(ttl).toBe(2_000)
    })

    it('behind a network that swallows everything is missed, and found again', async () => {
      await using following = watch()
      const lease = await engine.register(api('i1'), { ttl: 60_000 })
      const watched = Promise.allSettled([endOf(engine)])
      await following.until('it', ({ entries }) => entries.size === 1)
      way.hold()
      await expect(lease.renew()).rejects.toMatchObject(away)
      await near.register(api('i2'))
      // Pings find that nobody answers.
      expect(await watched).toMatchObject([{ status: 'rejected', reason: away }])
      way.release()
      await following.until('the second', ({ entries }) => entries.size === 2)
      await persistently(() => lease.renew())
    }, 90_000)

    it('that lost its data shows what it has now', async () => {
      await using following = watch()
      const lease = await engine.register(api('i1'))
      for (let port = 1; port < 20; port++) await engine.register(api('i2', port))
      await following.until('both', ({ entries }) => entries.size === 2)
      await server.kill()
      rmSync(join(server.folder, 'data'), { recursive: true })
      await server.start()
      await following.until('nothing', ({ entries }) => entries.size === 0)
      expect(following.revision).toBeLessThan(lease.revision)
      await expect(persistently(() => lease.renew())).rejects.toMatchObject({ code: 'lease_lost' })
      await engine.register(api('i3'))
      await following.until('the next', () => following.entry(api('i3')) !== undefined)
    })
  })

  describe('a cluster of three', () => {
    let cluster: EtcdCluster
    let engine: Engine
    let leases: Lease[]

    beforeEach(async () => {
      cluster = await etcdCluster()
      engine = await open(cluster.url)
      leases = []
      for (let n = 0; n < 20; n++) leases.push(await engine.register(api(`i${n}`), { ttl: 10_000 }))
    }, 60_000)
    afterEach(() => cluster?.[Symbol.asyncDispose]())

    it('whose leader is killed is watched on, and takes writes again; no instance is lost', async () => {
      await using following = follower(engine, [service], { persistent: true, patience })
      await following.until('all', ({ entries }) => entries.size === leases.length)
      for (let round = 0; round < 2; round++) {
        const leader = await cluster.leader()
        await leader.kill()
        const lease = await persistently(() => engine.register(api(`after${round}`)))
        await following.until('what came after', () => following.entry(lease.key) !== undefined)
        expect(await persistently(() => engine.renew(leases.map(({ token }) => token)))).not.toContain(false)
        await leader.start()
      }
      expect(following.entries.size).toBe(leases.length + 2)
      const deletions = following.batches
        .flatMap(({ changes }) => changes)
        .filter(({ type }) => type === 'delete')
      expect(deletions).toEqual([])
    }, 120_000)

    it('that loses its quorum says so, and nothing has gone when it is back', async () => {
      await using following = follower(engine, [service], { persistent: true, patience })
      await following.until('all', ({ entries }) => entries.size === leases.length)
      // The one that stays up would be silent: it is asked for a leader.
      const watched = Promise.allSettled(cluster.members.map(async ({ url }) => endOf(await open(url))))
      const leader = await cluster.leader()
      const other = cluster.members.find((member) => member !== leader)!
      await Promise.all([leader.kill(), other.kill()])
      for (const end of await watched) expect(end).toMatchObject({ status: 'rejected', reason: away })
      await expect(engine.register(api('meanwhile'))).rejects.toMatchObject(away)
      await Promise.all([leader.start(), other.start()])
      expect(await persistently(() => engine.renew(leases.map(({ token }) => token)))).not.toContain(false)
      const lease = await persistently(() => engine.register(api('after')))
      await following.until('what came after', () => following.entry(lease.key) !== undefined)
      // What could not be acknowledged may have been done, or not.
      expect([...following.entries.keys()].filter((key) => !key.endsWith('meanwhile'))).toHaveLength(
        leases.length + 1,
      )
    }, 120_000)
  })
})

function resets({ batches }: Follower): number {
  return batches.flatMap(({ changes }) => changes).filter(({ type }) => type === 'reset').length
}

/** Resolves or rejects as a watch ends. */
async function endOf(engine: Engine): Promise<void> {
  for await (const _ of engine.watch([service], new AbortController().signal));
}
