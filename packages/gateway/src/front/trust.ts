import { BlockList, isIP } from 'node:net'
import { invalidField } from '@seamark/core'
import type { Fields } from '../proxy/fields.ts'
import { Call, type Caller, type Said } from './call.ts'

/** Says who is on the other end of connections, and whose word on that is taken. */
export class Trust {
  readonly #proxies = new BlockList()
  readonly #isEmpty: boolean

  /** Networks such as `10.0.0.0/8`, or addresses. Throws `invalid_field`. */
  constructor(networks: readonly string[]) {
    this.#isEmpty = networks.length === 0
    for (const [index, network] of networks.entries()) add(this.#proxies, `trustedProxies/${index}`, network)
  }

  /** Who a connection is from. */
  caller(address: string | undefined, isSecure: boolean): Caller {
    // An IPv4 address, as sockets for both show it.
    const peer = (address ?? '').replace(/^::ffff:(?=\d+\.)/i, '')
    return { peer, scheme: isSecure ? 'https' : 'http', isTrusted: this.#trusts(peer) }
  }

  /** The request as it was made, as far as trusted proxies say so. */
  call(said: Said, caller: Caller): Call {
    if (!caller.isTrusted) return new Call(said, caller, caller.peer, caller.scheme)
    const { addresses, scheme } = forwarded(said.fields)
    return new Call(said, caller, this.#client(addresses, caller.peer), scheme ?? caller.scheme)
  }

  #trusts(address: string): boolean {
    const version = this.#isEmpty ? 0 : isIP(address)
    return version !== 0 && this.#proxies.check(address, version === 6 ? 'ipv6' : 'ipv4')
  }

  /** The nearest address that is no trusted proxy's: each of those adds whom it heard from. */
  #client(addresses: readonly string[], peer: string): string {
    let client = peer
    for (const address of addresses.toReversed()) {
      if (isIP(address) === 0) break
      client = address
      if (!this.#trusts(address)) break
    }
    return client
  }
}

function add(list: BlockList, field: string, network: string): void {
  const [address = '', bits, ...rest] = network.split('/')
  const version = isIP(address)
  const most = version === 6 ? 128 : 32
  const isPrefix = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most)
  if (version === 0 || rest.length > 0 || !isPrefix)
    throw invalidField(field, 'must be an IP address, or a network such as "10.0.0.0/8"')
  list.addSubnet(address, bits === undefined ? most : Number(bits), version === 6 ? 'ipv6' : 'ipv4')
}

/** What the proxy before us says in `x-forwarded-*`. */
function forwarded(fields: Fields) {
  const addresses: string[] = []
  let scheme: 'http' | 'https' | undefined
  for (let at = 0; at < fields.length; at += 2) {
    const value = fields[at + 1]!
    if (fields[at] === 'x-forwarded-for') addresses.push(...value.split(',').map((one) => one.trim()))
    else if (fields[at] === 'x-forwarded-proto') {
      const said = value.split(',').at(-1)!.trim().toLowerCase()
      if (said === 'http' || said === 'https') scheme = said
    }
  }
  return { addresses, scheme }
}
