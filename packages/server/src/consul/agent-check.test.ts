import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memory } from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { lmdb } from '@seamark/lmdb'
import { describe, expect, it } from 'vitest'
import { type Asking, asking } from '../../test/asking.ts'
import { condition } from '../../test/condition.ts'

async function checks(asked: Asking): Promise<Record<string, { Status: string; Output: string }>> {
  return (await asked.ask('GET', '/agent/checks')).json
}

async function check(asked: Asking, id: string): Promise<string> {
  const found = (await checks(asked))[id]
  return found === undefined ? 'gone' : `${found.Status} ${found.Output}`.trim()
}

describe('a TTL check', () => {
  it('turns critical when nobody reports it in time, with what it last said, and not before', async () => {
    const clock = fakeClock()
    await using asked = await asking({ clock })
    await asked.ask('PUT', '/agent/service/register', {
      Name: 'web',
      Check: { TTL: '10s', Status: 'passing' },
    })
    await clock.advance(9_000)
    expect(await check(asked, 'service:web')).toBe('passing')
    await asked.ask('PUT', '/agent/check/pass/service:web?note=beat')
    await clock.advance(9_900)
    expect(await check(asked, 'service:web')).toBe('passing beat')
    await clock.advance(400)
    await condition(async () => (await check(asked, 'service:web')).startsWith('critical'))
    expect(await check(asked, 'service:web')).toBe(
      'critical TTL expired (last output before timeout follows): beat',
    )
    expect((await asked.ask('GET', '/health/service/web?passing')).json).toEqual([])
    await asked.ask('PUT', '/agent/check/warn/service:web?note=slow')
    expect(await check(asked, 'service:web')).toBe('warning slow')
  })

  it('is the same on all servers of a registry: a pass on one is a pass on all', async () => {
    const clock = fakeClock()
    await using engine = memory({ clock })
    await using one = await asking({ engine, clock, shared: true, name: 'one', consul: { nodeName: 'one' } })
    await using two = await asking({ engine, clock, shared: true, name: 'two', consul: { nodeName: 'two' } })
    // A server says goodbye to the others in the clock's time.
    await using _time = {
      async [Symbol.asyncDispose]() {
        const closed = Promise.all([one.server.close(), two.server.close()]).then(() => true)
        while (!(await Promise.race([closed, clock.advance(100).then(() => false)])));
      },
    }
    const fields = { Name: 'web', Check: { TTL: '10s', Status: 'passing' } }
    await one.ask('PUT', '/agent/service/register', fields)
    await condition(async () => (await check(two, 'service:web')) === 'passing')
    for (const server of [one, two, one, two]) {
      await clock.advance(8_000)
      expect((await server.ask('PUT', '/agent/check/pass/service:web')).status).toBe(200)
    }
    expect([await check(one, 'service:web'), await check(two, 'service:web')]).toEqual(['passing', 'passing'])
    await clock.advance(10_500)
    await condition(async () => (await check(two, 'service:web')) === 'critical TTL expired')
    await condition(async () => (await check(one, 'service:web')) === 'critical TTL expired')
  })

  it('survives a restart, and then has all of its time', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'seamark-consul-'))
    const clock = fakeClock()
    try {
      {
        await using engine = await lmdb(directory, { clock })
        await using asked = await asking({ engine, clock })
        const fields = { ID: 'w', Name: 'web', Tags: ['a'], Check: { TTL: '10s', Notes: 'beats' } }
        await asked.ask('PUT', '/agent/service/register', fields)
        await asked.ask('PUT', '/agent/check/pass/service:w?note=fine')
        await asked.ask('PUT', '/agent/check/register', { Name: 'disk', TTL: '1h' })
        await clock.advance(9_000)
      }
      await using engine = await lmdb(directory, { clock })
      await using asked = await asking({ engine, clock })
      expect(await check(asked, 'service:w')).toBe('passing fine')
      expect((await checks(asked))['service:w']).toMatchObject({ Notes: 'beats', Type: 'ttl' })
      expect(await check(asked, 'disk')).toBe('critical')
      await clock.advance(9_000)
      expect(await check(asked, 'service:w')).toBe('passing fine')
      await clock.advance(1_500)
      await condition(async () => (await check(asked, 'service:w')).startsWith('critical'))
    } finally {
      await rm(directory, { recursive: true })
    }
  })

  it('takes its service with it once it was critical for as long as it said, which is a minute at least', async () => {
    const clock = fakeClock()
    await using asked = await asking({ clock })
    const Check = { TTL: '1h', Status: 'passing', DeregisterCriticalServiceAfter: '5s' }
    await asked.ask('PUT', '/agent/service/register', { Name: 'web', Check })
    await asked.ask('PUT', '/agent/check/fail/service:web')
    await clock.advance(59_000)
    expect(await check(asked, 'service:web')).toBe('critical')
    await asked.ask('PUT', '/agent/check/pass/service:web')
    await clock.advance(59_000)
    await asked.ask('PUT', '/agent/check/fail/service:web')
    await clock.advance(59_000)
    expect(await check(asked, 'service:web')).toBe('critical')
    await clock.advance(2_000)
    await condition(async () => (await check(asked, 'service:web')) === 'gone')
    expect((await asked.ask('GET', '/agent/services')).json).toEqual({})
  })

  it.each([
    ['PUT', '/agent/check/pass/none', undefined, 500, 'CheckID "none" does not have associated TTL'],
    [
      'PUT',
      '/agent/check/update/none',
      { Status: 'passing' },
      500,
      'CheckID "none" does not have associated TTL',
    ],
    ['PUT', '/agent/check/update/none', { Status: 'fine' }, 400, "Invalid check status: 'fine'"],
    ['PUT', '/agent/check/update/none', undefined, 400, 'Request decode failed: EOF'],
    ['GET', '/agent/check/pass/none', undefined, 405, 'method GET not allowed'],
  ])('refuses %s %s %j', async (method, path, body, status, text) => {
    await using asked = await asking()
    expect(await asked.ask(method, path, body)).toMatchObject({ status, text })
  })
})

