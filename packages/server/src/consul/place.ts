import { isIPv4 } from 'node:net'
import { networkInterfaces } from 'node:os'

/** Where others reach a server that listens on `address`: if it listens everywhere, the first address that is not loopback. */
export function advertised(address: string): string {
  if (address !== '0.0.0.0' && address !== '::') return address
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  const others = all.filter(({ internal, scopeid }) => !internal && !scopeid).map(({ address }) => address)
  return others.find((other) => isIPv4(other)) ?? others[0] ?? '127.0.0.1'
}
