import { instance, isSeamarkError, limits } from '@seamark/core'
import { expect } from 'vitest'
import type { Cases } from '../suite.ts'
import { type EngineTrial, inRounds } from '../trial.ts'

/** `register`, `deregister`, `release`: what is there, and who took it away. */
export const registering: Cases<EngineTrial> = {
  'promises the terms that its documentation does': async (trial) => {
    const { terms } = await trial.open()
    expect(terms).toEqual(trial.terms)
    expect(Number.isInteger(terms.minimumTtl) && terms.minimumTtl >= 1).toBe(true)
    expect(Number.isInteger(terms.lateness) && terms.lateness >= 0).toBe(true)
  },

  'a registration is visible to watchers at its revision': async (trial) => {
    const engine = await trial.open()
    const following = trial.follow(engine)
    for (const id of ['i1', 'i2', 'i3']) {
      const lease = await engine.register(trial.instance(id))
      expect(lease.key).toEqual(trial.key(id))
      await following.reached(lease.revision)
      expect(following.entry(lease.key)?.instance).toEqual(trial.instance(id))
    }
  },

  'a watch that begins after a registration has it in its reset': async (trial) => {
    const engine = await trial.open()
    for (let index = 0; index < 10; index++) {
      const lease = await engine.register(trial.instance(`i${index}`))
      const state = await trial.read(engine)
      expect(state.revision).toBeGreaterThanOrEqual(lease.revision)
      expect(state.entries).toHaveLength(index + 1)
    }
  },

  'a put carries the full entry': async (trial) => {
    const engine = await trial.open()
    const following = trial.follow(engine)
    await following.until('the reset', () => true)
    const registered = await full(trial)
    const { revision } = await engine.register(registered, { ttl: trial.ttl })
    await following.reached(revision)
    expect(following.batches.at(-1)!.changes).toEqual([
      {
        type: 'put',
        entry: {
          instance: registered,
          health: {
            status: 'critical',
            checks: registered.checks.map(({ id }) => ({
              id,
              status: 'critical',
              output: 'not checked yet',
            })),
          },
          createdRevision: revision,
          modifiedRevision: revision,
        },
      },
    ])
    expect((await trial.read(engine)).entries).toEqual([following.entry(registered)])
  },

  'checks of every kind come back as they were': async (trial) => {
    const engine = await trial.open()
    const registered = trial.instance('i1', {
      checks: [
        { type: 'http', url: '/healthz?full=1', timeout: 1_500, interval: 5_000, deregisterAfter: 60_000 },
        { type: 'tcp', target: '127.0.0.1:9000' },
        { type: 'tcp', id: 'own port', successThreshold: 2, failureThreshold: 100 },
        { type: 'grpc', service: 'shop.Cart', tls: true },
        { type: 'command', command: ['true', '--strange', 'ü', ''] },
      ],
    })
    await engine.register(registered)
    const [entry] = (await trial.read(engine)).entries
    expect(entry?.instance).toEqual(registered)
    expect(entry?.health.checks.map(({ id }) => id)).toEqual(registered.checks.map(({ id }) => id))
  },

  'an instance with nothing optional comes back with nothing added': async (trial) => {
    const engine = await trial.open()
    await engine.register(trial.instance('i1'))
    const [entry] = (await trial.read(engine)).entries
    expect(Object.keys(entry!.instance).sort()).toEqual(Object.keys(trial.instance('i1')).sort())
    expect(entry!.health).toEqual({ status: 'passing', checks: [] })
  },

  'the same entry is seen by two handles': async (trial) => {
    const [one, other] = [await trial.open(), await trial.open()]
    const following = [trial.follow(one), trial.follow(other)]
    const { key, revision } = await one.register(await full(trial), { ttl: trial.ttl })
    for (const each of following) await each.reached(revision)
    expect(following[1]!.entry(key)).toEqual(following[0]!.entry(key))
    expect(following[1]!.entry(key)?.instance).toEqual(await full(trial))
  },

  'the same id in two services of a namespace is two instances': async (trial) => {
    const engine = await trial.open()
    const web = { ...trial.service, service: 'web' }
    await engine.register(trial.instance('i1', { port: 1 }))
    await engine.register(trial.instance('i1', { ...web, port: 2 }))
    await engine.deregister(trial.key('i1'))
    const { entries } = await trial.read(engine, [trial.service, web])
    expect(entries.map((entry) => entry.instance.port)).toEqual([2])
  },

  'registering again replaces the instance and keeps when it was created': async (trial) => {
    const engine = await trial.open()
    const following = trial.follow(engine)
    const first = await engine.register(await full(trial))
    const second = await engine.register(trial.instance('i1', { port: 4_000 }))
    expect(second.revision).toBeGreaterThan(first.revision)
    await following.reached(second.revision)
    expect(following.entry(first.key)).toMatchObject({
      instance: trial.instance('i1', { port: 4_000 }),
      createdRevision: first.revision,
      modifiedRevision: second.revision,
    })
    expect(following.entries.size).toBe(1)
    // Nothing of the former shines through.
    expect(following.entry(first.key)!.instance).toEqual(trial.instance('i1', { port: 4_000 }))
  },

  'an instance that was away is created anew': async (trial) => {
    const engine = await trial.open()
    await engine.register(trial.instance('i1'))
    await engine.deregister(trial.key('i1'))
    const { revision } = await engine.register(trial.instance('i1'))
    const [entry] = (await trial.read(engine)).entries
    expect(entry).toMatchObject({ createdRevision: revision, modifiedRevision: revision })
  },

  'a registration without TTL stays': async (trial) => {
    const engine = await trial.open()
    const lease = await engine.register(trial.instance('i1'))
    expect(lease.ttl).toBeUndefined()
    await trial.time.elapse(trial.time.driven ? 10 * limits.ttl : 3 * trial.ttl + trial.terms.lateness)
    expect((await trial.read(engine)).entries).toHaveLength(1)
    await lease.renew()
    expect(lease.lost.aborted).toBe(false)
  },

  'a registration survives a crash': async (trial) => {
    const before = await trial.open()
    const { key } = await before.register(await full(trial))
    await before.register(trial.instance('i2'))
    await before.report(trial.key('i2'), [{ id: 'load', status: 'warning', output: 'high' }])
    const state = await trial.read(before)
    await trial.crash()
    const engine = await trial.open()
    const after = await trial.read(engine)
    const byId = (one: typeof state) =>
      one.entries.toSorted((a, b) => (a.instance.id < b.instance.id ? -1 : 1))
    expect(byId(after)).toEqual(byId(state))
    expect(after.revision).toBeGreaterThanOrEqual(state.revision)
    const next = await engine.register(trial.instance('i3'))
    expect(next.revision).toBeGreaterThan(state.revision)
    expect(await engine.deregister(key)).toBeGreaterThan(next.revision)
  },

  'deregistering removes an instance, and answers at which revision': async (trial) => {
    const [engine, other] = [await trial.open(), await trial.open()]
    const following = trial.follow(engine)
    const lease = await engine.register(trial.instance('i1'))
    const revision = await other.deregister(lease.key)
    expect(revision).toBeGreaterThan(lease.revision)
    await following.reached(revision!)
    expect(following.entry(lease.key)).toBeUndefined()
  },

  'deregistering what is not there answers undefined': async (trial) => {
    const engine = await trial.open()
    expect(await engine.deregister(trial.key('i1'))).toBeUndefined()
    await engine.register(trial.instance('i1'))
    expect(await engine.deregister(trial.key('i2'))).toBeUndefined()
    expect(await engine.deregister({ ...trial.key('i1'), service: 'web' })).toBeUndefined()
    expect(await engine.deregister(trial.key('i1'))).toBeDefined()
    expect(await engine.deregister(trial.key('i1'))).toBeUndefined()
  },

  'deregistering by someone else aborts the lease of the owner': async (trial) => {
    const [owner, other] = [await trial.open(), await trial.open()]
    for (const options of [{}, { ttl: trial.ttl }]) {
      const lease = await owner.register(trial.instance('i1'), options)
      expect(lease.lost.aborted).toBe(false)
      await other.deregister(lease.key)
      await expectLost(lease)
    }
  },

  'releasing ends the lease and removes the instance': async (trial) => {
    const [engine, other] = [await trial.open(), await trial.open()]
    const following = trial.follow(engine)
    const lease = await engine.register(trial.instance('i1'), { ttl: trial.ttl })
    const revision = await other.release(lease.token)
    expect(revision).toBeGreaterThan(lease.revision)
    await following.reached(revision!)
    expect(following.entries.size).toBe(0)
    await expectLost(lease)
    expect(await engine.release(lease.token)).toBeUndefined()
  },

  'disposing of a lease releases it, and of a lost one does nothing': async (trial) => {
    const engine = await trial.open()
    {
      await using lease = await engine.register(trial.instance('i1'))
      expect((await trial.read(engine)).entries).toHaveLength(1)
      expect(lease.lost.aborted).toBe(false)
    }
    expect((await trial.read(engine)).entries).toEqual([])
    const lease = await engine.register(trial.instance('i1'))
    const successor = await engine.register(trial.instance('i1'))
    await lease[Symbol.asyncDispose]()
    await lease[Symbol.asyncDispose]()
    expect((await trial.read(engine)).entries).toHaveLength(1)
    await successor[Symbol.asyncDispose]()
    await successor[Symbol.asyncDispose]()
    expect((await trial.read(engine)).entries).toEqual([])
  },

  'releasing a superseded lease leaves its successor alone': async (trial) => {
    const [engine, other] = [await trial.open(), await trial.open()]
    const former = await engine.register(trial.instance('i1', { port: 1 }), { ttl: trial.ttl })
    const successor = await other.register(trial.instance('i1', { port: 2 }))
    expect(await engine.release(former.token)).toBeUndefined()
    await former[Symbol.asyncDispose]()
    const [entry] = (await trial.read(engine)).entries
    expect(entry?.instance.port).toBe(2)
    await successor.renew()
  },

  'superseding ends the former lease': async (trial) => {
    const [one, other] = [await trial.open(), await trial.open()]
    for (const options of [{}, { ttl: trial.ttl }]) {
      const former = await one.register(trial.instance('i1'), options)
      const successor = await other.register(trial.instance('i1'), options)
      expect(successor.token).not.toBe(former.token)
      await expectLost(former)
      expect(await one.renew([former.token, successor.token])).toEqual([false, true])
      await expect(other.resume(former.token)).rejects.toMatchObject({ code: 'lease_lost' })
      expect(successor.lost.aborted).toBe(false)
    }
  },

  'handles that race for one key end with one winner, whom both show': async (trial) => {
    const [one, other] = [await trial.open(), await trial.open()]
    const following = [trial.follow(one), trial.follow(other)]
    for (let round = 0; round < 3; round++) {
      const leases = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          (index % 2 === 0 ? one : other).register(trial.instance('i1', { port: index + 1 }), {
            ttl: trial.ttl,
          }),
        ),
      )
      const held = await one.renew(leases.map((lease) => lease.token))
      expect(held.filter(Boolean)).toHaveLength(1)
      const winner = leases[held.indexOf(true)]!
      expect(winner.revision).toBe(Math.max(...leases.map((lease) => lease.revision)))
      for (const each of following) await each.reached(winner.revision)
      for (const each of following) {
        expect(each.entry(winner.key)?.instance.port).toBe(held.indexOf(true) + 1)
        expect(each.entry(winner.key)?.modifiedRevision).toBe(winner.revision)
      }
    }
  },

  'many registrations at once are all visible once they resolve': async (trial) => {
    const handles = [await trial.open(), await trial.open()]
    const following = trial.follow(handles[0]!)
    const ids = Array.from({ length: 300 }, (_, index) => `i${index}`)
    const leases = await Promise.all(
      ids.map((id, index) =>
        handles[index % 2]!.register(trial.instance(id), index % 3 === 0 ? { ttl: trial.ttl * 100 } : {}),
      ),
    )
    expect(new Set(leases.map(({ token }) => token)).size).toBe(ids.length)
    const state = await trial.read(handles[1]!)
    expect(state.entries).toHaveLength(ids.length)
    await following.reached(Math.max(...leases.map(({ revision }) => revision)))
    expect(following.entries.size).toBe(ids.length)
    for (const lease of leases)
      expect(following.entry(lease.key)).toMatchObject({
        createdRevision: lease.revision,
        modifiedRevision: lease.revision,
      })
  },

  'a watch of everything shows every service': async (trial) => {
    const engine = await trial.open()
    await engine.register(trial.instance('i1'))
    const following = trial.followAll(engine)
    await following.until('the first', () => following.entry(trial.key('i1')) !== undefined)
    const web = trial.instance('w1', { service: 'web' })
    const far = trial.instance('i1', { namespace: `${trial.service.namespace}.far` })
    const lease = await engine.register(web)
    await using _ = await engine.register(far)
    await engine.claim('primary', lease)
    await following.until(
      'all',
      () =>
        following.entry(web) !== undefined &&
        following.entry(far) !== undefined &&
        following.holder({ ...web, name: 'primary' }) !== undefined,
    )
    await engine.deregister(web)
    await following.until('the deletion', () => following.entry(web) === undefined)
    expect(following.holder({ ...web, name: 'primary' })).toBeUndefined()
    expect(following.entry(far)).toBeDefined()
  },

  'tokens are shown to no watcher, and cannot be guessed from each other': async (trial) => {
    const engine = await trial.open()
    const following = trial.follow(engine)
    const leases = await inRounds(['i1', 'i2', 'i3'], 3, (id) =>
      engine.register(trial.instance(id), { ttl: trial.ttl }),
    )
    await engine.claim('primary', leases[0]!)
    await following.reached(Math.max(...leases.map(({ revision }) => revision)))
    await following.until('the claim', ({ holders }) => holders.size === 1)
    const shown = JSON.stringify([following.batches, await trial.read(engine)])
    for (const { token } of leases) {
      expect(token.length).toBeGreaterThanOrEqual(16)
      expect(shown).not.toContain(token)
    }
  },

  'what was disposed of refuses to work': async (trial) => {
    const engine = await trial.open()
    const lease = await engine.register(trial.instance('i1'))
    await engine[Symbol.asyncDispose]()
    const closed = { code: 'closed' }
    await expect(engine.register(trial.instance('i2'))).rejects.toMatchObject(closed)
    await expect(engine.renew([lease.token])).rejects.toMatchObject(closed)
    await expect(engine.resume(lease.token)).rejects.toMatchObject(closed)
    await expect(engine.release(lease.token)).rejects.toMatchObject(closed)
    await expect(engine.deregister(lease.key)).rejects.toMatchObject(closed)
    await expect(engine.report(lease.key, [])).rejects.toMatchObject(closed)
    await expect(engine.claim('primary', lease)).rejects.toMatchObject(closed)
    await expect(trial.read(engine)).rejects.toMatchObject(closed)
  },

  'disposing of a handle releases no lease': async (trial) => {
    const engine = await trial.open()
    const lease = await engine.register(trial.instance('i1'), { ttl: trial.ttl })
    const stays = await engine.register(trial.instance('i2'))
    await engine[Symbol.asyncDispose]()
    const next = await trial.open()
    expect(await next.renew([lease.token, stays.token])).toEqual([true, true])
    expect((await trial.read(next)).entries).toHaveLength(2)
  },

  'writing goes on after a disconnect': async (trial) => {
    const engine = await trial.open()
    const lease = await engine.register(trial.instance('i1'), { ttl: trial.ttl * 100 })
    for (let round = 0; round < 5; round++) {
      await trial.disconnect()
      await trial.eventually('a write', async () => {
        try {
          await engine.register(trial.instance(`next${round}`))
          return true
        } catch (error) {
          if (isSeamarkError(error, 'engine_unavailable')) return false
          throw error
        }
      })
      expect(await trial.held(engine, lease)).toBe(true)
    }
    expect(lease.lost.aborted).toBe(false)
    expect((await trial.read(engine)).entries).toHaveLength(6)
  },
}

