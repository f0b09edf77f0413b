import { describe, expect, it } from 'vitest'
import { served } from '../../test/face.ts'

describe('addresses', () => {
  it('lead to the node that has them', async () => {
    await using face = await served()
    await face.put({ namespace: 'seamark', service: 'node', id: 'Web-1', address: '10.0.0.1' })
    await face.put({ service: 'api', address: '10.0.0.1' })
    expect((await face.ask('1.0.0.10.in-addr.arpa', 'PTR')).answers).toEqual(['Web-1.node.dc1.consul'])
  })

  it('lead to the services that are there, if no node is', async () => {
    await using face = await served()
    await face.put({ service: 'api', address: '10.0.0.2' })
    await face.put({ namespace: 'test.shop', service: 'app2', address: '10.0.0.2' })
    const ask = async () => [...(await face.ask('2.0.0.10.in-addr.arpa', 'PTR')).answers].sort()
    expect(await ask()).toEqual(['api.service.dc1.consul', 'app2.test.shop.seamark'])
    await face.put({ service: 'api', address: '10.0.0.3' })
    expect(await ask()).toEqual(['app2.test.shop.seamark'])
    expect((await face.ask('3.0.0.10.in-addr.arpa', 'PTR')).answers).toEqual(['api.service.dc1.consul'])
    await face.remove({ service: 'api', id: 'api' })
    expect((await face.ask('3.0.0.10.in-addr.arpa', 'PTR')).code).toBe('NXDOMAIN')
  })

  it('of IPv6 do so too, however they are written', async () => {
    await using face = await served()
    await face.put({ service: 'api', address: '2001:DB8:0::1' })
    const name = `1.${'0.'.repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa`
    expect((await face.ask(name, 'PTR')).answers).toEqual(['api.service.dc1.consul'])
    expect(await face.ask(name, 'A')).toMatchObject({
      code: 'NOERROR',
      answers: [],
      authorities: ['consul SOA'],
    })
  })

  it.each([
    '9.9.9.9.in-addr.arpa',
    '10.in-addr.arpa',
    '256.0.0.10.in-addr.arpa',
    '01.0.0.10.in-addr.arpa',
    'x.ip6.arpa',
    'ip6.arpa',
  ])('that nobody has do not exist: %s', async (name) => {
    await using face = await served()
    expect(await face.ask(name, 'PTR')).toMatchObject({ code: 'NXDOMAIN', authorities: ['consul SOA'] })
  })
})
