import { describe, expect, it } from 'vitest'
import { instancePath, serving } from '../test/serving.ts'

interface Group {
  readonly targets: readonly string[]
  readonly labels: Readonly<Record<string, string>>
}

const idsOf = (groups: readonly Group[]) => groups.map(({ labels }) => labels.__meta_seamark_id)

describe('targets for Prometheus', () => {
  it('are instances, with all that is said of them as labels', async () => {
    await using served = await serving()
    await served.register('api', 'api-1', {
      address: '10.0.0.1',
      port: 8080,
      scheme: 'https',
      version: '2.1.0',
      zone: 'eu-1',
      tags: ['blue', 'big'],
      metadata: { team: 'shop', 'build.id': '7', build_id: '8' },
    })
    const { status, headers, json } = await served.ask('GET', '/prometheus')
    expect(status).toBe(200)
    // Prometheus takes no other.
    expect(headers.get('content-type')).toMatch(/^application\/json/)
    expect(json).toEqual([
      {
        targets: ['10.0.0.1:8080'],
        labels: {
          __scheme__: 'https',
          __meta_seamark_namespace: 'default',
          __meta_seamark_service: 'api',
          __meta_seamark_id: 'api-1',
          __meta_seamark_health: 'passing',
          __meta_seamark_scheme: 'https',
          __meta_seamark_version: '2.1.0',
          __meta_seamark_zone: 'eu-1',
          __meta_seamark_tags: ',blue,big,',
          __meta_seamark_metadata_team: 'shop',
          __meta_seamark_metadata_build_id: '7',
        },
      },
    ])
  })

  it('have brackets around IPv6, and a scheme only if it is one that is scraped', async () => {
    await using served = await serving()
    await served.register('db', 'db-1', { address: '2001:db8::7', port: 5432, scheme: 'tcp' })
    const { json } = await served.ask('GET', '/prometheus')
    expect(json).toMatchObject([{ targets: ['[2001:db8::7]:5432'] }])
    expect(json[0].labels).not.toHaveProperty('__scheme__')
  })

  it('are those that are down, too', async () => {
    await using served = await serving()
    await served.register('api', 'a')
    await served.ask('PUT', `${instancePath('api', 'a')}/health`, {
      checks: [{ id: 'disk', status: 'critical' }],
    })
    const { json } = await served.ask('GET', '/prometheus')
    expect(json).toMatchObject([{ labels: { __meta_seamark_health: 'critical' } }])
  })

  it('are not those without a port, nor the servers themselves, unless asked for', async () => {
    await using served = await serving({ shared: true, name: 'one' })
    await served.ask('PUT', `${instancePath('api', 'a')}?names=any`, { port: 0 })
    expect((await served.ask('GET', '/prometheus')).json).toEqual([])
    await expect
      .poll(async () => idsOf((await served.ask('GET', '/prometheus?namespace=seamark')).json))
      .toEqual(['one'])
  })

  it.each([
    ['', ['a', 'b', 'c', 'd']],
    ['?service=api', ['a', 'b', 'd']],
    ['?service=api&service=www', ['a', 'b', 'c', 'd']],
    ['?namespace=default', ['a', 'b', 'c']],
    ['?namespace=test.shop&namespace=nowhere', ['d']],
    ['?namespace=default&service=api', ['a', 'b']],
    ['?tag=blue', ['a', 'c']],
    ['?tag=blue&tag=big', ['a']],
    ['?health=passing', ['a', 'c', 'd']],
    ['?health=warning&health=critical', ['b']],
    ['?service=nothing', []],
  ])('are chosen by %s', async (query, found) => {
    await using served = await serving()
    await served.register('api', 'a', { tags: ['blue', 'big'] })
    await served.register('api', 'b')
    await served.register('www', 'c', { tags: ['blue'] })
    await served.ask('PUT', '/namespaces/test.shop/services/api/instances/d', { port: 3000 })
    await served.ask('PUT', `${instancePath('api', 'b')}/health`, {
      checks: [{ id: 'disk', status: 'warning' }],
    })
    expect(idsOf((await served.ask('GET', `/prometheus${query}`)).json).toSorted()).toEqual(found)
  })

  it('are refused to questions that are not understood', async () => {
    await using served = await serving()
    expect(await served.ask('GET', '/prometheus?helth=passing')).toMatchObject({
      status: 400,
      json: { error: { code: 'invalid_field', field: 'helth' } },
    })
  })
})
