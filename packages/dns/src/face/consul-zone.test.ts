import { describe, expect, it } from 'vitest'
import { type Served, served } from '../../test/face.ts'

async function shop(): Promise<Served> {
  const all = await served({ serviceTtl: { api: '10s', 'ap*': '5s', '*': '1s' } })
  for (const n of [1, 2, 3])
    await all.put({
      service: 'api',
      id: `api-${n}`,
      address: `10.0.0.${n}`,
      port: 3000 + n,
      weight: n,
      version: `${n === 3 ? '2.1' : '1.4'}.${n}`,
      tags: n === 1 ? ['Blue', 'a.b'] : ['green'],
    })
  return all
}

describe("Consul's names of services", () => {
  it('lead to the addresses of its instances', async () => {
    await using face = await shop()
    const { code, answers, packet } = await face.ask('api.service.consul')
    expect(code).toBe('NOERROR')
    expect([...answers].sort()).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3'])
    expect(packet.flag_aa).toBe(true)
    expect(packet.flag_ra).toBe(false)
  })

  it('tell hosts, ports and weights in SRV records, and the addresses of the hosts', async () => {
    await using face = await shop()
    const { answers, extras } = await face.ask('api.service.consul', 'SRV')
    expect([...answers].sort()).toEqual([
      '1 1 3001 0a000001.addr.dc1.consul',
      '1 2 3002 0a000002.addr.dc1.consul',
      '1 3 3003 0a000003.addr.dc1.consul',
    ])
    expect([...extras].sort()).toEqual([
      '0a000001.addr.dc1.consul 10.0.0.1',
      '0a000002.addr.dc1.consul 10.0.0.2',
      '0a000003.addr.dc1.consul 10.0.0.3',
    ])
  })

  it.each([
    ['blue.api.service.consul', ['10.0.0.1']],
    ['BLUE.API.Service.CONSUL', ['10.0.0.1']],
    ['a.b.api.service.consul', ['10.0.0.1']],
    ['green.api.service.dc1.consul', ['10.0.0.2', '10.0.0.3']],
    ['_api._green.service.consul', ['10.0.0.2', '10.0.0.3']],
    ['_api._tcp.service.consul', ['10.0.0.1', '10.0.0.2', '10.0.0.3']],
    ['_api._blue.consul', ['10.0.0.1']],
    ['v1.api.service.consul', ['10.0.0.1', '10.0.0.2']],
    ['v1.4.api.service.consul', ['10.0.0.1', '10.0.0.2']],
    ['v2.1.3.api.service.consul', ['10.0.0.3']],
    ['_api._v2.service.consul', ['10.0.0.3']],
  ])('may have a tag or a version: %s', async (name, found) => {
    await using face = await shop()
    expect([...(await face.ask(name)).answers].sort()).toEqual(found)
    expect((await face.ask(name, 'SRV')).answers).toHaveLength(found.length)
  })

  it.each([
    'red.api.service.consul',
    'v3.api.service.consul',
    'nobody.service.consul',
    'api.service.dc2.consul',
    'api.servic.consul',
    'api.service.dc1.dc1.consul',
    'api.connect.consul',
    'x.dc1.consul',
  ])('do not exist: %s', async (name) => {
    await using face = await shop()
    const { code, answers, authorities, packet } = await face.ask(name)
    expect(code).toBe('NXDOMAIN')
    expect(answers).toEqual([])
    expect(authorities).toEqual(['consul SOA'])
    expect(packet.authorities?.[0]).toMatchObject({ ttl: 1, data: { minimum: 1 } })
  })

  it.each([
    'consul',
    'service.consul',
    'dc1.consul',
    'service.dc1.consul',
    'node.consul',
    'addr.consul',
    '_tcp.service.consul',
    '_tcp.consul',
  ])('stand below names that exist, and have nothing: %s', async (name) => {
    await using face = await shop()
    const { code, answers, authorities } = await face.ask(name)
    expect({ code, answers, authorities }).toEqual({
      code: 'NOERROR',
      answers: [],
      authorities: ['consul SOA'],
    })
  })

  it('exist, with nothing of that type', async () => {
    await using face = await shop()
    for (const type of ['AAAA', 'TXT', 'MX', 'SOA', 'NS']) {
      const { code, answers, authorities } = await face.ask('api.service.consul', type)
      expect({ code, answers, authorities }).toEqual({
        code: 'NOERROR',
        answers: [],
        authorities: ['consul SOA'],
      })
    }
  })

  it('say as little as they can when asked for everything', async () => {
    await using face = await shop()
    expect(await face.ask('api.service.consul', 'ANY')).toMatchObject({
      code: 'NOERROR',
      answers: ['RFC8482'],
    })
    expect((await face.ask('nobody.service.consul', 'ANY')).code).toBe('NXDOMAIN')
  })

  it('are kept as long as the longest fitting rule says', async () => {
    await using face = await shop()
    await face.put({ service: 'apple', address: '10.0.0.9' })
    await face.put({ service: 'web', address: '10.0.0.9' })
    const ttl = async (name: string) =>
      (await face.ask(`${name}.service.consul`)).packet.answers?.map(
        (record) => 'ttl' in record && record.ttl,
      )
    expect(await ttl('api')).toEqual([10, 10, 10])
    expect(await ttl('apple')).toEqual([5])
    expect(await ttl('web')).toEqual([1])
  })

  it('find services in any case', async () => {
    await using face = await shop()
    await face.put({ service: 'Web', address: '10.0.0.9' })
    expect((await face.ask('web.service.consul')).answers).toEqual(['10.0.0.9'])
    await face.remove({ service: 'Web', id: 'Web' })
    expect((await face.ask('web.service.consul')).code).toBe('NXDOMAIN')
  })

  it('know only the default namespace', async () => {
    await using face = await shop()
    await face.put({ namespace: 'shop', service: 'cart', address: '10.0.0.9' })
    expect((await face.ask('cart.service.consul')).code).toBe('NXDOMAIN')
  })

  it('follow what is registered', async () => {
    await using face = await shop()
    await face.remove({ service: 'api', id: 'api-1' })
    expect((await face.ask('api.service.consul')).answers).toHaveLength(2)
    await face.put({ service: 'api', id: 'api-9', address: '10.0.0.9' })
    expect((await face.ask('api.service.consul')).answers).toContain('10.0.0.9')
    for (const id of ['api-2', 'api-3', 'api-9']) await face.remove({ service: 'api', id })
    expect((await face.ask('api.service.consul')).code).toBe('NXDOMAIN')
  })
})

