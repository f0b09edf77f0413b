import { isIPv4, isIPv6 } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import type { Entry } from '@seamark/core'
import { type ConsulCheck, checksOf, indexOf } from './check.ts'
import { type ConsulRecord, shownMeta } from './record.ts'

/** A node as Consul's API shows it. */
export interface ConsulNode {
  readonly name: string
  readonly id: string
  readonly address: string
  readonly taggedAddresses: Readonly<Record<string, string>> | null
  readonly meta: Readonly<Record<string, string>> | null
  /** In the order of their ids. */
  readonly checks: readonly ConsulCheck[]
  /** The same object until something but its checks changes. */
  readonly facts: object
  readonly createIndex: number
  /** Of the node without its checks. */
  readonly modifyIndex: number
  /** Of the node or its checks. */
  readonly healthIndex: number
  /** Of one of the servers of this registry, which are one agent together; `undefined`: somebody told of the node. */
  readonly server: AgentServer | undefined
}

/** One server, as a node. */
export interface AgentServer {
  readonly name: string
  readonly id: string
  readonly address: string
  /** Of its HTTP API. */
  readonly port: number
  readonly meta: Readonly<Record<string, string>>
}

/** A server's node. `entry` holds the checks that were registered for it, if there are any. */
export function serverNode(
  server: AgentServer,
  entry: Entry | undefined,
  record: ConsulRecord | undefined,
  former: ConsulNode | undefined,
): ConsulNode {
  const owner = { node: server.name, serviceId: '', serviceName: '', serviceTags: [] }
  const alive: ConsulCheck = {
    ...owner,
    id: 'serfHealth',
    name: 'Serf Health Status',
    status: 'passing',
    notes: '',
    output: 'Agent alive and reachable',
    type: '',
    definition: {},
    createIndex: indexOf(0),
    modifyIndex: indexOf(0),
    source: undefined,
    record: undefined,
  }
  const checks = entry === undefined ? [] : checksOf(entry, record, owner)
  const facts = {
    name: server.name,
    id: server.id,
    address: server.address,
    taggedAddresses: taggedAddresses(server.address),
    meta: { 'consul-network-segment': '', ...server.meta },
    createIndex: indexOf(0),
  }
  return {
    ...kept(facts, indexOf(0), former),
    checks: [...checks, alive].sort((a, b) => (a.id < b.id ? -1 : 1)),
    healthIndex: indexOf(entry?.modifiedRevision ?? 0),
    server,
  }
}

/** A node that somebody told the catalog of. */
export function externalNode(
  entry: Entry,
  record: ConsulRecord | undefined,
  former: ConsulNode | undefined,
): ConsulNode {
  const { instance } = entry
  const facts = {
    name: instance.id,
    id: record?.nodeId ?? '',
    address: instance.address,
    taggedAddresses: record?.nodeAddresses ?? null,
    meta: shownMeta(instance.metadata, record),
    createIndex: indexOf(entry.createdRevision),
  }
  return {
    ...kept(facts, indexOf(entry.modifiedRevision), former),
    checks: checksOf(entry, record, { node: instance.id, serviceId: '', serviceName: '', serviceTags: [] }),
    healthIndex: indexOf(entry.modifiedRevision),
    server: undefined,
  }
}

/** What a node is but for its checks; as it was before, if that is the same. */
function kept<T extends object>(facts: T, modifyIndex: number, former: ConsulNode | undefined) {
  return former !== undefined && isDeepStrictEqual(former.facts, facts)
    ? { ...facts, facts: former.facts, modifyIndex: former.modifyIndex }
    : { ...facts, facts, modifyIndex }
}

/** The names under which Consul's agent gives its own address. */
function taggedAddresses(address: string): Record<string, string> {
  const families = { ...(isIPv4(address) && { ipv4: address }), ...(isIPv6(address) && { ipv6: address }) }
  const pairs = ['lan', 'wan'].flatMap((network) => [
    [network, address] as const,
    ...Object.keys(families).map((family) => [`${network}_${family}`, address] as const),
  ])
  return Object.fromEntries(pairs)
}
