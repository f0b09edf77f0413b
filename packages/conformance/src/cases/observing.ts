import { limits, maintenanceCheck } from '@seamark/core'
import { expect } from 'vitest'
import type { Cases } from '../suite.ts'
import type { EngineTrial } from '../trial.ts'

/** `report`: what checkers saw, which is not the owner's to write. */
export const observing: Cases<EngineTrial> = {
  'a report changes the health and nothing else': async (trial) => {
    const [engine, other] = [await trial.open(), await trial.open()]
    const following = trial.follow(engine)
    const lease = await engine.register(trial.instance('i1', { checks: [await trial.check('up')] }))
    const revision = await other.report(lease.key, [{ id: 'up', status: 'passing', output: 'fine' }])
    expect(revision).toBeGreaterThan(lease.revision)
    await following.reached(revision)
    expect(following.entry(lease.key)).toEqual({
      instance: trial.instance('i1', { checks: [await trial.check('up')] }),
      health: { status: 'passing', checks: [{ id: 'up', status: 'passing', output: 'fine' }] },
      createdRevision: lease.revision,
      modifiedRevision: revision,
    })
    await lease.renew()
    expect(lease.lost.aborted).toBe(false)
  },

  'a report does not put off the end of the lease': async (trial) => {
    const engine = await trial.open()
    const { result: lease, ...moment } = await trial.timed(() =>
      engine.register(trial.instance('i1'), { ttl: trial.ttl }),
    )
    await trial.time.elapse(lease.ttl! / 2)
    await engine.report(lease.key, [{ id: 'up', status: 'warning' }])
    await trial.expectExpiry(engine, lease, moment)
  },

  'the health is the worst of its checks': async (trial) => {
    const engine = await trial.open()
    const following = trial.follow(engine)
    const { key } = await engine.register(trial.instance('i1'))
    for (const [id, status, worst] of [
      ['a', 'passing', 'passing'],
      ['b', 'warning', 'warning'],
      ['c', 'critical', 'critical'],
      [maintenanceCheck, 'maintenance', 'maintenance'],
      ['b', 'passing', 'maintenance'],
      [maintenanceCheck, null, 'critical'],
      ['c', null, 'passing'],
    ] as const) {
      await following.reached(await engine.report(key, [{ id, status }]))
      expect(following.entry(key)?.health.status).toBe(worst)
    }
  },

  'a report keeps the results of other checks, and null withdraws one': async (trial) => {
    const engine = await trial.open()
    const following = trial.follow(engine)
    const { key } = await engine.register(
      trial.instance('i1', { checks: [await trial.check('up'), await trial.check('disk')] }),
    )
    await engine.report(key, [
      { id: 'up', status: 'passing', output: 'one' },
      { id: 'outside', status: 'warning', output: 'two' },
    ])
    const revision = await engine.report(key, [
      { id: 'disk', status: 'passing' },
      { id: 'up', status: null },
    ])
    await following.reached(revision)
    expect(following.entry(key)?.health.checks).toEqual([
      { id: 'disk', status: 'passing', output: '' },
      { id: 'outside', status: 'warning', output: 'two' },
    ])
  },

  'a report that says nothing new changes no revision': async (trial) => {
    const engine = await trial.open()
    const { key } = await engine.register(trial.instance('i1'))
    const revision = await engine.report(key, [{ id: 'up', status: 'warning', output: 'same' }])
    const before = await trial.read(engine)
    expect(await engine.report(key, [{ id: 'up', status: 'warning', output: 'same' }])).toBe(revision)
    expect(await engine.report(key, [{ id: 'none', status: null }])).toBe(revision)
    expect(await trial.read(engine)).toEqual(before)
  },

  'a report on an instance that is not there is refused': async (trial) => {
    const engine = await trial.open()
    const refused = { code: 'instance_not_found' }
    const reports = [{ id: 'up', status: 'passing' } as const]
    await expect(engine.report(trial.key('i1'), reports)).rejects.toMatchObject(refused)
    const { key } = await engine.register(trial.instance('i1'))
    await expect(engine.report(trial.key('i2'), reports)).rejects.toMatchObject(refused)
    await expect(engine.report({ ...key, service: 'web' }, reports)).rejects.toMatchObject(refused)
    await engine.deregister(key)
    await expect(engine.report(key, reports)).rejects.toMatchObject(refused)
    expect((await trial.read(engine)).entries).toEqual([])
  },

  'a report that is malformed is refused, and changes nothing': async (trial) => {
    const engine = await trial.open()
    const { key } = await engine.register(trial.instance('i1'))
    await engine.report(key, [{ id: 'up', status: 'passing' }])
    const before = await trial.read(engine)
    const good = { id: 'up', status: 'critical' } as const
    for (const reports of [
      [good, { id: 'down', status: 'bogus' as 'passing' }],
      [good, { id: '', status: 'passing' } as const],
      [good, { id: 'x'.repeat(limits.nameBytes + 1), status: 'passing' } as const],
      Array.from({ length: limits.checkResults + 1 }, (_, index) => ({
        id: `c${index}`,
        status: 'passing' as const,
      })),
    ])
      await expect(engine.report(key, reports)).rejects.toMatchObject({ code: 'invalid_field' })
    expect(await trial.read(engine)).toEqual(before)
  },

  'as many results as allowed are kept, and not one more': async (trial) => {
    const engine = await trial.open()
    const { key } = await engine.register(trial.instance('i1'))
    const reports = Array.from({ length: limits.checkResults }, (_, index) => ({
      id: `check ${index}`,
      status: 'warning' as const,
      output: String(index),
    }))
    await engine.report(key, reports)
    await expect(engine.report(key, [{ id: 'more', status: 'passing' }])).rejects.toMatchObject({
      code: 'invalid_field',
    })
    expect((await trial.read(engine)).entries[0]?.health.checks).toEqual(reports)
  },

  'the beginning of a long output is kept, in whole characters': async (trial) => {
    const engine = await trial.open()
    const { key } = await engine.register(trial.instance('i1'))
    const { outputBytes } = limits
    await engine.report(key, [
      { id: 'exact', status: 'passing', output: 'x'.repeat(outputBytes) },
      { id: 'long', status: 'passing', output: `${'y'.repeat(outputBytes - 2)}€€` },
      { id: 'lines', status: 'passing', output: 'one\ntwo\r\n\tthree \u0000 "quoted" \\ ü\u{1f600}' },
    ])
    expect((await trial.read(engine)).entries[0]?.health.checks.map(({ output }) => output)).toEqual([
      'x'.repeat(outputBytes),
      'y'.repeat(outputBytes - 2),
      'one\ntwo\r\n\tthree \u0000 "quoted" \\ ü\u{1f600}',
    ])
  },

  'registering again keeps the results of checks that remain': async (trial) => {
    const engine = await trial.open()
    const { key } = await engine.register(
      trial.instance('i1', { checks: [await trial.check('up'), await trial.check('old')] }),
    )
    await engine.report(key, [
      { id: 'up', status: 'passing', output: 'fine' },
      { id: 'old', status: 'passing' },
    ])
    await engine.register(
      trial.instance('i1', { port: 9, checks: [await trial.check('up'), await trial.check('new')] }),
    )
    const [entry] = (await trial.read(engine)).entries
    expect(entry?.health).toEqual({
      status: 'critical',
      checks: [
        { id: 'up', status: 'passing', output: 'fine' },
        { id: 'new', status: 'critical', output: 'not checked yet' },
      ],
    })
  },

  'maintenance outlives a registration': async (trial) => {
    const engine = await trial.open()
    const { key } = await engine.register(trial.instance('i1'))
    await engine.report(key, [{ id: maintenanceCheck, status: 'maintenance', output: 'a new disk' }])
    await engine.register(trial.instance('i1', { port: 9, checks: [await trial.check('up')] }))
    const [entry] = (await trial.read(engine)).entries
    expect(entry?.health.status).toBe('maintenance')
    expect(entry?.health.checks).toContainEqual({
      id: maintenanceCheck,
      status: 'maintenance',
      output: 'a new disk',
    })
  },

  'an instance that was away starts with no health of its former life': async (trial) => {
    const engine = await trial.open()
    const { key } = await engine.register(trial.instance('i1', { checks: [await trial.check('up')] }))
    await engine.report(key, [
      { id: 'up', status: 'passing' },
      { id: maintenanceCheck, status: 'maintenance' },
    ])
    await engine.deregister(key)
    await engine.register(trial.instance('i1', { checks: [await trial.check('up')] }))
    expect((await trial.read(engine)).entries[0]?.health).toEqual({
      status: 'critical',
      checks: [{ id: 'up', status: 'critical', output: 'not checked yet' }],
    })
  },

  'reports that arrive together are all kept': async (trial) => {
    const [one, other] = [await trial.open(), await trial.open()]
    const { key } = await one.register(trial.instance('i1'))
    const ids = Array.from({ length: 20 }, (_, index) => `c${index}`)
    await Promise.all(
      ids.map((id, index) => (index % 2 ? one : other).report(key, [{ id, status: 'passing' }])),
    )
    const [entry] = (await trial.read(one)).entries
    expect(entry?.health.checks.map(({ id }) => id).sort()).toEqual(ids.sort())
  },

  'a report and a registration that cross lose neither': async (trial) => {
    const [one, other] = [await trial.open(), await trial.open()]
    const checks = [await trial.check('up')]
    const { key } = await one.register(trial.instance('i1', { checks }))
    for (let round = 1; round <= 20; round++) {
      await Promise.all([
        one.register(trial.instance('i1', { port: round, checks })),
        other.report(key, [{ id: 'up', status: 'passing', output: String(round) }]),
      ])
      const [entry] = (await trial.read(one)).entries
      expect(entry).toMatchObject({
        instance: { port: round },
        health: { checks: [{ id: 'up', status: 'passing', output: String(round) }] },
      })
    }
  },
}