describe('a check', () => {
  it('of the node counts for all that is on it', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/agent/service/register', { Name: 'web' })
    await asked.ask('PUT', '/agent/check/register', { Name: 'disk', Notes: 'half full', TTL: '1h' })
    expect((await asked.ask('GET', '/health/service/web?passing')).json).toEqual([])
    const web = { namespace: 'default', service: 'web' }
    await condition(() => asked.server.catalog.snapshot(web).entries[0]?.health.status === 'critical')
    await asked.ask('PUT', '/agent/check/pass/disk')
    expect((await asked.ask('GET', '/health/service/web?passing')).json).toHaveLength(1)
    await condition(() => asked.server.catalog.snapshot(web).entries[0]?.health.status === 'passing')
    await asked.ask('PUT', '/agent/check/deregister/disk')
    expect(await checks(asked)).toEqual({})
    expect((await asked.ask('GET', '/catalog/nodes')).json).toHaveLength(1)
  })

  it('of a service is added to it, and taken from it', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/agent/service/register', { Name: 'web', Tags: ['a'] })
    await asked.ask('PUT', '/agent/check/register', {
      ID: 'beats',
      Name: 'Beats',
      ServiceID: 'web',
      TTL: '1h',
    })
    expect((await asked.ask('GET', '/health/checks/web')).json).toMatchObject([
      { CheckID: 'beats', Name: 'Beats', ServiceID: 'web', ServiceTags: ['a'], Status: 'critical' },
    ])
    await asked.ask('PUT', '/agent/check/deregister/beats')
    expect((await asked.ask('GET', '/health/checks/web')).json).toEqual([])
  })

  it('that is an alias follows the service that it names', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/agent/service/register', { Name: 'web', Check: { AliasService: 'db' } })
    await condition(
      async () => (await check(asked, 'service:web')) === 'critical Service db could not be found on node',
    )
    await asked.ask('PUT', '/agent/service/register', { Name: 'db', Check: { TTL: '1h', Status: 'passing' } })
    await condition(async () => (await check(asked, 'service:web')) === 'passing All checks passing.')
    await asked.ask('PUT', '/agent/check/fail/service:db?note=full')
    await condition(
      async () =>
        (await check(asked, 'service:web')) === `critical Aliased check "Service 'db' check" failing: full`,
    )
  })

  it('of a web address is run, and shown as it was found', async () => {
    await using target = await asking()
    await using asked = await asking()
    const HTTP = `http://127.0.0.1:${target.server.port}/healthz`
    await asked.ask('PUT', '/agent/service/register', { Name: 'web', Check: { HTTP, Interval: '10s' } })
    await condition(async () => (await check(asked, 'service:web')).startsWith('passing 200 OK'))
    expect((await checks(asked))['service:web']).toMatchObject({ Type: 'http', Definition: {} })
  })

  it('goes with its service, and so does all that was kept of it', async () => {
    await using asked = await asking()
    const fields = { Name: 'web', Checks: [{ TTL: '1h' }, { CheckID: 'own', TTL: '1h' }] }
    await asked.ask('PUT', '/agent/service/register', fields)
    await asked.ask('PUT', '/agent/service/deregister/web')
    await condition(async () => {
      const items = await fetch(`${asked.server.url}/api/v1/items?prefix=consul/`)
      return ((await items.json()) as { items: unknown[] }).items.length === 0
    })
  })

  it.each([
    [{}, 400, 'Missing check name'],
    [{ Name: 'c', TTL: '1h', Status: 'fine' }, 400, 'Bad check status'],
    [{ Name: 'c' }, 400, 'Invalid check: TTL must be > 0 for TTL checks'],
    [{ Name: 'c', TTL: '1h', ServiceID: 'none' }, 500, 'ServiceID "none" does not exist'],
    [{ CheckID: 'c', Name: 'c', TTL: '1h' }, 400, 'Request decode failed: json: unknown field "CheckID"'],
  ])('is refused as %j', async (body, status, text) => {
    await using asked = await asking()
    expect(await asked.ask('PUT', '/agent/check/register', body)).toMatchObject({ status, text })
    expect(await checks(asked)).toEqual({})
  })
})
