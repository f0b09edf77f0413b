import { randomUUID } from 'node:crypto'
import { follower, itemFollower } from '@seamark/conformance'
import { type Engine, instance, isSeamarkError, type Revision } from '@seamark/core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type ZookeeperEnsemble, zookeeperEnsemble } from '../../../test/servers/zookeeper.ts'
import { zookeeper } from './zookeeper.ts'

const pay = { namespace: 'default', service: 'pay' }
const ours = (id: string, port = 1) => instance({ ...pay, id, address: '127.0.0.1', port })

engineTests('zookeeper', () => {
  describe('an ensemble of three', { timeout: 60_000 }, () => {
    let ensemble: ZookeeperEnsemble
    let base: string
    const open: AsyncDisposable[] = []
    beforeAll(async () => {
      ensemble = await zookeeperEnsemble()
    }, 60_000)
    afterAll(async () => {
      await ensemble?.[Symbol.asyncDispose]()
    })
    beforeEach(() => {
      base = `/${randomUUID()}`
    })
    afterEach(async () => {
      for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]()
    })

    async function handle(url: string): Promise<Engine> {
      const engine = await zookeeper(`${url}${base}`)
      open.push(engine)
      return engine
    }

    it('shows at every server what was acknowledged at another', async () => {
      const engines = await Promise.all(ensemble.members.map(({ url }) => handle(url)))
      for (let round = 0; round < 60; round++) {
        const [one, next, third] = [0, 1, 2].map((at) => engines[(round + at) % 3]!)
        const lease = await one!.register(ours('i1', round + 1), { ttl: 60_000 })
        const resumed = await next!.resume(lease.token)
        const claim = await third!.claim('primary', resumed)
        expect(claim!.holder.id).toBe('i1')
        await one!.report(lease.key, [{ id: 'up', status: 'warning' }])
        await using following = follower(next!, [pay])
        await following.until('the reset', () => true)
        expect(following.entry(lease.key)).toMatchObject({
          instance: { port: round + 1 },
          health: { status: 'warning' },
        })
        expect(following.holders.size).toBe(1)
        await claim![Symbol.asyncDispose]()
        const again = await one!.claim('primary', lease)
        expect(again!.holder.fence).toBeGreaterThan(claim!.holder.fence)
        if (round % 2 === 0) expect(await third!.deregister(lease.key)).toBeDefined()
        else expect(await third!.release(lease.token)).toBeDefined()
        await expect(next!.resume(lease.token)).rejects.toMatchObject({ code: 'lease_lost' })
        expect(await one!.renew([lease.token])).toEqual([false])
        await expect(one!.report(lease.key, [{ id: 'up', status: 'passing' }])).rejects.toMatchObject({
          code: 'instance_not_found',
        })
      }
    })

    it('compares items with what is, at every server', async () => {
      const engines = await Promise.all(ensemble.members.map(({ url }) => handle(url)))
      const value = new Uint8Array()
      let revision = await engines[0]!.write([{ type: 'put', key: 'a', value, at: 0 }])
      for (let round = 1; round < 100; round++) {
        const [next, other] = [engines[round % 3]!, engines[(round + 1) % 3]!]
        const written = await next.write([{ type: 'put', key: 'a', value, at: revision! }])
        expect(written).toBeGreaterThan(revision!)
        expect(await other.write([{ type: 'check', key: 'a', at: revision! }])).toBeUndefined()
        revision = await other.write([{ type: 'delete', key: 'a' }])
        expect(revision).toBeGreaterThan(written!)
        expect(await next.write([{ type: 'delete', key: 'a' }])).toBe(0)
        revision = await next.write([{ type: 'put', key: 'a', value, at: 0 }])
        expect(revision).toBeGreaterThan(0)
      }
    })

    it('writes items once, or says that it may not have, when its leader is killed', async () => {
      const writers = [await handle(ensemble.url), await handle(ensemble.url), await handle(ensemble.url)]
      const acknowledged = new Map<string, Revision>()
      const unsure = new Set<string>()
      let over = false
      const writing = writers.map(async (engine, writer) => {
        for (let n = 0; !over; n++) {
          const key = `${writer}/${n}`
          const operation = { type: 'put', key, value: new Uint8Array(), at: 0 } as const
          try {
            acknowledged.set(key, (await engine.write([operation]))!)
          } catch (error) {
            if (!isSeamarkError(error, 'engine_unavailable')) throw error
            unsure.add(key)
          }
        }
      })
      const leader = await ensemble.leader()
      await leader.kill()
      const { size } = acknowledged
      await vi.waitUntil(() => acknowledged.size > size + 100, { timeout: 30_000 })
      over = true
      await Promise.all(writing)
      await leader.start()
      await using following = itemFollower(writers[0]!, '', { persistent: true })
      await following.reached(Math.max(...acknowledged.values()))
      for (const [key, revision] of acknowledged)
        expect(following.items.get(key)).toMatchObject({
          createdRevision: revision,
          modifiedRevision: revision,
        })
      for (const key of following.items.keys()) expect(acknowledged.has(key) || unsure.has(key)).toBe(true)
    })

    it('loses nothing when its leader is killed', async () => {
      const engines = [await handle(ensemble.url), await handle(ensemble.url)]
      const leases = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          engines[index % 2]!.register(ours(`i${index}`), { ttl: 4_000 }),
        ),
      )
      const following = follower(engines[1]!, [pay], { persistent: true })
      open.push(following)
      await following.until('all', ({ entries }) => entries.size === 20)
      const { revision } = following
      const leader = await ensemble.leader()
      await leader.kill()
      const tokens = leases.map(({ token }) => token)
      const renewed = () =>
        engines[0]!.renew(tokens).catch((error: unknown) => {
          if (!isSeamarkError(error, 'engine_unavailable')) throw error
          return undefined
        })
      await expect.poll(renewed, { timeout: 30_000 }).toEqual(tokens.map(() => true))
      const next = await engines[0]!.register(ours('next'))
      expect(next.revision).toBeGreaterThan(revision)
      await following.until('what came after', ({ entries }) => entries.size === 21)
      for (const { changes } of following.batches)
        for (const change of changes) {
          expect(change.type).not.toBe('delete')
          if (change.type === 'reset')
            expect(change.entries.length === 0 || change.entries.length >= 20).toBe(true)
        }
      await leader.start()
    })
  })
})
