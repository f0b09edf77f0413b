import { BlockList } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { clientNetwork } from './client-network.ts'

describe('the network of a client', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['0:0:0:0:0:FFFF:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2::', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002:0000::1', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8::5:6:7:8:9', '2001:db8:0:5::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['64:ff9b::192.0.2.33', '64:ff9b:0:0::/64'],
    ['1:2::3:4:5:192.0.2.33', '1:2:0:3::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::ffff:0:1', '0:0:0:0::/64'],
    ['::ffff:0:192.0.2.1', '0:0:0:0::/64'],
    ['1::ffff:192.0.2.1', '1:0:0:0::/64'],
    ['1:2:3:4:5:6:7::', '1:2:3:4::/64'],
    ['::2:3:4:5:6:7:8', '0:2:3:4::/64'],
    ['', ''],
    ['no:address', 'no:address'],
  ])('of %j is %j', (address, network) => {
    expect(clientNetwork(address)).toBe(network)
  })

  it('is the same for two IPv6 addresses if, and only if, they are of one /64', () => {
    const near = fc.tuple(fc.ipV6(), fc.ipV6(), fc.boolean())
    fc.assert(
      fc.property(near, ([one, random, isNear]) => {
        const other = isNear ? one.replace(/[0-9a-f]$/i, '1') : random
        const list = new BlockList()
        list.addSubnet(one, 64, 'ipv6')
        expect(clientNetwork(one) === clientNetwork(other)).toBe(list.check(other, 'ipv6'))
      }),
    )
  })

  it('is something for whatever text comes', () => {
    const texts = fc.string({ unit: fc.constantFrom('0', '1', 'f', ':', '.', '%', 'x') })
    fc.assert(
      fc.property(texts, (text) => {
        expect(clientNetwork(text)).toBeTypeOf('string')
      }),
    )
  })
})
