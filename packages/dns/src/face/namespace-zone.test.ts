import { describe, expect, it } from 'vitest'
import { type Served, served } from '../../test/face.ts'

async function shop(): Promise<Served> {
  const all = await served({ namespaceDomains: ['seamark.', 'local.'], serviceTtl: { app2: '10s' } })
  await all.put({
    namespace: 'test.shop',
    service: 'app2',
    id: 'one',
    address: '10.0.0.1',
    port: 8080,
    weight: 5,
  })
  await all.put({
    namespace: 'test.shop',
    service: 'app2',
    id: 'two',
    address: '10.0.0.2',
    port: 9090,
    scheme: 'grpc',
  })
  await all.put({ service: 'api', address: '10.0.0.3', port: 3000 })
  return all
}

describe('names of the kind service.namespace', () => {
  it('lead to the addresses of the instances', async () => {
    await using face = await shop()
    const { code, answers, packet } = await face.ask('app2.test.shop.local')
    expect(code).toBe('NOERROR')
    expect([...answers].sort()).toEqual(['10.0.0.1', '10.0.0.2'])
    expect(packet.answers).toMatchObject([{ ttl: 10 }, { ttl: 10 }])
    expect((await face.ask('api.default.seamark')).answers).toEqual(['10.0.0.3'])
    expect((await face.ask('APP2.Test.Shop.SEAMARK')).answers).toHaveLength(2)
  })

  it('tell hosts, ports and weights in SRV records', async () => {
    await using face = await shop()
    const { answers, extras } = await face.ask('app2.test.shop.local', 'SRV')
    expect([...answers].sort()).toEqual(['1 1 9090 0a000002.addr.local', '1 5 8080 0a000001.addr.local'])
    expect([...extras].sort()).toEqual(['0a000001.addr.local 10.0.0.1', '0a000002.addr.local 10.0.0.2'])
    expect((await face.ask('0a000002.addr.local')).answers).toEqual(['10.0.0.2'])
  })

  it('may ask for a scheme', async () => {
    await using face = await shop()
    expect((await face.ask('_http._tcp.app2.test.shop.local', 'SRV')).answers).toEqual([
      '1 5 8080 0a000001.addr.local',
    ])
    expect((await face.ask('_grpc._tcp.app2.test.shop.local')).answers).toEqual(['10.0.0.2'])
  })

  it.each([
    'app3.test.shop.local',
    'app2.shop.local',
    'app2.local',
    'x.app2.test.shop.local',
    '_ftp._tcp.app2.test.shop.local',
    '_http._udp.app2.test.shop.local',
    '_x._http._tcp.app2.test.shop.local',
    '_http._tcp.local',
  ])('do not exist: %s', async (name) => {
    await using face = await shop()
    expect(await face.ask(name)).toMatchObject({ code: 'NXDOMAIN', authorities: ['local SOA'] })
  })

  it.each([
    'local',
    'shop.local',
    'test.shop.local',
    'default.local',
    'addr.local',
    '_tcp.app2.test.shop.local',
  ])('stand below names that exist, and have nothing: %s', async (name) => {
    await using face = await shop()
    expect(await face.ask(name)).toMatchObject({ code: 'NOERROR', answers: [], authorities: ['local SOA'] })
  })

  it('go with the last service of their namespace', async () => {
    await using face = await shop()
    await face.put({ namespace: 'a.b', service: 'only', address: '10.0.0.4' })
    expect((await face.ask('b.local')).code).toBe('NOERROR')
    await face.engine
      .deregister({ namespace: 'a.b', service: 'only', id: 'only' })
      .then((at) => face.catalog.reached(at!))
    expect((await face.ask('b.local')).code).toBe('NXDOMAIN')
  })

  it('have nothing while nobody is healthy, and stay', async () => {
    await using face = await shop()
    await face.report({ service: 'api', id: 'api' }, 'critical')
    for (const type of ['A', 'SRV', 'AAAA'])
      expect(await face.ask('api.default.seamark', type)).toMatchObject({
        code: 'NOERROR',
        answers: [],
        authorities: ['seamark SOA'],
      })
    await face.report({ service: 'api', id: 'api' }, 'warning')
    expect((await face.ask('api.default.seamark')).answers).toEqual(['10.0.0.3'])
  })

  it('tell nothing of what Seamark keeps for itself', async () => {
    await using face = await served()
    await face.put({ namespace: 'seamark', service: 'node', address: '10.0.0.1' })
    expect((await face.ask('node.seamark.seamark')).code).toBe('NXDOMAIN')
  })

  it('have a domain with a server', async () => {
    await using face = await shop()
    expect((await face.ask('local', 'SOA')).answers).toEqual(['ns.local hostmaster.local'])
    expect(await face.ask('local', 'NS')).toMatchObject({
      answers: ['ns.local'],
      extras: ['ns.local 127.0.0.1'],
    })
  })
})
