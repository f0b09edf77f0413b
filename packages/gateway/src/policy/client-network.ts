import { isIPv6 } from 'node:net'

/**
 * Whom a limit for each client counts: an IPv4 address, or the /64 network of an IPv6 address, within which one client has as
 * many addresses as it likes (RFC 6177, 2; RFC 8981). IPv4 in IPv6 is IPv4.
 */
export function clientNetwork(address: string): string {
  if (!address.includes(':')) return address
  const [plain = ''] = address.split('%')
  if (!isIPv6(plain)) return address
  const mapped = /^(?:0*:)*:?(?:0*:)*ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)?.[1]
  if (mapped !== undefined) return mapped
  const [head = '', tail] = plain.split('::')
  const first = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const last = tail === '' ? [] : tail.split(':')
    // An IPv4 address at the end stands for two groups.
    const missing = 8 - first.length - last.length - (tail.includes('.') ? 1 : 0)
    first.push(...Array<string>(missing).fill('0'), ...last)
  }
  const network = first.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
  return `${network.join(':')}::/64`
}
