import { type InstanceKey, type Item, type ServiceKey, serviceId } from '@seamark/core'

/** An address of a service that is reached from elsewhere, such as `wan`. */
export interface ServiceAddress {
  readonly Address: string
  readonly Port: number
}

/** What Consul knows of a check beyond what the instance says of it. */
export interface CheckRecord {
  readonly name: string
  readonly notes?: string
  /** `ttl`, `http`, `tcp`, `grpc`, `script`, `docker`, `alias`; empty for one that was told to the catalog. */
  readonly type: string
  /** Milliseconds, of a TTL check. */
  readonly ttl?: number
  /** Milliseconds of being critical after which the service goes; for checks that no server runs. */
  readonly deregisterAfter?: number
  /** What an alias check follows: a service's id, or all of the node. */
  readonly alias?: { readonly node?: string; readonly service?: string }
  /** As it was told, in the shape in which it is shown. */
  readonly definition?: Readonly<Record<string, unknown>>
  /** A status that only Consul knows. */
  readonly status?: string
}

/**
 * What Consul's API says of an instance beyond the instance. Nodes have one too: a node is an instance of the service
 * `node` in the namespace `seamark`.
 */
export interface ConsulRecord {
  /** The node that the instance is on. */
  readonly node: string
  /** Consul's id of the service, where it is not the instance's. */
  readonly id?: string
  /** Whether the service told no address of its own: it is its node's. */
  readonly atNode?: true
  /** As they were told, where an instance cannot have them so: it has no empty ones, and none twice. */
  readonly tags?: readonly string[]
  /** Whether it told metadata that were empty; Consul tells that from none. */
  readonly emptyMeta?: true
  readonly taggedAddresses?: Readonly<Record<string, ServiceAddress>>
  readonly warningWeight?: number
  readonly enableTagOverride?: true
  readonly kind?: string
  readonly proxy?: Readonly<Record<string, unknown>>
  readonly connect?: Readonly<Record<string, unknown>>
  /** By the id of the instance's check, which is Consul's. */
  readonly checks?: Readonly<Record<string, CheckRecord>>
  /** Of a node: its UUID, if it told one. */
  readonly nodeId?: string
  /** Of a node. */
  readonly nodeAddresses?: Readonly<Record<string, string>>
}

export const recordPrefix = 'consul/record/'
export const renewalPrefix = 'consul/renewal/'

/** What one key part may not hold is written as in URLs. */
function part(text: string): string {
  return text.replace(/[%/]/g, (character) => (character === '%' ? '%25' : '%2F'))
}

export function recordKey({ namespace, service, id }: InstanceKey): string {
  return `${recordPrefix}${part(namespace)}/${part(service)}/${part(id)}`
}

/** Where the last report of a TTL check is kept. */
export function renewalKey({ namespace, service, id }: InstanceKey, check: string): string {
  return `${renewalPrefix}${part(namespace)}/${part(service)}/${part(id)}/${part(check)}`
}

/** The instance that an item is of, and the check if it is a renewal. */
export function keyOf(key: string): { readonly instance: InstanceKey; readonly check: string } | undefined {
  const parts = key.split('/').slice(2).map(decodeURIComponentLoosely)
  const [namespace, service, id, check = ''] = parts
  if (namespace === undefined || service === undefined || id === undefined) return undefined
  return { instance: { namespace, service, id }, check }
}

function decodeURIComponentLoosely(text: string): string {
  return text.replace(/%2F|%25/g, (code) => (code === '%25' ? '%' : '/'))
}

export function encoded(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}

const parsedItems = new WeakMap<Item, unknown>()

/** The value of an item of ours; the same object for the same item. */
export function decodedItem<T>(item: Item | undefined): T | undefined {
  if (item === undefined) return undefined
  let value = parsedItems.get(item)
  if (value === undefined) {
    value = parse(item.value)
    parsedItems.set(item, value)
  }
  return value as T
}

/** What cannot be read (a hand wrote it) reads as empty. */
function parse(value: Uint8Array): object {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(value).toString())
    return typeof parsed === 'object' && parsed !== null ? parsed : {}
  } catch {
    return {}
  }
}

/** What a record says of metadata that were told. */
export function emptyMeta(meta: object | undefined): { readonly emptyMeta?: true } {
  return meta !== undefined && Object.keys(meta).length === 0 ? { emptyMeta: true } : {}
}

/** Metadata as Consul shows them. */
export function shownMeta(
  meta: Readonly<Record<string, string>>,
  record: ConsulRecord | undefined,
): Readonly<Record<string, string>> | null {
  return Object.keys(meta).length === 0 && record?.emptyMeta !== true ? null : meta
}

/** The service that holds the nodes. */
export const nodesService: ServiceKey = { namespace: 'seamark', service: 'node' }
export const nodesServiceId = serviceId(nodesService)

export function nodeKey(name: string): InstanceKey {
  return { ...nodesService, id: name }
}
