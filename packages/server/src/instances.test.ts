import { fakeClock } from '@seamark/core/testing'
import { describe, expect, it } from 'vitest'
import { ids, instancePath, servicePath, serving } from '../test/serving.ts'

describe('registering', () => {
  it('creates an instance, completed with defaults and the address of the caller', async () => {
    await using served = await serving()
    const answer = await served.ask('PUT', instancePath('api', 'i1'), { port: 3000 })
    expect(answer.status).toBe(201)
    expect(answer.json.instance).toEqual({
      namespace: 'default',
      service: 'api',
      id: 'i1',
      address: '127.0.0.1',
      port: 3000,
      scheme: 'http',
      weight: 1,
      tags: [],
      metadata: {},
      checks: [],
      health: { status: 'passing', checks: [] },
      createdRevision: answer.json.revision,
      modifiedRevision: answer.json.revision,
    })
    expect(answer.json.lease).toEqual({ token: expect.any(String), ttl: null })
  })

  it('replaces an instance, and supersedes its lease', async () => {
    await using served = await serving()
    const token = await served.register('api', 'i1')
    const answer = await served.ask('PUT', instancePath('api', 'i1'), { port: 3001 })
    expect(answer.status).toBe(200)
    expect(answer.json.instance).toMatchObject({ port: 3001, createdRevision: 1, modifiedRevision: 2 })
    expect((await served.ask('POST', '/leases/renew', { tokens: [token] })).json).toEqual({ lost: [0] })
  })

  it('shows what was written in the next read, whoever asks', async () => {
    await using served = await serving()
    for (let round = 0; round < 50; round++) {
      await served.register('api', `i${round}`)
      expect(ids(await served.ask('GET', servicePath('api')))).toContain(`i${round}`)
    }
  })

  it.each([
    [2_000, 2_000],
    ['2s', 2_000],
    ['1500ms', 1_500],
    ['2m', 120_000],
    ['1h', 3_600_000],
    [1, 100],
    [null, null],
  ])('grants a ttl of %j as %j ms', async (ttl, granted) => {
    await using served = await serving()
    const answer = await served.ask('PUT', instancePath('api', 'i1'), { port: 3000, ttl })
    expect(answer.json.lease.ttl).toBe(granted)
  })

  it('reads the durations of checks', async () => {
    await using served = await serving()
    const checks = [{ type: 'tcp', interval: '1m', timeout: '2s', deregisterAfter: '1h' }]
    const answer = await served.ask('PUT', instancePath('api', 'i1'), { port: 1, checks })
    expect(answer.json.instance.checks).toMatchObject([
      { interval: 60_000, timeout: 2_000, deregisterAfter: 3_600_000 },
    ])
  })

  it('refuses checks that its policy does not allow, and keeps nothing', async () => {
    await using served = await serving()
    const foreign = { port: 3000, checks: [{ type: 'http', url: 'http://203.0.113.9/' }] }
    const answer = await served.ask('PUT', instancePath('api', 'i1'), foreign)
    expect(answer).toMatchObject({
      status: 403,
      json: { error: { code: 'not_allowed', field: 'checks/0/url' } },
    })
    expect(served.server.catalog.size).toBe(0)
  })

  it('runs the checks of what is registered', async () => {
    await using served = await serving()
    const { port } = served.server
    const answer = await served.ask('PUT', instancePath('api', 'i1'), {
      port,
      checks: [{ type: 'http', url: '/healthz' }],
    })
    const path = `${servicePath('api')}?index=${answer.json.revision}&wait=10s`
    expect(answer.json.instance.health.status).toBe('critical')
    expect((await served.ask('GET', path)).json.instances[0].health.status).toBe('passing')
  })

  it('holds people to names that DNS can say', async () => {
    await using served = await serving()
    const path = '/namespaces/My_Space/services/api/instances/i1'
    const answer = await served.ask('PUT', path, { port: 3000 })
    expect(answer).toMatchObject({
      status: 400,
      json: { error: { code: 'invalid_field', field: 'namespace' } },
    })
  })

  it.each(['127.0.0.1:3000', 'a/b', 'a%2Fb', 'é€😀', ' ', '.', '..', '?#&=+;@$,', '%', '%25'])(
    'takes any name and port 0 with names=any, such as %j, and finds it again',
    async (name) => {
      await using served = await serving()
      // The path part `.` cannot be sent by a client that resolves URLs; its escape can.
      const part = /^\.+$/.test(name) ? name.replaceAll('.', '%2E') : encodeURIComponent(name)
      const path = `/namespaces/${part}x/services/x${part}/instances/x${part}`
      const answer = await served.ask('PUT', `${path}?names=any`, { port: 0 })
      expect(answer).toMatchObject({
        status: 201,
        json: { instance: { namespace: `${name}x`, service: `x${name}`, id: `x${name}`, port: 0 } },
      })
      expect((await served.ask('GET', path)).json.instance.id).toBe(`x${name}`)
      const stream = `/namespaces/${part}x/services/x${part}`
      expect(ids(await served.ask('GET', stream))).toEqual([`x${name}`])
      expect((await served.ask('DELETE', path)).status).toBe(200)
    },
  )
})

