import type { Entry } from '@seamark/core'
import type { Apex } from './apex.ts'
import { group } from './apex.ts'
import type { Finding } from './finding.ts'
import { addressBytes } from './ip-address.ts'
import type { Group } from './message-writer.ts'
import type { Names, Place } from './names.ts'
import { type ResourceRecord, types } from './record.ts'
import { asciiLower, type WireName, wireName } from './wire-name.ts'

export interface ServiceQuestion {
  readonly entries: readonly Entry[]
  readonly type: number
  /** Seconds. */
  readonly ttl: number
  /** The name that was asked for. */
  readonly name: string
  /** What follows the hosts that SRV records lead to: `dc1.consul`. */
  readonly domain: string
  /** Whether nodes are among these hosts. */
  readonly nodes: boolean
  readonly depth: number
}

/** The addresses of a host whose name is ours; `undefined`: it is not. */
export type LocalAddresses = (
  host: string,
  type: 'A' | 'AAAA',
  depth: number,
) => readonly Buffer[] | undefined

/** What is asked of a host; of an alias, also itself. */
export type HostType = 'A' | 'AAAA' | 'CNAME'

/** Where an entry can be reached. */
interface Location {
  readonly entry: Entry
  readonly place: Place
  /** A host name, when there are no bytes. */
  readonly address: string
  readonly bytes: Buffer | undefined
}

/** Turns the entries of a service into records. */
export class ServiceRecords {
  readonly #names: Names
  readonly #onlyPassing: boolean
  readonly #limit: number
  readonly #addresses: LocalAddresses

  /** `limit`: how many addresses an answer has at most; 0: all. */
  constructor(
    names: Names,
    { onlyPassing, limit }: { onlyPassing: boolean; limit: number },
    addresses: LocalAddresses,
  ) {
    this.#names = names
    this.#onlyPassing = onlyPassing
    this.#limit = limit
    this.#addresses = addresses
  }

  /** Those that may be told of: as in Consul's DNS, with the ones that have a warning. */
  healthy(entries: readonly Entry[]): readonly Entry[] {
    return entries.filter(
      ({ health: { status } }) => status === 'passing' || (status === 'warning' && !this.#onlyPassing),
    )
  }

  /** Of entries that are healthy, at least one. */
  find(apex: Apex, question: ServiceQuestion, holds?: () => boolean): Finding {
    const locations = question.entries.flatMap((entry) => this.#location(entry, question.name) ?? [])
    switch (question.type) {
      case types.SRV:
        // What other names of ours say may change, and is asked for again.
        return apex.found(
          this.#services(locations, question),
          locations.some((location) => this.#isLocal(location, question.depth)) ? undefined : holds,
        )
      case types.A:
        return this.#hosts(apex, locations, question, 'A', holds)
      case types.AAAA:
        return this.#hosts(apex, locations, question, 'AAAA', holds)
      case types.CNAME:
        return this.#hosts(apex, locations, question, 'CNAME', holds)
      case types.ANY:
        return apex.any(question.ttl, holds)
      default:
        return apex.noData(holds)
    }
  }

  #location(entry: Entry, name: string): Location | undefined {
    const place = this.#names.place(entry)
    const { address } = entry.instance
    // One that says to be where it is asked for is on its node, as far as anyone knows.
    const own = hostName(address) === name ? place.node?.address : address
    return own === undefined || own === name
      ? undefined
      : { entry, place, address: own, bytes: addressBytes(own) }
  }

  #hosts(
    apex: Apex,
    locations: readonly Location[],
    { ttl, depth }: ServiceQuestion,
    type: HostType,
    holds?: () => boolean,
  ): Finding {
    const length = type === 'A' ? 4 : 16
    const found = new Map<string, Group>()
    if (type !== 'CNAME')
      for (const { bytes } of locations)
        if (bytes?.length === length)
          found.set(bytes.toString('latin1'), group({ type, ttl, address: bytes }))
    if (found.size > 0)
      return { ...apex.found([...found.values()], holds), ...(this.#limit > 0 && { most: this.#limit }) }
    // A name that is another one is nothing else (RFC 1034, 3.6.2).
    const host = locations.every(({ bytes }) => bytes === undefined) ? locations[0] : undefined
    return host === undefined ? apex.noData(holds) : this.alias(apex, host.address, ttl, depth, type, holds)
  }

  /** Says that the name asked for is that host, and what is known of it. */
  alias(
    apex: Apex,
    host: string,
    ttl: number,
    depth: number,
    type: HostType,
    holds?: () => boolean,
  ): Finding {
    const target = wireName(host)
    if (target === undefined) return apex.noData(holds)
    const alias: ResourceRecord = { type: 'CNAME', ttl, target }
    if (type === 'CNAME') return apex.found([group(alias)], holds)
    const name = hostName(host)
    const local = this.#addresses(name, type, depth)
    if (local === undefined) return { ...apex.found([group(alias)], holds), alias: name }
    const records = local.map((address): ResourceRecord => ({ owner: target, type, ttl, address }))
    // What another name says may change, and is asked for again.
    return apex.found([{ answers: [alias, ...records], extra: [] }])
  }

  #isLocal({ address, bytes }: Location, depth: number): boolean {
    return bytes === undefined && this.#addresses(hostName(address), 'A', depth) !== undefined
  }

  #services(locations: readonly Location[], question: ServiceQuestion): readonly Group[] {
    const { ttl, depth } = question
    const groups = new Map<string, Group>()
    for (const { entry, place, address, bytes } of locations) {
      const { port, weight } = entry.instance
      const target = bytes === undefined ? wireName(address) : this.#target(place, bytes, question)
      if (target === undefined) continue
      const key = `${port} ${target.keys[0]}`
      if (groups.has(key)) continue
      const said = entry.health.status === 'warning' ? (place.warningWeight ?? weight) : weight
      const record: ResourceRecord = { type: 'SRV', ttl, weight: Math.min(0xffff, said), port, target }
      groups.set(key, group(record, this.#extra(target, address, bytes, ttl, depth)))
    }
    return [...groups.values()]
  }

  /** As Consul calls the hosts that SRV records lead to. */
  #target(
    { node, atNode = false }: Place,
    bytes: Buffer,
    { domain, nodes }: ServiceQuestion,
  ): WireName | undefined {
    const isNode = nodes && atNode && node !== undefined
    const named = isNode ? wireName(`${node.name}.node.${domain}`) : undefined
    return named ?? wireName(`${bytes.toString('hex')}.addr.${domain}`)
  }

  #extra(
    owner: WireName,
    address: string,
    bytes: Buffer | undefined,
    ttl: number,
    depth: number,
  ): readonly ResourceRecord[] {
    if (bytes !== undefined) return [{ owner, type: bytes.length === 4 ? 'A' : 'AAAA', ttl, address: bytes }]
    const host = hostName(address)
    return (['A', 'AAAA'] as const).flatMap((type) =>
      (this.#addresses(host, type, depth) ?? []).map((found) => ({ owner, type, ttl, address: found })),
    )
  }
}

/** As the names of our zones are compared. */
function hostName(address: string): string {
  return asciiLower(address).replace(/\.$/, '')
}
