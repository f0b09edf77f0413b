import { describe, expect, it } from 'vitest'
import { condition } from '../test/condition.ts'
import { ids, instancePath, servicePath, serving } from '../test/serving.ts'

const api = servicePath('api')

describe('a service', () => {
  it('lists its instances in the order of their ids', async () => {
    await using served = await serving()
    for (const id of ['b', 'a', 'B', '1']) await served.register('api', id)
    const { json } = await served.ask('GET', api)
    expect(json).toMatchObject({
      namespace: 'default',
      service: 'api',
      revision: 4,
      holders: [],
      next: null,
      staleSince: null,
    })
    expect(json.instances.map(({ id }: { id: string }) => id)).toEqual(['1', 'B', 'a', 'b'])
  })

  it('that nobody registered is empty, at revision 0', async () => {
    await using served = await serving()
    expect(await served.ask('GET', api)).toMatchObject({ status: 200, json: { revision: 0, instances: [] } })
  })

  it.each([
    ['version=^2.1', ['a', 'b']],
    ['version=2.x%20||%201.x', ['a', 'b', 'c']],
    ['tag=blue', ['a', 'c']],
    ['tag=blue&tag=big', ['a']],
    ['zone=eu', ['a', 'b']],
    ['metadata=team:shop', ['b', 'c']],
    ['metadata=team:shop&metadata=url:http://x', ['c']],
    ['metadata=team:', []],
    ['health=passing', ['a', 'c', 'd']],
    ['health=warning&health=critical', ['b']],
    ['zone=eu&health=passing', ['a']],
    ['zone=nowhere', []],
  ])('selects by %s', async (query, found) => {
    await using served = await serving()
    await served.register('api', 'a', { version: '2.1.0', tags: ['blue', 'big'], zone: 'eu' })
    await served.register('api', 'b', { version: '2.4.1', zone: 'eu', metadata: { team: 'shop' } })
    await served.register('api', 'c', {
      version: '1.0.0',
      tags: ['blue'],
      metadata: { team: 'shop', url: 'http://x' },
    })
    await served.register('api', 'd')
    await served.ask('PUT', `${instancePath('api', 'b')}/health`, {
      checks: [{ id: 'disk', status: 'warning' }],
    })
    expect(ids(await served.ask('GET', `${api}?${query}`))).toEqual(found)
  })

  it('comes in pages', async () => {
    await using served = await serving()
    for (let n = 0; n < 7; n++) await served.register('api', `i${n}`)
    const pages: string[][] = []
    let after = ''
    do {
      const page = await served.ask('GET', `${api}?limit=3${after && `&after=${after}`}`)
      pages.push(ids(page))
      after = page.json.next
    } while (after !== null)
    expect(pages).toEqual([['i0', 'i1', 'i2'], ['i3', 'i4', 'i5'], ['i6']])
    expect(ids(await served.ask('GET', `${api}?after=i4x`))).toEqual(['i5', 'i6'])
  })

  it('is not sent again to one who has it', async () => {
    await using served = await serving()
    await served.register('api', 'a')
    for (const path of [api, `${api}?health=passing`]) {
      const etag = (await served.ask('GET', path)).headers.get('etag')!
      for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*'])
        expect(await served.ask('GET', path, undefined, { 'if-none-match': known })).toMatchObject({
          status: 304,
          text: '',
        })
      await served.register('api', 'a', { port: 4000 })
      const changed = await served.ask('GET', path, undefined, { 'if-none-match': etag })
      expect(changed.status).toBe(200)
      expect(changed.headers.get('etag')).not.toBe(etag)
    }
  })

  it('is answered the same from the cache, and anew once it changed', async () => {
    await using served = await serving()
    const path = `${api}?health=passing`
    for (let n = 0; n < 5; n++) {
      await served.register('api', `i${n}`)
      const first = await served.ask('GET', path)
      const second = await served.ask('GET', path)
      expect(ids(first)).toHaveLength(n + 1)
      expect(second.text).toBe(first.text)
      expect(second.headers.get('etag')).toBe(first.headers.get('etag'))
      await served.register('www', `w${n}`)
      expect((await served.ask('GET', path)).text).toBe(first.text)
    }
  })

  it('answers HEAD without a body', async () => {
    await using served = await serving()
    await served.register('api', 'a')
    const head = await served.ask('HEAD', api)
    expect(head).toMatchObject({ status: 200, text: '' })
    expect(head.headers.get('etag')).toBe((await served.ask('GET', api)).headers.get('etag'))
  })
})

