import type { NetworkInterfaceInfo } from 'node:os'
import { describe, expect, test } from 'vitest'
import { advertisedAddress } from './advertised-address.ts'

type Interfaces = Record<string, readonly string[]>

function interfaces(addresses: Interfaces): NodeJS.Dict<NetworkInterfaceInfo[]> {
  const info = (address: string) =>
    ({ address, internal: address === '127.0.0.1' || address === '::1' }) as NetworkInterfaceInfo
  return Object.fromEntries(Object.entries(addresses).map(([name, list]) => [name, list.map(info)]))
}

const lo = ['127.0.0.1', '::1']
const remote = ['registry.test']

interface Case {
  readonly title: string
  readonly interfaces: Interfaces
  readonly servers?: readonly string[]
  readonly prefer?: string
  readonly address: string
  readonly guess?: string
}

const cases: readonly Case[] = [
  {
    title: 'the loopback when the server is on it',
    interfaces: { lo, eth0: ['10.1.2.3'] },
    servers: ['127.0.0.1'],
    address: '127.0.0.1',
  },
  {
    title: 'the loopback when all servers are on it, by any of its names',
    interfaces: { lo, eth0: ['10.1.2.3'] },
    servers: ['localhost', '[::1]', '127.0.0.2'],
    address: '127.0.0.1',
  },
  {
    title: 'the loopback without a server',
    interfaces: { lo, eth0: ['10.1.2.3'] },
    servers: [],
    address: '127.0.0.1',
  },
  {
    title: 'the private address when one of the servers is elsewhere',
    interfaces: { lo, eth0: ['10.1.2.3'] },
    servers: ['127.0.0.1', '10.9.9.9'],
    address: '10.1.2.3',
  },
  {
    title: 'the only private address, not the public one beside it',
    interfaces: { lo, eth0: ['203.0.113.5'], eth1: ['172.16.4.4'] },
    address: '172.16.4.4',
  },
  {
    title: 'no bridge of a container runtime, no virtual machine, no tunnel',
    interfaces: {
      lo,
      docker0: ['172.17.0.1'],
      'br-7f2c': ['172.18.0.1'],
      veth12: ['10.5.0.1'],
      virbr0: ['192.168.122.1'],
      cni0: ['10.42.0.1'],
      'flannel.1': ['10.42.0.0'],
      tun0: ['10.8.0.6'],
      enp3s0: ['192.168.1.20'],
    },
    address: '192.168.1.20',
  },
  {
    title: 'the address inside a container, whose own interface is eth0',
    interfaces: { lo, eth0: ['172.17.0.3'] },
    address: '172.17.0.3',
  },
  {
    title: 'no link-local address',
    interfaces: { lo, eth0: ['169.254.3.4', 'fe80::1'], eth1: ['10.0.0.9'] },
    address: '10.0.0.9',
  },
  {
    title: 'the first of several private ones, as a guess',
    interfaces: { lo, eth0: ['10.0.0.9'], eth1: ['192.168.0.9'] },
    address: '10.0.0.9',
    guess: 'there are 10.0.0.9 (eth0), 192.168.0.9 (eth1)',
  },
  {
    title: 'a public address, as a guess',
    interfaces: { lo, eth0: ['203.0.113.5', '2001:db8::5'] },
    address: '203.0.113.5',
    guess: 'there are 203.0.113.5 (eth0), 2001:db8::5 (eth0)',
  },
  {
    title: 'IPv6 where there is nothing else, as a guess',
    interfaces: { lo, eth0: ['2001:db8::5'] },
    address: '2001:db8::5',
    guess: 'there are 2001:db8::5 (eth0)',
  },
  {
    title: 'the loopback where there is nothing at all, as a guess',
    interfaces: { lo },
    address: '127.0.0.1',
    guess: 'this machine has no other address, and only callers on it can reach that',
  },
  {
    title: 'the preferred subnet, over the loopback and every rule',
    interfaces: { lo, eth0: ['192.168.0.9'], tun0: ['10.8.0.6'] },
    servers: ['127.0.0.1'],
    prefer: '10.0.0.0/8',
    address: '10.8.0.6',
  },
  {
    title: 'the preferred subnet of IPv6',
    interfaces: { lo, eth0: ['192.168.0.9', '2001:db8::5'] },
    prefer: '2001:db8::/32',
    address: '2001:db8::5',
  },
  {
    title: 'another address than preferred, as a guess',
    interfaces: { lo, eth0: ['192.168.0.9'] },
    prefer: '10.0.0.0/8',
    address: '192.168.0.9',
    guess: 'none is in 10.0.0.0/8; there are 192.168.0.9 (eth0)',
  },
]

describe('the advertised address is', () => {
  test.each(cases)('$title', ({ interfaces: given, servers = remote, prefer, address, guess }) => {
    expect(advertisedAddress({ interfaces: interfaces(given), servers, prefer })).toEqual({ address, guess })
  })

  test.each(['10.0.0.0', '10.0.0.0/33', 'ten/8', '10.0.0.0/8/8', '::/129'])(
    'refused for the subnet %s',
    (prefer) => {
      expect(() => advertisedAddress({ interfaces: {}, servers: remote, prefer })).toThrow(
        expect.objectContaining({ code: 'invalid_field', field: 'prefer' }),
      )
    },
  )
})
