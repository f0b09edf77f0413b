import { isIPv4, isIPv6 } from 'node:net'
import type { Answer as AnyRecord, SoaAnswer, SrvAnswer, SrvData } from 'dns-packet'
import type { QueryType, Reply } from './message.ts'

/** One host and port of a service (RFC 2782). */
export interface ServiceRecord {
  readonly target: string
  readonly port: number
  /** The lowest number is to be asked first. */
  readonly priority: number
  readonly weight: number
}

/** What DNS says of a name. Without addresses and services, there is nothing of the type asked for. */
export interface Answer {
  /** Whether the name exists at all, with whatever type. */
  readonly exists: boolean
  readonly addresses: readonly string[]
  readonly services: readonly ServiceRecord[]
  /** Seconds for which this holds; 0 when nothing says how long. */
  readonly ttl: number
  /** IPv4 addresses of the targets, by their names in lower case, as far as the server sent them unasked. */
  readonly extra: ReadonlyMap<string, readonly string[]>
}

/** The answer is about another name, whose records the server did not send: ask for those. */
export interface Alias {
  readonly alias: string
  /** Seconds for which it is one. */
  readonly ttl: number
}

const noSuchName = 3
/** Aliases in a row that anybody needs. */
const mostAliases = 16

/** Reads what a reply says of a name: follows its aliases, and takes the records at their end. Throws when it makes no sense. */
export function answer(
  { code, recursive, answers, authorities, additionals }: Reply,
  asked: string,
  type: QueryType,
): Answer | Alias {
  let name = canonical(asked)
  let ttl = Number.POSITIVE_INFINITY
  for (let hops = 0; ; hops++) {
    const alias = answers.find((record) => record.type === 'CNAME' && canonical(record.name) === name)
    if (alias?.type !== 'CNAME') break
    if (hops === mostAliases) throw new Error(`The aliases of ${asked} do not end.`)
    name = canonical(alias.data)
    ttl = Math.min(ttl, lifetime(alias.ttl))
  }
  const records = answers.filter((record) => record.type === type && canonical(record.name) === name)
  const none = { exists: true, addresses: [], services: [], extra: new Map() }
  if (code === noSuchName || records.length === 0) {
    const authority = authorities.find((record) => record.type === 'SOA')
    if (code !== noSuchName && authority === undefined) {
      if (name !== canonical(asked)) return { alias: name, ttl }
      if (!recursive && authorities.some((record) => record.type === 'NS'))
        throw new Error(`It knows only who else to ask for ${asked}: it is no resolver.`)
    }
    return { ...none, exists: code !== noSuchName, ttl: Math.min(ttl, negativeTtl(authority)) }
  }
  for (const record of records) if ('ttl' in record) ttl = Math.min(ttl, lifetime(record.ttl))
  if (type === 'SRV')
    return {
      ...none,
      services: records.filter(isService).map(({ data }) => serviceRecord(data)),
      ttl,
      extra: extra(additionals),
    }
  return { ...none, addresses: addresses(records), ttl }
}

/** Names are the same in upper and lower case, with and without the dot at the end. */
export function canonical(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}

function isService(record: AnyRecord): record is SrvAnswer {
  return record.type === 'SRV'
}

function serviceRecord({ target, port, priority = 0, weight = 0 }: SrvData): ServiceRecord {
  return { target: canonical(target), port, priority, weight }
}

function addresses(records: readonly AnyRecord[]): readonly string[] {
  const found = new Set<string>()
  for (const record of records)
    if ((record.type === 'A' && isIPv4(record.data)) || (record.type === 'AAAA' && isIPv6(record.data)))
      found.add(record.data)
  return [...found]
}

/**
 * IPv4 only: a server that has no room sends the addresses of one kind and leaves the other out, and an instance must not
 * change its address with that.
 */
function extra(additionals: readonly AnyRecord[]): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>()
  for (const record of additionals)
    if (record.type === 'A' && isIPv4(record.data)) {
      const name = canonical(record.name)
      const known = found.get(name)
      if (known === undefined) found.set(name, [record.data])
      else if (!known.includes(record.data)) known.push(record.data)
    }
  return found
}

/** How long to believe that there is none (RFC 2308, 5). */
function negativeTtl(authority: AnyRecord | undefined): number {
  if (authority?.type !== 'SOA') return 0
  const { ttl, data } = authority as SoaAnswer
  return Math.min(lifetime(ttl), lifetime(data.minimum))
}

/** A TTL has 31 bits; with the highest bit set it is 0 (RFC 2181, 8). */
function lifetime(ttl = 0): number {
  return ttl > 0x7fff_ffff ? 0 : ttl
}
