import { randomUUID } from 'node:crypto'
import { follower } from '@seamark/conformance'
import { type Engine, instance, isSeamarkError } from '@seamark/core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
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
