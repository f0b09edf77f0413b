import { type Lease, limits } from '@seamark/core'
import { expect } from 'vitest'
import type { Cases } from '../suite.ts'
import type { EngineTrial } from '../trial.ts'

/** Leases: never over early, never over late. */
export const leasing: Cases<EngineTrial> = {
  'a lease that is not renewed ends after its TTL, and not before': async (trial) => {
    const engine = await trial.open()
    const { result: lease, ...moment } = await trial.timed(() =>
      engine.register(trial.instance('i1'), { ttl: trial.ttl }),
    )
    await trial.expectExpiry(engine, lease, moment)
    await expect(lease.renew()).rejects.toMatchObject({ code: 'lease_lost' })
    expect(lease.lost.aborted).toBe(true)
    await expect(engine.resume(lease.token)).rejects.toMatchObject({ code: 'lease_lost' })
    expect(await engine.release(lease.token)).toBeUndefined()
  },

  'the shortest lease keeps the terms': async (trial) => {
    const engine = await trial.open()
    const { result: lease, ...moment } = await trial.timed(() =>
      engine.register(trial.instance('i1'), { ttl: 1 }),
    )
    expect(lease.ttl).toBeGreaterThanOrEqual(trial.terms.minimumTtl)
    await trial.expectExpiry(engine, lease, moment)
  },

  'leases of many lengths each keep the terms': async (trial) => {
    const engine = await trial.open()
    const { time, ttl, terms } = trial
    const following = trial.follow(engine)
    // Also just past whatever moments a sweeper looks at.
    const lengths = [1, ttl, ttl + 1, ttl + 3, Math.round(ttl * 1.37), 2 * ttl - 1, 2 * ttl]
    const leases: { lease: Lease; from: number; to: number; gone: Promise<number> }[] = []
    for (const [index, length] of lengths.entries()) {
      const { result: lease, ...moment } = await trial.timed(() =>
        engine.register(trial.instance(`i${index}`), { ttl: length }),
      )
      await following.reached(lease.revision)
      const gone = following
        .until('the end of the lease', () => following.entry(lease.key) === undefined)
        .then(() => time.now())
      gone.catch(() => undefined)
      leases.push({ lease, ...moment, gone })
    }
    const step = Math.max(1, Math.floor(ttl / 100))
    for (let passed = 0; passed < 2 * ttl + terms.lateness + step; passed += step) {
      await time.elapse(step)
      // On a real clock a step says little; the time of the deletion then does.
      if (!time.driven) continue
      const there = new Set((await trial.read(engine)).entries.map(({ instance }) => instance.id))
      for (const { lease, from } of leases)
        if (time.now() < from + lease.ttl!) expect(there).toContain(lease.key.id)
    }
    for (const { lease, from, to, gone } of leases) {
      const end = await gone
      expect(end).toBeGreaterThanOrEqual(from + lease.ttl!)
      expect(end).toBeLessThanOrEqual(to + lease.ttl! + terms.lateness + step + time.precision)
    }
  },

  'a lease that is renewed lives on': async (trial) => {
    const engine = await trial.open()
    const lease = await engine.register(trial.instance('i1'), { ttl: trial.ttl })
    for (let round = 0; round < 6; round++) {
      await trial.time.elapse(lease.ttl! / 2)
      await lease.renew()
    }
    expect(lease.lost.aborted).toBe(false)
    const { result: held, ...moment } = await trial.timed(() => trial.held(engine, lease))
    expect(held).toBe(true)
    await trial.expectExpiry(engine, lease, moment)
  },

  'renewing again and again does not add up': async (trial) => {
    const engine = await trial.open()
    const lease = await engine.register(trial.instance('i1'), { ttl: trial.ttl })
    await lease.renew()
    await engine.renew(Array.from({ length: 10 }, () => lease.token))
    const { result: _, ...moment } = await trial.timed(() => lease.renew())
    await trial.expectExpiry(engine, lease, moment)
  },

  'a late renewal gives a full TTL': async (trial) => {
    const engine = await trial.open()
    const lease = await engine.register(trial.instance('i1'), { ttl: trial.ttl })
    await trial.time.elapse(lease.ttl! - 2 * trial.time.precision)
    const { result: _, ...moment } = await trial.timed(() => lease.renew())
    await trial.expectExpiry(engine, lease, moment)
  },

  'the TTL granted is never less than asked, nor than the shortest': async (trial) => {
    const engine = await trial.open()
    const { minimumTtl } = trial.terms
    for (const asked of [1, minimumTtl - 1, minimumTtl, minimumTtl + 1, 12_345, limits.ttl]) {
      if (asked < 1) continue
      const { ttl } = await engine.register(trial.instance('i1'), { ttl: asked })
      expect(ttl).toBeGreaterThanOrEqual(Math.max(asked, minimumTtl))
      expect(Number.isInteger(ttl)).toBe(true)
    }
  },

  'a TTL that is no whole number from 1 to a day is refused, and changes nothing': async (trial) => {
    const engine = await trial.open()
    const lease = await engine.register(trial.instance('i1'))
    for (const ttl of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, limits.ttl + 1])
      await expect(engine.register(trial.instance('i1', { port: 1 }), { ttl })).rejects.toMatchObject({
        code: 'invalid_field',
        field: 'ttl',
      })
    expect((await trial.read(engine)).entries).toMatchObject([
      { instance: trial.instance('i1'), modifiedRevision: lease.revision },
    ])
    await lease.renew()
  },

  'registering again gives the new TTL from then on': async (trial) => {
    const engine = await trial.open()
    await engine.register(trial.instance('i1'), { ttl: trial.ttl })
    await engine.register(trial.instance('i2'), { ttl: trial.ttl })
    await engine.register(trial.instance('i3'), { ttl: 20 * trial.ttl })
    await engine.register(trial.instance('i4'))
    await trial.time.elapse(trial.ttl / 2)
    await engine.register(trial.instance('i1'))
    await engine.register(trial.instance('i2'), { ttl: 20 * trial.ttl })
    await engine.register(trial.instance('i4'), { ttl: trial.ttl })
    const { result: lease, ...moment } = await trial.timed(() =>
      engine.register(trial.instance('i3'), { ttl: trial.ttl }),
    )
    await trial.expectExpiry(engine, lease, moment)
    const following = trial.follow(engine)
    await following.until('the end of i4', () => following.entry(trial.key('i4')) === undefined)
    expect([...following.entries.values()].map((entry) => entry.instance.id).sort()).toEqual(['i1', 'i2'])
  },

  'a lease resumes from a second handle, and can be renewed and released there': async (trial) => {
    const [one, other] = [await trial.open(), await trial.open()]
    const lease = await one.register(trial.instance('i1'), { ttl: trial.ttl })
    const resumed = await other.resume(lease.token)
    expect(resumed).toMatchObject({ key: lease.key, token: lease.token, ttl: lease.ttl })
    expect(resumed.revision).toBeGreaterThanOrEqual(lease.revision)
    expect(resumed.lost.aborted).toBe(false)
    for (let round = 0; round < 4; round++) {
      await trial.time.elapse(lease.ttl! / 2)
      await resumed.renew()
    }
    await lease.renew()
    await resumed[Symbol.asyncDispose]()
    expect((await trial.read(one)).entries).toEqual([])
    await expect(lease.renew()).rejects.toMatchObject({ code: 'lease_lost' })
    expect(lease.lost.aborted).toBe(true)
  },

  'a registration without TTL resumes, too': async (trial) => {
    const [one, other] = [await trial.open(), await trial.open()]
    const lease = await one.register(trial.instance('i1'))
    const resumed = await other.resume(lease.token)
    expect(resumed.ttl).toBeUndefined()
    expect(resumed.key).toEqual(lease.key)
    await resumed.renew()
    expect(await one.renew([lease.token])).toEqual([true])
  },

  'resuming does not renew': async (trial) => {
    const [one, other] = [await trial.open(), await trial.open()]
    const { result: lease, ...moment } = await trial.timed(() =>
      one.register(trial.instance('i1'), { ttl: trial.ttl }),
    )
    await trial.time.elapse(lease.ttl! / 2)
    await other.resume(lease.token)
    await trial.expectExpiry(one, lease, moment)
  },

  'a token that nobody was given is lost': async (trial) => {
    const engine = await trial.open()
    const { token } = await engine.register(trial.instance('i1'))
    const flipped = `${token.startsWith('A') ? 'B' : 'A'}${token.slice(1)}`
    const strange = ['no-such-token', flipped, `${token}x`, token.slice(1), '../x', '__proto__', 'サービス']
    for (const unknown of strange) {
      await expect(engine.resume(unknown), unknown).rejects.toMatchObject({ code: 'lease_lost' })
      expect(await engine.release(unknown)).toBeUndefined()
    }
    expect(await engine.renew([...strange, token])).toEqual([...strange.map(() => false), true])
  },

  'renewing many answers for each, in the order asked': async (trial) => {
    const engine = await trial.open()
    const leases = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        engine.register(trial.instance(`i${index}`), { ttl: trial.ttl * 100 }),
      ),
    )
    await Promise.all(leases.filter((_, index) => index % 3 === 0).map(({ token }) => engine.release(token)))
    expect(await engine.renew([])).toEqual([])
    // More than one request over HTTP may carry.
    const asked = Array.from({ length: 12_345 }, (_, index) => (index * 7) % 53)
    const answers = await engine.renew(asked.map((index) => leases[index]?.token ?? `unknown${index}`))
    expect(answers).toEqual(asked.map((index) => index < 50 && index % 3 !== 0))
  },

  'a lease survives a crash, with no less than its TTL left after its last renewal': async (trial) => {
    const before = await trial.open()
    const { result: lease, from } = await trial.timed(() =>
      before.register(trial.instance('i1'), { ttl: trial.ttl }),
    )
    await trial.crash()
    const to = trial.time.now()
    const engine = await trial.open()
    const resumed = await engine.resume(lease.token)
    expect(resumed).toMatchObject({ key: lease.key, ttl: lease.ttl })
    await trial.expectExpiry(engine, resumed, { from, to: Math.max(to, trial.time.now()) })
  },

  'a lease can be renewed after a crash': async (trial) => {
    const before = await trial.open()
    const { token, ttl } = await before.register(trial.instance('i1'), { ttl: trial.ttl })
    const stays = await before.register(trial.instance('i2'))
    await trial.crash()
    const engine = await trial.open()
    for (let round = 0; round < 4; round++) {
      expect(await engine.renew([token, stays.token])).toEqual([true, true])
      await trial.time.elapse(ttl! / 2)
    }
    expect(await engine.release(token)).toBeDefined()
    expect(await engine.release(stays.token)).toBeDefined()
    expect((await trial.read(engine)).entries).toEqual([])
  },

  'what was released or deregistered before a crash stays away': async (trial) => {
    const before = await trial.open()
    const [released, removed, superseded] = await Promise.all(
      ['i1', 'i2', 'i3'].map((id) => before.register(trial.instance(id), { ttl: trial.ttl })),
    )
    await before.release(released!.token)
    await before.deregister(removed!.key)
    const successor = await before.register(trial.instance('i3', { port: 9 }))
    await trial.crash()
    const engine = await trial.open()
    expect((await trial.read(engine)).entries.map((entry) => entry.instance.port)).toEqual([9])
    expect(await engine.renew([released!.token, removed!.token, superseded!.token, successor.token])).toEqual(
      [false, false, false, true],
    )
  },
}