describe('health', () => {
  it('keeps out who is critical or in maintenance, and not who has a warning', async () => {
    await using face = await shop()
    await face.report({ service: 'api', id: 'api-1' }, 'critical')
    await face.report({ service: 'api', id: 'api-2' }, 'warning')
    expect([...(await face.ask('api.service.consul')).answers].sort()).toEqual(['10.0.0.2', '10.0.0.3'])
    await face.report({ service: 'api', id: 'api-3' }, 'maintenance')
    expect((await face.ask('api.service.consul')).answers).toEqual(['10.0.0.2'])
    await face.report({ service: 'api', id: 'api-1' }, null)
    expect((await face.ask('api.service.consul')).answers).toHaveLength(2)
  })

  it('makes a service of which nobody is healthy one that does not exist, as Consul does', async () => {
    await using face = await shop()
    for (const id of ['api-1', 'api-2', 'api-3']) await face.report({ service: 'api', id }, 'critical')
    expect(await face.ask('api.service.consul')).toMatchObject({
      code: 'NXDOMAIN',
      authorities: ['consul SOA'],
    })
    expect((await face.ask('api.service.consul', 'SRV')).code).toBe('NXDOMAIN')
    await face.report({ service: 'api', id: 'api-2' }, 'passing')
    expect((await face.ask('api.service.consul')).answers).toEqual(['10.0.0.2'])
  })

  it('keeps out who has a warning, if told to', async () => {
    await using face = await served({ onlyPassing: true })
    await face.put({ service: 'api', id: 'one', address: '10.0.0.1' })
    await face.put({ service: 'api', id: 'two', address: '10.0.0.2' })
    await face.report({ service: 'api', id: 'two' }, 'warning')
    expect((await face.ask('api.service.consul')).answers).toEqual(['10.0.0.1'])
  })
})

