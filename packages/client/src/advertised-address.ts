import { BlockList, isIP, isIPv4 } from 'node:net'
import type { NetworkInterfaceInfo } from 'node:os'
import { invalidField } from '@seamark/core'

export interface AdvertisedAddress {
  readonly address: string
  /** Why it may be wrong, for people; `undefined` when it is sure. */
  readonly guess: string | undefined
}

export interface AdvertisedAddressOptions {
  /** As `os.networkInterfaces()` answers. */
  readonly interfaces: NodeJS.Dict<readonly NetworkInterfaceInfo[]>
  /** Hosts of the registry's servers; none for one inside this process. */
  readonly servers: readonly string[]
  /** A subnet in CIDR notation whose address is taken before all others. */
  readonly prefer?: string | undefined
}

/** Interfaces of containers, virtual machines and tunnels: hardly ever where other machines reach this one. */
const inner =
  /^(docker|br-|veth|virbr|cni|flannel|cali|cilium|podman|lxc|lxd|vmnet|vboxnet|vnet|tun|tap|utun|wg|tailscale|zt|kube|dummy)/

/** RFC 1918. */
const privateRanges = subnets('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16')

/**
 * Where others reach this process, as far as one can tell from inside: an address of the preferred subnet; 127.0.0.1 when
 * all servers are on this machine's loopback; the only private IPv4 address; else a guess, which says so.
 * Throws `invalid_field` for a `prefer` that is no subnet.
 */
export function advertisedAddress({
  interfaces,
  servers,
  prefer,
}: AdvertisedAddressOptions): AdvertisedAddress {
  const outside = Object.entries(interfaces)
    .flatMap(([name, addresses = []]) =>
      addresses.map(({ address, internal }) => ({ name, address, internal })),
    )
    .filter(
      ({ internal, address }) => !internal && !address.startsWith('fe80:') && !address.startsWith('169.254.'),
    )
  if (prefer !== undefined) {
    const preferred = subnets(prefer)
    const found = outside.find(({ address }) => within(preferred, address))
    if (found !== undefined) return sure(found.address)
  } else if (servers.every(isLoopback)) return sure('127.0.0.1')

  const real = outside.filter(({ name }) => !inner.test(name))
  const v4 = real.filter(({ address }) => isIPv4(address))
  const privates = v4.filter(({ address }) => within(privateRanges, address))
  if (prefer === undefined && privates.length === 1) return sure(privates[0]!.address)

  const [first] = [...privates, ...v4, ...real]
  if (first === undefined)
    return guess('127.0.0.1', 'this machine has no other address, and only callers on it can reach that')
  const all = real.map(({ name, address }) => `${address} (${name})`).join(', ')
  const why = prefer === undefined ? `there are ${all}` : `none is in ${prefer}; there are ${all}`
  return guess(first.address, why)
}

/** A host that only processes of the same machine can reach. */
function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1')
  return bare === 'localhost' || bare === '::1' || (isIPv4(bare) && bare.startsWith('127.'))
}

function sure(address: string): AdvertisedAddress {
  return { address, guess: undefined }
}

function guess(address: string, why: string): AdvertisedAddress {
  return { address, guess: why }
}

function within(list: BlockList, address: string): boolean {
  return list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
}

function subnets(...cidrs: string[]): BlockList {
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [address = '', bits = '', ...rest] = cidr.split('/')
    const family = isIP(address)
    const most = family === 4 ? 32 : 128
    if (family === 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > most || rest.length > 0)
      throw invalidField('prefer', `must be a subnet such as "10.0.0.0/8"; "${cidr}" is none`)
    list.addSubnet(address, Number(bits), family === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}
