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
  /** A host name, when there are no bytes. */
  readonly address: string
  readonly bytes: Buffer | undefined
  /** The same for the same bytes. */
  readonly key: string
}

/** Turns the entries of a service into records. */
export class ServiceRecords {
  readonly #names: Names
  readonly #onlyPassing: boolean
  readonly #limit: number
  readonly #addresses: LocalAddresses
  /** Of a service's many entries, few change at a time. */
  readonly #locations = new WeakMap<Entry, Location>()

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
    const locations: Location[] = []
    for (const entry of question.entries) {
      const location = this.#location(entry, question.name)
      if (location !== undefined) locations.push(location)
    }
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
    let location = this.#locations.get(entry)
    if (location === undefined) {
      location = located(entry, entry.instance.address)
      this.#locations.set(entry, location)
    }
    if (location.bytes !== undefined || hostName(location.address) !== name) return location
    // One that says to be where it is asked for is on its node, as far as anyone knows.
    const node = this.#names.place(entry).node?.address
    return node === undefined || hostName(node) === name ? undefined : located(entry, node)
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
      for (const { bytes, key } of locations)
        if (bytes?.length === length) found.set(key, group({ type, ttl, address: bytes }))
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
    const groups = new Map<string, Group>()
    for (const location of locations) {
      const { entry, address, bytes, key } = location
      const one = `${entry.instance.port} ${key}`
      if (groups.has(one) || (bytes === undefined && wireName(address) === undefined)) continue
      groups.set(one, new LazyGroup(() => this.#service(location, question)))
    }
    return [...groups.values()]
  }

  #service({ entry, address, bytes }: Location, question: ServiceQuestion): Group {
    const { ttl, depth } = question
    const { port, weight } = entry.instance
    const place = this.#names.place(entry)
    const target = bytes === undefined ? wireName(address)! : this.#target(place, bytes, question)
    const said = entry.health.status === 'warning' ? (place.warningWeight ?? weight) : weight
    const record: ResourceRecord = { type: 'SRV', ttl, weight: Math.min(0xffff, said), port, target }
    return group(record, this.#extra(target, address, bytes, ttl, depth))
  }

  /** As Consul calls the hosts that SRV records lead to. */
  #target({ node, atNode = false }: Place, bytes: Buffer, { domain, nodes }: ServiceQuestion): WireName {
    const isNode = nodes && atNode && node !== undefined
    const named = isNode ? wireName(`${node.name}.node.${domain}`) : undefined
    return named ?? wireName(`${bytes.toString('hex')}.addr.${domain}`)!
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

/** Made when it is first in an answer: of many, few ever are. */
class LazyGroup implements Group {
  readonly #make: () => Group
  #made: Group | undefined

  constructor(make: () => Group) {
    this.#make = make
  }

  get answers(): Group['answers'] {
    this.#made ??= this.#make()
    return this.#made.answers
  }

  get extra(): Group['extra'] {
    this.#made ??= this.#make()
    return this.#made.extra
  }
}

function located(entry: Entry, address: string): Location {
  const bytes = addressBytes(address)
  return { entry, address, bytes, key: bytes?.toString('latin1') ?? hostName(address) }
}

/** As the names of our zones are compared. */
function hostName(address: string): string {
  return asciiLower(address).replace(/\.$/, '')
}
