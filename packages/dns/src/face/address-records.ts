import { type Apex, group } from './apex.ts'
import type { Finding } from './finding.ts'
import { addressBytes } from './ip-address.ts'
import { type ResourceRecord, types } from './record.ts'
import type { WireName } from './wire-name.ts'

/** What `0a000001` stands for: the bytes of an address. */
export function hexAddress(label: string | undefined): Buffer | undefined {
  return label !== undefined && /^(?:[0-9a-f]{8}|[0-9a-f]{32})$/.test(label)
    ? Buffer.from(label, 'hex')
    : undefined
}

/** What there is to say of a name that is made of an address. Not kept: everybody may think of some. */
export function addressRecords(apex: Apex, address: Buffer, type: number): Finding {
  const ttl = apex.ttls.node
  if (type === types.ANY) return apex.any(ttl)
  const record = addressRecord(undefined, address, ttl)
  return apex.found(type === types[record.type] ? [group(record)] : [])
}

export function addressRecord(
  owner: WireName | undefined,
  address: Buffer,
  ttl: number,
): ResourceRecord & { readonly type: 'A' | 'AAAA' } {
  return { owner, type: address.length === 4 ? 'A' : 'AAAA', ttl, address }
}

/** None for a host name. */
export function hostRecord(
  owner: WireName | undefined,
  host: string | undefined,
  ttl: number,
): readonly ResourceRecord[] {
  const address = host === undefined ? undefined : addressBytes(host)
  return address === undefined ? [] : [addressRecord(owner, address, ttl)]
}
