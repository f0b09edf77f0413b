import { addressRecord } from './address-records.ts'
import { type Apex, group } from './apex.ts'
import type { Finding } from './finding.ts'
import { addressBytes } from './ip-address.ts'
import type { Node } from './names.ts'
import { texts, types } from './record.ts'
import type { HostType, ServiceRecords } from './service-records.ts'

const hostTypes: readonly HostType[] = ['A', 'AAAA', 'CNAME']

/** What there is to say of a node. */
export function nodeRecords(
  apex: Apex,
  records: ServiceRecords,
  node: Node,
  { type, depth }: { type: number; depth: number },
  holds: () => boolean,
): Finding {
  const ttl = apex.ttls.node
  if (type === types.ANY) return apex.any(ttl, holds)
  if (type === types.TXT)
    return apex.found(
      Object.entries(node.metadata).map(([key, value]) =>
        group({ type: 'TXT', ttl, texts: texts(attribute(key, value)) }),
      ),
      holds,
    )
  const kind = hostTypes.find((kind) => types[kind] === type)
  if (kind === undefined) return apex.noData(holds)
  const address = addressBytes(node.address)
  if (address === undefined) return records.alias(apex, node.address, ttl, depth, kind, holds)
  const record = addressRecord(undefined, address, ttl)
  return apex.found(record.type === kind ? [group(record)] : [], holds)
}

/** RFC 1464. As Consul does, a key that begins with `rfc1035-` only carries its value. */
function attribute(key: string, value: string): string {
  if (key.toLowerCase().startsWith('rfc1035-')) return value
  const quoted = key.replace(/[`=]/g, '`$&').replace(/^ +| +$/g, (spaces) => '` '.repeat(spaces.length))
  return `${quoted}=${value.replaceAll('`', '``')}`
}
