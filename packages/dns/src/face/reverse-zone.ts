import { type Catalog, defaultNamespace } from '@seamark/core'
import type { AddressIndex } from './address-index.ts'
import { type Apex, group } from './apex.ts'
import { nodeService } from './catalog-names.ts'
import type { Finding, Zone } from './finding.ts'
import type { Names } from './names.ts'
import { types } from './record.ts'
import { asciiLower, wireName } from './wire-name.ts'

export interface ReverseZoneOptions {
  readonly version: 4 | 6
  /** Of Consul's domain, into which it leads. */
  readonly apex: Apex
  readonly catalog: Catalog
  readonly addresses: AddressIndex
  readonly names: Names
  /** What services of other namespaces are below; `undefined`: they have no name. */
  readonly namespaceDomain: string | undefined
}

/** Names that an address leads to, at most. */
const mostNames = 8

/** Whose an address is: `1.0.0.10.in-addr.arpa`, `….ip6.arpa`. */
export class ReverseZone implements Zone {
  readonly #options: ReverseZoneOptions

  constructor(options: ReverseZoneOptions) {
    this.#options = options
  }

  find(labels: readonly string[], type: number): Finding {
    const { apex, version, catalog, names } = this.#options
    const address = version === 4 ? address4(labels) : address6(labels)
    if (address === undefined) return { ...apex.noName(), elsewhere: true }
    const revisions = [catalog.revision, names.revision()]
    const targets = [...new Set(this.#names(address))]
      .slice(0, mostNames)
      .flatMap((name) => wireName(name) ?? [])
    if (targets.length === 0) return { ...apex.noName(), elsewhere: true }
    const holds = () => catalog.revision === revisions[0] && names.revision() === revisions[1]
    const ttl = apex.ttls.node
    if (type === types.ANY) return apex.any(ttl, holds)
    return apex.found(
      type === types.PTR ? targets.map((target) => group({ type: 'PTR', ttl, target })) : [],
      holds,
    )
  }

  /** The node's, or, where no node is, those of the services. */
  #names(address: Buffer): readonly string[] {
    const { apex, addresses, names, namespaceDomain } = this.#options
    const domain = `${asciiLower(names.datacenter)}.${apex.domain}`
    const nodes = names.nodesAt(text(address))
    if (nodes.length > 0) return nodes.map(({ name }) => `${name}.node.${domain}`)
    return addresses.services(address.toString('hex')).flatMap(({ namespace, service }) => {
      if (namespace === defaultNamespace) return `${service}.service.${domain}`
      if (namespace === nodeService.namespace || namespaceDomain === undefined) return []
      return `${service}.${namespace}.${namespaceDomain}`
    })
  }
}

function address4(labels: readonly string[]): Buffer | undefined {
  if (
    labels.length !== 4 ||
    !labels.every((label) => /^(?:0|[1-9]\d{0,2})$/.test(label) && Number(label) < 256)
  )
    return undefined
  return Buffer.from(labels.map(Number)).reverse()
}

function address6(labels: readonly string[]): Buffer | undefined {
  if (labels.length !== 32 || !labels.every((label) => /^[0-9a-f]$/.test(label))) return undefined
  return Buffer.from(labels.toReversed().join(''), 'hex')
}

function text(address: Buffer): string {
  if (address.length === 4) return address.join('.')
  return Array.from({ length: 8 }, (_, index) => address.readUInt16BE(index * 2).toString(16)).join(':')
}