describe('addresses', () => {
  it('may be of IPv6, or of both', async () => {
    await using face = await served()
    await face.put({ service: 'api', id: 'six', address: '2001:db8::1', port: 8080 })
    await face.put({ service: 'api', id: 'four', address: '10.0.0.4', port: 8081 })
    expect((await face.ask('api.service.consul', 'AAAA')).answers).toEqual(['2001:db8::1'])
    expect((await face.ask('api.service.consul', 'A')).answers).toEqual(['10.0.0.4'])
    const { extras } = await face.ask('api.service.consul', 'SRV')
    expect([...extras].sort()).toEqual([
      '0a000004.addr.dc1.consul 10.0.0.4',
      '20010db8000000000000000000000001.addr.dc1.consul 2001:db8::1',
    ])
  })

  it('are told once, however many instances are there', async () => {
    await using face = await served()
    for (const port of [80, 81])
      await face.put({ service: 'api', id: `api-${port}`, address: '10.0.0.1', port })
    expect((await face.ask('api.service.consul')).answers).toEqual(['10.0.0.1'])
    const { answers, extras } = await face.ask('api.service.consul', 'SRV')
    expect(answers).toHaveLength(2)
    expect(extras).toEqual(['0a000001.addr.dc1.consul 10.0.0.1'])
  })

  it('that are host names make the service another name of one host', async () => {
    await using face = await served()
    await face.put({ service: 'ext', address: 'Example.com.', port: 443 })
    for (const type of ['A', 'AAAA', 'CNAME'])
      expect(await face.ask('ext.service.consul', type)).toMatchObject({
        code: 'NOERROR',
        answers: ['Example.com'],
      })
    expect(await face.ask('ext.service.consul', 'SRV')).toMatchObject({
      answers: ['1 1 443 Example.com'],
      extras: [],
    })
  })

  it('that are host names stand back where others have addresses', async () => {
    await using face = await served()
    await face.put({ service: 'ext', id: 'host', address: 'example.com' })
    await face.put({ service: 'ext', id: 'four', address: '10.0.0.4' })
    expect((await face.ask('ext.service.consul', 'A')).answers).toEqual(['10.0.0.4'])
    expect(await face.ask('ext.service.consul', 'AAAA')).toMatchObject({ code: 'NOERROR', answers: [] })
    expect((await face.ask('ext.service.consul', 'SRV')).answers).toHaveLength(2)
  })

  it('that are names of ours are followed, also when what they lead to changes', async () => {
    await using face = await served()
    await face.put({ service: 'db', address: '10.0.0.7' })
    await face.put({ service: 'ext', address: 'db.service.consul', port: 443 })
    expect((await face.ask('ext.service.consul')).answers).toEqual(['db.service.consul', '10.0.0.7'])
    expect(await face.ask('ext.service.consul', 'SRV')).toMatchObject({
      answers: ['1 1 443 db.service.consul'],
      extras: ['db.service.consul 10.0.0.7'],
    })
    await face.put({ service: 'db', address: '10.0.0.8' })
    expect((await face.ask('ext.service.consul')).answers).toEqual(['db.service.consul', '10.0.0.8'])
    expect((await face.ask('ext.service.consul', 'SRV')).extras).toEqual(['db.service.consul 10.0.0.8'])
  })

  it('that lead to one another end somewhere', async () => {
    await using face = await served()
    await face.put({ service: 'a', address: 'b.service.consul' })
    await face.put({ service: 'b', address: 'a.service.consul' })
    await face.put({ service: 'self', address: 'self.service.consul' })
    expect((await face.ask('a.service.consul')).answers).toEqual(['b.service.consul'])
    expect(await face.ask('self.service.consul')).toMatchObject({ code: 'NOERROR', answers: [] })
  })

  it('may be limited in number, each time to others', async () => {
    await using face = await served({ aRecordLimit: 2 })
    for (let n = 1; n <= 10; n++) await face.put({ service: 'api', id: `api-${n}`, address: `10.0.0.${n}` })
    const seen = new Set<string>()
    for (let time = 0; time < 40; time++) {
      const { answers, truncated } = await face.ask('api.service.consul')
      expect(answers).toHaveLength(2)
      expect(truncated).toBe(false)
      for (const answer of answers) seen.add(answer)
    }
    expect(seen.size).toBe(10)
    expect((await face.ask('api.service.consul', 'SRV')).answers).toHaveLength(10)
  })
})