describe('an id', () => {
  it('is taken when another service of the namespace has it', async () => {
    await using served = await serving()
    await served.register('api', 'i1')
    const answer = await served.ask('PUT', instancePath('www', 'i1'), { port: 3000 })
    expect(answer).toMatchObject({
      status: 409,
      json: { error: { code: 'id_taken', field: 'id', details: { service: 'api' } } },
    })
    expect(
      (await served.ask('PUT', '/namespaces/test/services/www/instances/i1', { port: 3000 })).status,
    ).toBe(201)
  })

  it('goes to one of those who register it in several services at once', async () => {
    await using served = await serving()
    const services = ['a', 'b', 'c', 'd', 'e', 'f']
    const answers = await Promise.all(
      services.map((service) => served.ask('PUT', instancePath(service, 'i1'), { port: 3000 })),
    )
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409, 409])
    expect(served.server.catalog.size).toBe(1)
  })

  it('is free again after its instance is gone', async () => {
    await using served = await serving()
    await served.register('api', 'i1')
    await served.ask('DELETE', instancePath('api', 'i1'))
    expect((await served.ask('PUT', instancePath('www', 'i1'), { port: 3000 })).status).toBe(201)
  })

  it('may be registered in one service many times at once', async () => {
    await using served = await serving()
    const again = () => served.ask('PUT', instancePath('api', 'i1'), { port: 3000 })
    const answers = await Promise.all(Array.from({ length: 20 }, again))
    expect(answers.every(({ status }) => status < 300)).toBe(true)
  })
})

describe('one instance', () => {
  it('is answered, and is gone once deregistered', async () => {
    await using served = await serving()
    await served.register('api', 'i1', { version: '1.2.3' })
    const found = await served.ask('GET', instancePath('api', 'i1'))
    expect(found).toMatchObject({ status: 200, json: { instance: { id: 'i1', version: '1.2.3' } } })
    expect(await served.ask('DELETE', instancePath('api', 'i1'))).toMatchObject({
      status: 200,
      json: { revision: 2 },
    })
    for (const method of ['GET', 'DELETE'])
      expect(await served.ask(method, instancePath('api', 'i1'))).toMatchObject({
        status: 404,
        json: { error: { code: 'instance_not_found' } },
      })
  })

  it('goes into maintenance and comes back, and keeps its lease', async () => {
    await using served = await serving()
    const token = await served.register('api', 'i1', { ttl: '10s' })
    const path = `${instancePath('api', 'i1')}/maintenance`
    expect((await served.ask('PUT', path, { enable: true, reason: 'disk' })).status).toBe(200)
    expect((await served.ask('GET', instancePath('api', 'i1'))).json.instance.health).toEqual({
      status: 'maintenance',
      checks: [{ id: 'maintenance', status: 'maintenance', output: 'disk' }],
    })
    await served.ask('PUT', path, { enable: false })
    expect((await served.ask('GET', instancePath('api', 'i1'))).json.instance.health.status).toBe('passing')
    expect((await served.ask('POST', '/leases/renew', { tokens: [token] })).json).toEqual({ lost: [] })
    expect(
      (await served.ask('PUT', `${instancePath('api', 'no')}/maintenance`, { enable: true })).status,
    ).toBe(404)
  })

  it('has the health that is reported, and the worst of it', async () => {
    await using served = await serving()
    await served.register('api', 'i1')
    const path = `${instancePath('api', 'i1')}/health`
    const health = async () =>
      (await served.ask('GET', instancePath('api', 'i1'))).json.instance.health.status
    await served.ask('PUT', path, {
      checks: [
        { id: 'disk', status: 'warning', output: '91 %' },
        { id: 'cpu', status: 'critical' },
      ],
    })
    expect(await health()).toBe('critical')
    await served.ask('PUT', path, { checks: [{ id: 'cpu', status: null }] })
    expect(await health()).toBe('warning')
    expect(
      (
        await served.ask('PUT', `${instancePath('api', 'no')}/health`, {
          checks: [{ id: 'a', status: 'passing' }],
        })
      ).status,
    ).toBe(404)
  })

  it('disappears when its lease ends', async () => {
    const clock = fakeClock()
    await using served = await serving({ clock })
    await served.register('api', 'i1', { ttl: '1s' })
    await clock.advance(900)
    expect(served.server.catalog.size).toBe(1)
    await clock.advance(100 + served.engine.terms.lateness)
    expect((await served.ask('GET', instancePath('api', 'i1'))).status).toBe(404)
  })
})