describe('waiting with an index', () => {
  it('answers at once when the index is not the latest', async () => {
    await using served = await serving()
    await served.register('api', 'a')
    expect((await served.ask('GET', `${api}?index=0&wait=10m`)).json.revision).toBe(1)
    expect((await served.ask('GET', `${api}?index=77&wait=10m`)).json.revision).toBe(1)
  })

  it('answers as soon as the service changes, and not for another one', async () => {
    await using served = await serving()
    await served.register('api', 'a')
    let answered = false
    const waiting = served.ask('GET', `${api}?index=1&wait=10m`).finally(() => {
      answered = true
    })
    await waits(served, 1)
    await served.register('www', 'w')
    expect(answered).toBe(false)
    await served.register('api', 'b')
    expect(ids(await waiting)).toEqual(['a', 'b'])
    await waits(served, 0)
  })

  it('waits for a service that nobody registered yet', async () => {
    await using served = await serving()
    const waiting = served.ask('GET', `${api}?index=0`)
    await waits(served, 1)
    await served.register('api', 'a')
    expect(ids(await waiting)).toEqual(['a'])
  })

  it.each(['20ms', '20'])('answers after a wait of %s with what it was', async (wait) => {
    await using served = await serving()
    await served.register('api', 'a')
    expect(await served.ask('GET', `${api}?index=1&wait=${wait}`)).toMatchObject({
      status: 200,
      json: { revision: 1 },
    })
  })

  it('forgets one who went away', async () => {
    await using served = await serving()
    const leaving = new AbortController()
    const gone = fetch(`${served.server.url}/api/v1${api}?index=0`, { signal: leaving.signal }).catch(
      () => 'gone',
    )
    await waits(served, 1)
    leaving.abort()
    expect(await gone).toBe('gone')
    await waits(served, 0)
  })

  it('is refused to more than the server has room for', async () => {
    await using served = await serving({ bounds: { waiters: 2 } })
    const waiting = [1, 2].map(() => served.ask('GET', `${api}?index=0`))
    await waits(served, 2)
    const third = await served.ask('GET', `${api}?index=0`)
    expect(third).toMatchObject({ status: 429, json: { error: { code: 'too_many' } } })
    expect(third.headers.get('retry-after')).toBe('1')
    await served.register('api', 'a')
    await Promise.all(waiting)
  })

  function waits(served: Awaited<ReturnType<typeof serving>>, count: number): Promise<void> {
    return condition(async () =>
      (await served.ask('GET', '/metrics')).text.includes(`seamark_waiting_requests ${count}\n`),
    )
  }
})