/** An instance with everything that an instance can have. */
async function full(trial: EngineTrial) {
  return instance({
    ...trial.key('i1'),
    address: '127.0.0.1',
    port: 65_535,
    scheme: 'grpc',
    version: '2.1.0-rc.1+build.7',
    zone: 'eu-central-1a',
    weight: 0,
    tags: ['canary', 'v2', 'with space', 'a=b,c'],
    metadata: { team: 'checkout', empty: '', 'strange key/=%': 'ü\u{1f600}' },
    checks: [
      {
        ...(await trial.check('up')),
        method: 'POST',
        headers: { 'x-probe': 'seamark' },
        successThreshold: 2,
        failureThreshold: 3,
        deregisterAfter: limits.ttl,
      },
      await trial.check('also up'),
    ],
    route: {
      host: '*.shop.example',
      path: '/tickets',
      rewrite: '/',
      methods: ['GET', 'POST'],
      roles: ['tickets-query'],
      timeout: 2_000,
      retries: 1,
      priority: 10,
    },
  })
}

/** A lease is known to be lost at the latest when it is renewed. */
async function expectLost(lease: { renew(): Promise<void>; readonly lost: AbortSignal }): Promise<void> {
  await expect(lease.renew()).rejects.toMatchObject({ name: 'SeamarkError', code: 'lease_lost' })
  expect(lease.lost.aborted).toBe(true)
  expect(isSeamarkError(lease.lost.reason, 'lease_lost')).toBe(true)
}
