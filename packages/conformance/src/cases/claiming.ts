import { limits } from '@seamark/core'
import { expect } from 'vitest'
import type { Cases } from '../suite.ts'
import type { EngineTrial } from '../trial.ts'

/** `claim`: one holder at a time. */
export const claiming: Cases<EngineTrial> = {
  'one of twenty that race for a claim wins': async (trial) => {
    const handles = [await trial.open(), await trial.open()]
    const leases = await Promise.all(
      Array.from({ length: 20 }, (_, index) => handles[index % 2]!.register(trial.instance(`i${index}`))),
    )
    for (const name of ['primary', 'secondary']) {
      const claims = await Promise.all(leases.map((lease, index) => handles[index % 2]!.claim(name, lease)))
      const [winner, ...others] = claims.filter((claim) => claim !== undefined)
      expect(others).toEqual([])
      expect(winner!.holder).toMatchObject({ ...leases[claims.indexOf(winner)]!.key, name })
      const { holders } = await trial.read(handles[0]!)
      expect(holders.filter((holder) => holder.name === name)).toEqual([winner!.holder])
    }
  },

  'claims and releases are shown to watchers, and holders in a reset': async (trial) => {
    const [engine, other] = [await trial.open(), await trial.open()]
    const following = trial.follow(other)
    const lease = await engine.register(trial.instance('i1'))
    const claim = await engine.claim('primary', lease)
    await following.reached(claim!.revision)
    expect(following.holder({ ...trial.service, name: 'primary' })).toEqual(claim!.holder)
    expect((await trial.read(other, [trial.service], claim!.revision)).holders).toEqual([claim!.holder])
    await claim![Symbol.asyncDispose]()
    await following.until('the release', ({ holders }) => holders.size === 0)
    expect((await trial.read(other)).holders).toEqual([])
    expect(following.entries.size).toBe(1)
  },

  'the holder may claim again, and keeps its fence': async (trial) => {
    const [engine, other] = [await trial.open(), await trial.open()]
    const lease = await engine.register(trial.instance('i1'))
    const first = await engine.claim('primary', lease)
    const again = await engine.claim('primary', lease)
    const there = await other.claim('primary', await other.resume(lease.token))
    expect(again!.holder).toEqual(first!.holder)
    expect(there!.holder).toEqual(first!.holder)
  },

  'a claim that is held is refused to others, until it is released': async (trial) => {
    const [engine, other] = [await trial.open(), await trial.open()]
    const holder = await engine.register(trial.instance('i1'))
    const waiting = await other.register(trial.instance('i2'))
    const claim = await engine.claim('primary', holder)
    expect(await other.claim('primary', waiting)).toBeUndefined()
    await claim![Symbol.asyncDispose]()
    const next = await other.claim('primary', waiting)
    expect(next!.holder.id).toBe('i2')
    expect(next!.holder.fence).toBeGreaterThan(claim!.holder.fence)
    // What the former holder still does harms nobody.
    await claim![Symbol.asyncDispose]()
    expect((await trial.read(engine)).holders).toEqual([next!.holder])
    expect(await engine.claim('primary', holder)).toBeUndefined()
  },

  'the same holder that claims anew gets a new fence': async (trial) => {
    const engine = await trial.open()
    const lease = await engine.register(trial.instance('i1'))
    const first = await engine.claim('primary', lease)
    await first![Symbol.asyncDispose]()
    const second = await engine.claim('primary', lease)
    expect(second!.holder.fence).toBeGreaterThan(first!.holder.fence)
    // What was released is over: it does not release what came after.
    await first![Symbol.asyncDispose]()
    expect((await trial.read(engine)).holders).toEqual([second!.holder])
  },

  'a claim is free again after its lease, however that ends': async (trial) => {
    const engine = await trial.open()
    const following = trial.follow(engine)
    const waiting = await engine.register(trial.instance('waiting'))
    let fence = 0
    const ends: Record<string, (token: string) => Promise<unknown>> = {
      release: (token) => engine.release(token),
      deregister: () => engine.deregister(trial.key('holder')),
      supersede: () => engine.register(trial.instance('holder')),
      expiry: () => trial.time.elapse(trial.ttl + trial.terms.lateness),
    }
    for (const [how, end] of Object.entries(ends)) {
      const lease = await engine.register(trial.instance('holder'), { ttl: trial.ttl })
      const claim = await engine.claim('primary', lease)
      expect(claim!.holder.id, how).toBe('holder')
      expect(claim!.holder.fence).toBeGreaterThan(fence)
      expect(await engine.claim('primary', waiting)).toBeUndefined()
      await following.reached(claim!.revision)
      await end(lease.token)
      await following.until(`the claim to be free after ${how}`, ({ holders }) => holders.size === 0)
      const next = await engine.claim('primary', waiting)
      expect(next!.holder.fence).toBeGreaterThan(claim!.holder.fence)
      fence = next!.holder.fence
      await next![Symbol.asyncDispose]()
      await claim![Symbol.asyncDispose]()
      await following.until('the release', ({ holders }) => holders.size === 0)
      await engine.deregister(trial.key('holder'))
    }
  },

  'superseding a lease releases its claims, also for its successor': async (trial) => {
    const engine = await trial.open()
    const former = await engine.register(trial.instance('i1'))
    const claim = await engine.claim('primary', former)
    const successor = await engine.register(trial.instance('i1'))
    const state = await trial.read(engine)
    expect(state.holders).toEqual([])
    await expect(engine.claim('primary', former)).rejects.toMatchObject({ code: 'lease_lost' })
    const again = await engine.claim('primary', successor)
    expect(again!.holder.fence).toBeGreaterThan(claim!.holder.fence)
  },

  'a lease that is lost cannot claim': async (trial) => {
    const [engine, other] = [await trial.open(), await trial.open()]
    const lease = await engine.register(trial.instance('i1'))
    await other.deregister(lease.key)
    await expect(engine.claim('primary', lease)).rejects.toMatchObject({ code: 'lease_lost' })
    expect((await trial.read(engine)).holders).toEqual([])
  },

  'a lease holds many claims, and loses them together': async (trial) => {
    const engine = await trial.open()
    const following = trial.follow(engine)
    const lease = await engine.register(trial.instance('i1'))
    const names = Array.from({ length: 10 }, (_, index) => `shard/${index}`)
    await Promise.all(names.map((name) => engine.claim(name, lease)))
    await following.until('all claims', ({ holders }) => holders.size === names.length)
    await engine.deregister(lease.key)
    await following.until('no claim', ({ holders, entries }) => holders.size === 0 && entries.size === 0)
    expect((await trial.read(engine)).holders).toEqual([])
  },

  'claims of the same name in two services have nothing to do with each other': async (trial) => {
    const engine = await trial.open()
    const one = await engine.register(trial.instance('i1'))
    const other = await engine.register(trial.instance('w1', { service: 'web' }))
    expect(await engine.claim('primary', one)).toBeDefined()
    expect(await engine.claim('primary', other)).toBeDefined()
    expect((await trial.read(engine)).holders.map(({ id }) => id)).toEqual(['i1'])
    await engine.deregister(one.key)
    expect((await trial.read(engine, [{ ...trial.service, service: 'web' }])).holders).toHaveLength(1)
  },

  'a claim survives renewals, reports and long life': async (trial) => {
    const engine = await trial.open()
    const lease = await engine.register(trial.instance('i1'), { ttl: trial.ttl })
    const claim = await engine.claim('primary', lease)
    for (let round = 0; round < 4; round++) {
      await trial.time.elapse(lease.ttl! / 2)
      await lease.renew()
      await engine.report(lease.key, [{ id: 'up', status: round % 2 ? 'passing' : 'critical' }])
    }
    expect((await trial.read(engine)).holders).toEqual([claim!.holder])
  },

  'a claim survives a crash with its lease, and its fence does not go back': async (trial) => {
    const before = await trial.open()
    const lease = await before.register(trial.instance('i1'))
    const claim = await before.claim('primary', lease)
    await trial.crash()
    const engine = await trial.open()
    expect((await trial.read(engine)).holders).toEqual([claim!.holder])
    const waiting = await engine.register(trial.instance('i2'))
    expect(await engine.claim('primary', waiting)).toBeUndefined()
    await engine.release(lease.token)
    const next = await engine.claim('primary', waiting)
    expect(next!.holder.fence).toBeGreaterThan(claim!.holder.fence)
  },

  'a name that is none is refused': async (trial) => {
    const engine = await trial.open()
    const lease = await engine.register(trial.instance('i1'))
    for (const name of ['', 'x'.repeat(limits.nameBytes + 1), 'a\nb'])
      await expect(engine.claim(name, lease)).rejects.toMatchObject({ code: 'invalid_field' })
  },
}
