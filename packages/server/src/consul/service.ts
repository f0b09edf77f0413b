import { isIPv4, isIPv6 } from 'node:net'
import type { Entry, InstanceKey } from '@seamark/core'
import { type ConsulCheck, checksOf, indexOf } from './check.ts'
import type { ConsulNode } from './node.ts'
import { consulVersion } from './options.ts'
import { type ConsulRecord, type ServiceAddress, shownMeta } from './record.ts'

/** An instance as Consul's API shows it: a service on a node. */
export interface ConsulService {
  readonly node: ConsulNode
  readonly id: string
  readonly name: string
  readonly tags: readonly string[]
  /** Empty: its node's. */
  readonly address: string
  readonly taggedAddresses: Readonly<Record<string, ServiceAddress>> | undefined
  readonly port: number
  readonly meta: Readonly<Record<string, string>> | null
  readonly weights: { readonly Passing: number; readonly Warning: number }
  readonly enableTagOverride: boolean
  readonly kind: string
  readonly proxy: Readonly<Record<string, unknown>> | undefined
  readonly connect: Readonly<Record<string, unknown>> | undefined
  /** Its own, in the order of their ids; those of its node are the node's. */
  readonly checks: readonly ConsulCheck[]
  readonly createIndex: number
  readonly modifyIndex: number
  /** `undefined`: no instance, but this server itself. */
  readonly entry: Entry | undefined
  readonly record: ConsulRecord | undefined
}

export function consulService(
  entry: Entry,
  record: ConsulRecord | undefined,
  node: ConsulNode,
): ConsulService {
  const { instance } = entry
  const id = record?.id ?? instance.id
  const tags = record?.tags ?? instance.tags
  const address = record?.atNode === true ? '' : instance.address
  return {
    node,
    id,
    name: instance.service,
    tags,
    address,
    taggedAddresses:
      record === undefined ? withFamilies(undefined, address, instance.port) : record.taggedAddresses,
    port: instance.port,
    meta: shownMeta(instance.metadata, record),
    weights: { Passing: instance.weight, Warning: record?.warningWeight ?? instance.weight },
    enableTagOverride: record?.enableTagOverride === true,
    kind: record?.kind ?? '',
    proxy: record?.proxy,
    connect: record?.connect,
    checks: checksOf(entry, record, {
      node: node.name,
      serviceId: id,
      serviceName: instance.service,
      serviceTags: tags,
    }),
    createIndex: indexOf(entry.createdRevision),
    modifyIndex: indexOf(entry.modifiedRevision),
    entry,
    record,
  }
}

/** The service that every server is, on its own node. */
export function serverService(node: ConsulNode, port: number): ConsulService {
  return {
    node,
    id: 'consul',
    name: 'consul',
    tags: [],
    address: '',
    taggedAddresses: undefined,
    port,
    meta: {
      non_voter: 'false',
      raft_version: '3',
      serf_protocol_current: '2',
      serf_protocol_max: '5',
      serf_protocol_min: '1',
      version: consulVersion,
    },
    weights: { Passing: 1, Warning: 1 },
    enableTagOverride: false,
    kind: '',
    proxy: undefined,
    connect: undefined,
    checks: [],
    createIndex: indexOf(0),
    modifyIndex: indexOf(0),
    entry: undefined,
    record: undefined,
  }
}

/** Consul's agent gives a service with an address of its own that address under the names of its family too. */
export function withFamilies(
  told: Readonly<Record<string, ServiceAddress>> | undefined,
  address: string,
  port: number,
): Readonly<Record<string, ServiceAddress>> | undefined {
  const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : undefined
  if (family === undefined) return told
  const own = { Address: address, Port: port }
  return { [`lan_${family}`]: own, [`wan_${family}`]: own, ...told }
}

/** The key of an instance, without the rest of it. */
export function keyOfEntry({ instance: { namespace, service, id } }: Entry): InstanceKey {
  return { namespace, service, id }
}