describe('names of addresses', () => {
  it('are made of them', async () => {
    await using face = await served({ nodeTtl: '7s' })
    expect(await face.ask('0a000001.addr.consul')).toMatchObject({ answers: ['10.0.0.1'] })
    const { answers, packet } = await face.ask('20010DB8000000000000000000000001.addr.dc1.consul', 'AAAA')
    expect(answers).toEqual(['2001:db8::1'])
    expect(packet.answers).toMatchObject([{ ttl: 7 }])
  })

  it('have nothing else', async () => {
    await using face = await served()
    for (const type of ['AAAA', 'SRV', 'TXT'])
      expect(await face.ask('0a000001.addr.consul', type)).toMatchObject({ code: 'NOERROR', answers: [] })
  })

  it.each([
    '0a00000.addr.consul',
    '0a0000zz.addr.consul',
    'x.0a000001.addr.consul',
    '0a000001.addr.dc2.consul',
  ])('have to be whole: %s', async (name) => {
    await using face = await served()
    expect((await face.ask(name)).code).toBe('NXDOMAIN')
  })
})

describe('the domain', () => {
  it('has a server and a start of authority', async () => {
    await using face = await served({ negativeTtl: '3s', nodeTtl: '1m' })
    const soa = await face.ask('consul', 'SOA')
    expect(soa).toMatchObject({
      answers: ['ns.consul hostmaster.consul'],
      authorities: ['consul NS'],
      extras: ['ns.consul 127.0.0.1'],
    })
    expect(soa.packet.answers).toMatchObject([
      { name: 'consul', ttl: 3, data: { refresh: 3_600, retry: 600, expire: 86_400, minimum: 3 } },
    ])
    expect(await face.ask('consul', 'NS')).toMatchObject({
      answers: ['ns.consul'],
      extras: ['ns.consul 127.0.0.1'],
    })
    expect((await face.ask('ns.consul')).answers).toEqual(['127.0.0.1'])
    expect(await face.ask('ns.consul', 'AAAA')).toMatchObject({ code: 'NOERROR', answers: [] })
  })

  it('may be another, and a second one', async () => {
    await using face = await served({ domain: 'Discovery.Example.', altDomain: 'alt.' })
    await face.put({ service: 'api', address: '10.0.0.1', port: 3000 })
    expect((await face.ask('api.service.discovery.example', 'SRV')).answers).toEqual([
      '1 1 3000 0a000001.addr.dc1.discovery.example',
    ])
    expect((await face.ask('api.service.dc1.alt', 'SRV')).answers).toEqual(['1 1 3000 0a000001.addr.dc1.alt'])
    expect((await face.ask('nobody.service.alt')).authorities).toEqual(['alt SOA'])
    expect((await face.ask('api.service.consul')).code).toBe('REFUSED')
  })

  it('may be in another datacenter', async () => {
    await using face = await served({ datacenter: 'EU-1' })
    await face.put({ service: 'api', address: '10.0.0.1' })
    expect((await face.ask('api.service.eu-1.consul', 'SRV')).extras).toEqual([
      '0a000001.addr.eu-1.consul 10.0.0.1',
    ])
    expect((await face.ask('api.service.dc1.consul')).code).toBe('NXDOMAIN')
  })
})