describe('one chosen instance', () => {
  it('is passing; without any, has a warning', async () => {
    await using served = await serving()
    await served.register('api', 'a')
    await served.register('api', 'b')
    const health = (id: string, status: string) =>
      served.ask('PUT', `${instancePath('api', id)}/health`, { checks: [{ id: 'x', status }] })
    await health('a', 'warning')
    for (let n = 0; n < 10; n++)
      expect((await served.ask('GET', `${api}/instance`)).json.instance.id).toBe('b')
    await health('b', 'critical')
    expect((await served.ask('GET', `${api}/instance`)).json.instance.id).toBe('a')
    await health('a', 'critical')
    expect(await served.ask('GET', `${api}/instance`)).toMatchObject({
      status: 404,
      json: { error: { code: 'no_match', details: { instances: 2, critical: 2, passing: 0 } } },
    })
  })

  it('fits what was asked for', async () => {
    await using served = await serving()
    await served.register('api', 'a', { version: '1.0.0', zone: 'eu' })
    await served.register('api', 'b', { version: '2.0.0', tags: ['blue'] })
    const chosen = async (query: string) => (await served.ask('GET', `${api}/instance?${query}`)).json
    expect((await chosen('version=2')).instance.id).toBe('b')
    expect((await chosen('zone=eu')).instance.id).toBe('a')
    expect((await chosen('tag=blue')).instance.id).toBe('b')
    const { error } = await chosen('version=^3')
    expect(error).toMatchObject({ code: 'no_match', details: { versions: ['1.0.0', '2.0.0'] } })
    expect(error.message).toContain('2 passing')
  })

  it('is chosen by weight', async () => {
    await using served = await serving()
    await served.register('api', 'a', { weight: 0 })
    await served.register('api', 'b', { weight: 5 })
    for (let n = 0; n < 20; n++)
      expect((await served.ask('GET', `${api}/instance`)).json.instance.id).toBe('b')
  })

  it('of an unknown service is an error that says so', async () => {
    await using served = await serving()
    expect(await served.ask('GET', `${api}/instance`)).toMatchObject({
      status: 404,
      json: { error: { code: 'service_not_found', field: 'service' } },
    })
  })
})

describe('the list', () => {
  it('of namespaces counts services and instances', async () => {
    await using served = await serving()
    await served.register('api', 'a')
    await served.register('api', 'b')
    await served.register('www', 'w')
    await served.ask('PUT', '/namespaces/test.shop/services/api/instances/t', { port: 1 })
    expect((await served.ask('GET', '/namespaces')).json.namespaces).toEqual([
      { namespace: 'default', services: 2, instances: 3 },
      { namespace: 'test.shop', services: 1, instances: 1 },
    ])
    await served.ask('DELETE', '/namespaces/test.shop/services/api/instances/t')
    await served.ask('DELETE', instancePath('www', 'w'))
    expect((await served.ask('GET', '/namespaces')).json.namespaces).toEqual([
      { namespace: 'default', services: 1, instances: 2 },
    ])
  })

  it('of services counts by health, and names versions and tags', async () => {
    await using served = await serving()
    await served.register('api', 'a', { version: '10.0.0', tags: ['b'] })
    await served.register('api', 'b', { version: '9.0.0', tags: ['a', 'b'] })
    await served.ask('PUT', `${instancePath('api', 'b')}/maintenance`, { enable: true })
    expect((await served.ask('GET', '/namespaces/default/services')).json).toEqual({
      services: [
        {
          service: 'api',
          instances: 2,
          passing: 1,
          warning: 0,
          critical: 0,
          maintenance: 1,
          versions: ['9.0.0', '10.0.0'],
          tags: ['a', 'b'],
        },
      ],
      next: null,
    })
  })

  it('of services comes in pages', async () => {
    await using served = await serving()
    for (const service of ['a', 'b', 'c', 'd', 'e']) await served.register(service, `${service}1`)
    const page = async (query: string) => {
      const { json } = await served.ask('GET', `/namespaces/default/services?${query}`)
      return [json.services.map(({ service }: { service: string }) => service), json.next]
    }
    expect(await page('limit=2')).toEqual([['a', 'b'], 'b'])
    expect(await page('limit=2&after=b')).toEqual([['c', 'd'], 'd'])
    expect(await page('limit=2&after=d')).toEqual([['e'], null])
    expect(await page('limit=5')).toEqual([['a', 'b', 'c', 'd', 'e'], null])
  })
})

it('says what the server is', async () => {
  await using served = await serving({ engineName: 'memory' })
  await served.register('api', 'a')
  expect((await served.ask('GET', '/status')).json).toEqual({
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    epoch: served.server.epoch,
    engine: 'memory',
    terms: served.engine.terms,
    revision: 1,
    staleSince: null,
    services: 1,
    instances: 1,
  })
})
