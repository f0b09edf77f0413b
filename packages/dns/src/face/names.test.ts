import { health, instance } from '@seamark/core'
import { describe, expect, it } from 'vitest'
import { type Served, served } from '../../test/face.ts'
import type { Names, Node, QueryAnswer } from './names.ts'

/** What a face of Consul would say, as a test wants it. */
class Told implements Names {
  readonly datacenter = 'dc7'
  nodes: Node[] = []
  places = new Map<string, { node: Node; atNode?: boolean; warningWeight?: number }>()
  queries = new Map<string, QueryAnswer>()
  asked = 0
  at = 1

  revision() {
    return this.at
  }
  node(name: string) {
    return this.nodes.find((node) => node.name.toLowerCase() === name)
  }
  nodesAt(address: string) {
    return this.nodes.filter((node) => node.address === address)
  }
  place({ instance: { id } }: Parameters<Names['place']>[0]) {
    return this.places.get(id) ?? {}
  }
  query(name: string) {
    this.asked++
    return this.queries.get(name)
  }
}

const web: Node = {
  name: 'Web-1',
  address: '10.0.0.1',
  metadata: { os: 'linux', ' a=b ': 'x`y', 'rfc1035-note': 'as it is' },
}

async function told(names: Told): Promise<Served> {
  const face = await served({ names })
  await face.put({ service: 'api', id: 'here', address: '10.0.0.1', port: 3001, weight: 4 })
  await face.put({ service: 'api', id: 'there', address: '10.0.0.2', port: 3002, weight: 4 })
  return face
}

describe('what is known beyond the catalog', () => {
  it('names the nodes that SRV records lead to', async () => {
    const names = new Told()
    names.places.set('here', { node: web, atNode: true })
    names.places.set('there', { node: web })
    await using face = await told(names)
    const { answers, extras } = await face.ask('api.service.consul', 'SRV')
    expect([...answers].sort()).toEqual([
      '1 4 3001 Web-1.node.dc7.consul',
      '1 4 3002 0a000002.addr.dc7.consul',
    ])
    expect([...extras].sort()).toEqual([
      '0a000002.addr.dc7.consul 10.0.0.2',
      'Web-1.node.dc7.consul 10.0.0.1',
    ])
    // A node that DNS cannot name is known by its address.
    names.places.set('here', { node: { ...web, name: 'x'.repeat(64) }, atNode: true })
    names.at++
    expect((await face.ask('api.service.consul', 'SRV')).answers).toContain(
      '1 4 3001 0a000001.addr.dc7.consul',
    )
  })

  it('weighs those that have a warning', async () => {
    const names = new Told()
    names.places.set('here', { node: web, warningWeight: 1 })
    await using face = await told(names)
    for (const id of ['here', 'there']) await face.report({ service: 'api', id }, 'warning')
    const { answers } = await face.ask('api.service.consul', 'SRV')
    expect([...answers].sort()).toEqual([
      '1 1 3001 0a000001.addr.dc7.consul',
      '1 4 3002 0a000002.addr.dc7.consul',
    ])
  })

  it('answers anew once it changed', async () => {
    const names = new Told()
    await using face = await told(names)
    const ask = async () => (await face.ask('api.service.consul', 'SRV')).answers
    expect(await ask()).toContain('1 4 3001 0a000001.addr.dc7.consul')
    names.places.set('here', { node: web, atNode: true })
    names.at++
    expect(await ask()).toContain('1 4 3001 Web-1.node.dc7.consul')
  })

  it('leads from an instance that only knows its own name to its node', async () => {
    const names = new Told()
    names.places.set('self', { node: web })
    await using face = await told(names)
    await face.put({ service: 'self', address: 'self.service.consul' })
    expect((await face.ask('self.service.consul')).answers).toEqual(['10.0.0.1'])
  })

  it('names the servers of the domain', async () => {
    const names = new Told()
    names.places.set('consul', { node: web, atNode: true })
    await using face = await told(names)
    await face.put({ service: 'consul', address: '10.0.0.1', port: 8300 })
    expect(await face.ask('consul', 'NS')).toMatchObject({
      answers: ['web-1.node.dc7.consul'],
      extras: ['web-1.node.dc7.consul 10.0.0.1'],
    })
  })

  it('names servers that are in no catalog, until somebody registers the service consul', async () => {
    const names = new Told()
    names.places.set('server', { node: web, atNode: true })
    const place = { namespace: 'default', service: 'consul', id: 'server', address: '10.0.0.1', port: 8500 }
    const server = {
      instance: instance(place),
      health: health([]),
      createdRevision: 0,
      modifiedRevision: 0,
    }
    await using face = await told(Object.assign(names, { servers: () => [server] }))
    expect((await face.ask('consul', 'NS')).answers).toEqual(['web-1.node.dc7.consul'])
    expect((await face.ask('Consul.service.consul', 'SRV')).answers).toEqual([
      '1 1 8500 Web-1.node.dc7.consul',
    ])
    expect((await face.ask('blue.consul.service.consul')).code).toBe('NXDOMAIN')
    await face.put({ service: 'consul', address: '10.0.0.9', port: 8300 })
    expect((await face.ask('consul.service.consul')).answers).toEqual(['10.0.0.9'])
  })
})

describe('a bug', () => {
  it('is told of, and makes it SERVFAIL', async () => {
    const names = new Told()
    names.query = () => {
      throw new Error('a bug')
    }
    await using face = await told(names)
    for (const transport of ['udp', 'tcp'] as const)
      expect((await face.ask('any.query.consul', 'A', { transport })).code).toBe('SERVFAIL')
    expect(face.notices).toMatchObject([
      { level: 'error', event: 'dns_failed', details: { error: { message: 'a bug' } } },
    ])
    expect((await face.ask('api.service.consul')).answers).toHaveLength(2)
  })
})

