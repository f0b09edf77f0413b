import { hostRecord } from './address-records.ts'
import { type Apex, group } from './apex.ts'
import type { Finding } from './finding.ts'
import { types } from './record.ts'
import type { WireName } from './wire-name.ts'

/** A server that answers for a domain. */
export interface NameServer {
  readonly name: WireName
  /** `undefined`: nobody knows which of several. */
  readonly address: string | undefined
}

/** What there is to say of a domain itself. */
export function topRecords(apex: Apex, servers: readonly NameServer[], type: number): Finding {
  const ttl = apex.ttls.node
  if (type === types.ANY) return apex.any(ttl)
  if (type !== types.SOA && type !== types.NS) return apex.noData()
  const found = servers.map(({ name, address }) =>
    group({ owner: apex.name, type: 'NS', ttl, target: name }, hostRecord(name, address, ttl)),
  )
  if (type === types.NS) return apex.found(found)
  const soa = group(
    apex.soa(),
    found.flatMap(({ extra }) => extra),
  )
  return { ...apex.found([soa]), authority: found.flatMap(({ answers }) => answers) }
}

/** What there is to say of a server that is named after its domain. */
export function serverRecords(apex: Apex, address: string | undefined, type: number): Finding {
  const ttl = apex.ttls.node
  if (type === types.ANY) return apex.any(ttl)
  const found = hostRecord(undefined, address, ttl).filter((record) => types[record.type] === type)
  return apex.found(found.map((record) => group(record)))
}
