import { isIPv4, isIPv6 } from 'node:net'

/** The 4 or 16 bytes of an IP address; `undefined` for anything else. An IPv4 address inside IPv6 is the IPv4 one. */
export function addressBytes(address: string): Buffer | undefined {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  if (!isIPv6(address) || address.includes('%')) return undefined
  const bytes = Buffer.alloc(16)
  const [head = '', tail] = dotless(address).split('::')
  write(bytes, 0, head)
  if (tail !== undefined && tail !== '') write(bytes, 16 - tail.split(':').length * 2, tail)
  return mapped(bytes) ? bytes.subarray(12) : bytes
}

/** How addresses are compared: two ways to write the same one give the same text. */
export function addressKey(address: string): string | undefined {
  return addressBytes(address)?.toString('hex')
}

function dotless(address: string): string {
  const dotted = /\d+\.\d+\.\d+\.\d+$/.exec(address)?.[0]
  if (dotted === undefined) return address
  const [a = 0, b = 0, c = 0, d = 0] = dotted.split('.').map(Number)
  const groups = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  return address.slice(0, -dotted.length) + groups
}

function write(bytes: Buffer, at: number, groups: string): void {
  if (groups === '') return
  for (const [index, group] of groups.split(':').entries())
    bytes.writeUInt16BE(Number.parseInt(group, 16), at + index * 2)
}

/** `::ffff:a.b.c.d` */
function mapped(bytes: Buffer): boolean {
  return bytes.readUInt16BE(10) === 0xffff && bytes.subarray(0, 10).every((byte) => byte === 0)
}