describe('nodes', () => {
  it('have an address and attributes', async () => {
    const names = new Told()
    names.nodes = [web, { name: 'six.rack.2', address: '2001:db8::1', metadata: {} }]
    await using face = await told(names)
    expect((await face.ask('WEB-1.node.consul')).answers).toEqual(['10.0.0.1'])
    expect((await face.ask('web-1.node.dc7.consul')).answers).toEqual(['10.0.0.1'])
    expect((await face.ask('six.rack.2.node.consul', 'AAAA')).answers).toEqual(['2001:db8::1'])
    expect([...(await face.ask('web-1.node.consul', 'TXT')).answers].sort()).toEqual([
      '` a`=b` =x``y',
      'as it is',
      'os=linux',
    ])
  })

  it('have nothing else, and others do not exist', async () => {
    const names = new Told()
    names.nodes = [web]
    await using face = await told(names)
    for (const type of ['AAAA', 'SRV', 'CNAME'])
      expect(await face.ask('web-1.node.consul', type)).toMatchObject({
        code: 'NOERROR',
        answers: [],
        authorities: ['consul SOA'],
      })
    expect((await face.ask('web-2.node.consul')).code).toBe('NXDOMAIN')
    expect((await face.ask('web-1.node.dc1.consul')).code).toBe('NXDOMAIN')
  })

  it('may be hosts of other domains, and may change', async () => {
    const names = new Told()
    names.nodes = [{ name: 'ext', address: 'host.example.com', metadata: { long: 'x'.repeat(600) } }]
    await using face = await told(names)
    for (const type of ['A', 'AAAA', 'CNAME'])
      expect((await face.ask('ext.node.consul', type)).answers).toEqual(['host.example.com'])
    const { packet } = await face.ask('ext.node.consul', 'TXT')
    expect(packet.answers?.[0]).toMatchObject({ data: [{ length: 255 }, { length: 255 }, { length: 95 }] })
    names.nodes = []
    names.at++
    expect((await face.ask('ext.node.consul')).code).toBe('NXDOMAIN')
  })

  it('are found by their address', async () => {
    const names = new Told()
    names.nodes = [web]
    await using face = await told(names)
    expect((await face.ask('1.0.0.10.in-addr.arpa', 'PTR')).answers).toEqual(['Web-1.node.dc7.consul'])
  })

  it('are those of the catalog, where nobody knows more', async () => {
    await using face = await served()
    await face.put({
      namespace: 'seamark',
      service: 'node',
      id: 'Web-1',
      address: '10.0.0.1',
      metadata: { os: 'linux' },
    })
    await face.put({ service: 'api', address: '10.0.0.1', port: 3000 })
    expect((await face.ask('web-1.node.consul')).answers).toEqual(['10.0.0.1'])
    expect((await face.ask('web-1.node.consul', 'TXT')).answers).toEqual(['os=linux'])
    expect((await face.ask('api.service.consul', 'SRV')).answers).toEqual(['1 1 3000 Web-1.node.dc1.consul'])
    await face.engine
      .deregister({ namespace: 'seamark', service: 'node', id: 'Web-1' })
      .then((at) => face.catalog.reached(at!))
    expect((await face.ask('web-1.node.consul')).code).toBe('NXDOMAIN')
    expect((await face.ask('api.service.consul', 'SRV')).answers).toEqual([
      '1 1 3000 0a000001.addr.dc1.consul',
    ])
  })
})

describe('prepared queries', () => {
  it('answer with what they find, for as long as they say', async () => {
    const names = new Told()
    await using face = await told(names)
    const { entries } = face.catalog.snapshot({ namespace: 'default', service: 'api' })
    names.queries.set('nearest.api', { entries, ttl: 5_500 })
    const { answers, packet } = await face.ask('Nearest.API.query.consul')
    expect([...answers].sort()).toEqual(['10.0.0.1', '10.0.0.2'])
    expect(packet.answers).toMatchObject([{ ttl: 5 }, { ttl: 5 }])
    expect((await face.ask('_nearest.api._tcp.query.dc7.consul', 'SRV')).answers).toHaveLength(2)
  })

  it('leave out who is critical', async () => {
    const names = new Told()
    await using face = await told(names)
    await face.report({ service: 'api', id: 'here' }, 'critical')
    const { entries } = face.catalog.snapshot({ namespace: 'default', service: 'api' })
    names.queries.set('all', { entries })
    expect((await face.ask('all.query.consul')).answers).toEqual(['10.0.0.2'])
    names.queries.set('none', { entries: entries.slice(0, 1) })
    expect((await face.ask('none.query.consul')).code).toBe('NXDOMAIN')
  })

  it('do not exist if nobody made them', async () => {
    const names = new Told()
    await using face = await told(names)
    expect((await face.ask('nobody.query.consul')).code).toBe('NXDOMAIN')
    expect((await face.ask('query.consul')).code).toBe('NOERROR')
  })

  it('are asked again once anything changed, and not before', async () => {
    const names = new Told()
    await using face = await told(names)
    const { entries } = face.catalog.snapshot({ namespace: 'default', service: 'api' })
    names.queries.set('all', { entries })
    for (let time = 0; time < 3; time++) await face.ask('all.query.consul')
    expect(names.asked).toBe(1)
    names.at++
    await face.ask('all.query.consul')
    expect(names.asked).toBe(2)
    await face.put({ service: 'other', address: '10.0.0.9' })
    await face.ask('all.query.consul')
    expect(names.asked).toBe(3)
  })
})
