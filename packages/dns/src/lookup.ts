import { type Instance, instance, type ServiceKey } from '@seamark/core'
import type { ServiceRecord } from './answer.ts'
import type { Naming } from './name.ts'
import type { Resolver } from './resolver.ts'

export interface LookupOptions {
  readonly resolver: Resolver
  readonly naming: Naming
  readonly scheme: string
  /** Of instances that no SRV record tells the port of; without it, only SRV records count. */
  readonly port: number | undefined
}

/** The instances of a service, as DNS has them now. */
export interface Found {
  readonly instances: readonly Instance[]
  /** Seconds for which this holds; 0 when nothing says how long. */
  readonly ttl: number
  /** Records that lead to no instance: what they say, and why not. */
  readonly skipped: ReadonlyMap<string, string>
}

interface Location {
  readonly address: string
  readonly port: number
  readonly weight: number
}

const none: ReadonlyMap<string, string> = new Map()

/** Looks services up. Throws `engine_unavailable` when any part of the answer is not known. */
export function lookup({ resolver, naming, scheme, port }: LookupOptions) {
  return async (service: ServiceKey, signal: AbortSignal): Promise<Found> => {
    const names = naming(service)
    if (names === undefined) return { instances: [], ttl: Number.POSITIVE_INFINITY, skipped: none }
    const listed = (locations: readonly Location[]) => instances(service, scheme, locations)

    const { exists, services, ttl, extra } = await resolver.resolve(names.services, 'SRV', signal)
    if (services.length > 0) {
      const found = await hosts(resolver, services, extra, signal)
      return { ...found, instances: listed(found.locations), ttl: Math.min(ttl, found.ttl) }
    }
    // What does not exist has no addresses either.
    const sameName = names.services === names.addresses
    if (port === undefined || (!exists && sameName)) return { instances: [], ttl, skipped: none }
    const found = await addresses(resolver, names.addresses, signal)
    const locations = found.addresses.map((address) => ({ address, port, weight: 1 }))
    return { instances: listed(locations), ttl: Math.min(ttl, found.ttl), skipped: none }
  }
}

/**
 * Where the records of the lowest priority number lead; where none of them leads anywhere, those of the next (RFC 2782:
 * nobody else is to be asked while one of the first can be).
 */
async function hosts(
  resolver: Resolver,
  services: readonly ServiceRecord[],
  extra: ReadonlyMap<string, readonly string[]>,
  signal: AbortSignal,
): Promise<{ locations: readonly Location[]; ttl: number; skipped: ReadonlyMap<string, string> }> {
  let ttl = Number.POSITIVE_INFINITY
  const skipped = new Map<string, string>()
  const skip = ({ target, port, priority }: ServiceRecord, why: string) =>
    skipped.set(`${priority} ${target || '.'}:${port}`, why)
  const priorities = [...new Set(services.map(({ priority }) => priority))].sort((a, b) => a - b)
  for (const priority of priorities) {
    const records = services.filter((record) => record.priority === priority)
    // A target of "." means that the service is decidedly not offered (RFC 2782).
    const usable = records.filter(({ target, port }) => target !== '' && port !== 0)
    for (const record of records) if (record.port === 0 && record.target !== '') skip(record, 'its port is 0')
    const targets = new Map<string, Promise<{ addresses: readonly string[]; ttl: number }>>()
    for (const { target } of usable) {
      const known = extra.get(target)
      if (!targets.has(target))
        targets.set(
          target,
          known === undefined
            ? addresses(resolver, target, signal)
            : Promise.resolve({ addresses: known, ttl: Number.POSITIVE_INFINITY }),
        )
    }
    const found = new Map<string, Awaited<ReturnType<typeof addresses>>>()
    await Promise.all([...targets].map(async ([target, asked]) => found.set(target, await asked)))
    const locations: Location[] = []
    for (const record of usable) {
      const { addresses, ttl: valid } = found.get(record.target)!
      ttl = Math.min(ttl, valid)
      if (addresses.length === 0) skip(record, 'its target has no address')
      for (const address of addresses) locations.push({ address, port: record.port, weight: record.weight })
    }
    if (locations.length > 0) return { locations, ttl, skipped }
  }
  return { locations: [], ttl, skipped }
}

/** The IPv4 addresses of a name, or, where it has none, the IPv6 ones: a host with both is one instance. */
async function addresses(
  resolver: Resolver,
  name: string,
  signal: AbortSignal,
): Promise<{ addresses: readonly string[]; ttl: number }> {
  const four = await resolver.resolve(name, 'A', signal)
  if (four.addresses.length > 0 || !four.exists) return four
  const six = await resolver.resolve(name, 'AAAA', signal)
  return { addresses: six.addresses, ttl: Math.min(four.ttl, six.ttl) }
}

/** One for each address and port, however many records lead there: the one that weighs most counts. */
function instances(service: ServiceKey, scheme: string, locations: readonly Location[]): readonly Instance[] {
  const found = new Map<string, Instance>()
  for (const { address, port, weight } of locations.toSorted((a, b) => b.weight - a.weight)) {
    const id = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
    if (!found.has(id)) found.set(id, instance({ ...service, id, address, port, scheme, weight }))
  }
  return [...found.values()]
}
