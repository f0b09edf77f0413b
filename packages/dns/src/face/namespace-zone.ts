import type { Catalog, Entry } from '@seamark/core'
import { addressRecords, hexAddress } from './address-records.ts'
import type { Apex } from './apex.ts'
import { nodeService } from './catalog-names.ts'
import type { Finding, Zone } from './finding.ts'
import { serverRecords, topRecords } from './name-servers.ts'
import type { Names } from './names.ts'
import type { ServiceIndex } from './service-index.ts'
import type { ServiceRecords } from './service-records.ts'

export interface NamespaceZoneOptions {
  readonly apex: Apex
  readonly catalog: Catalog
  readonly services: ServiceIndex
  readonly names: Names
  readonly records: ServiceRecords
  /** Where the server itself listens; `undefined`: everywhere. */
  readonly address: string | undefined
}

/** Services of all namespaces, as AWS Cloud Map and Kubernetes name them: `api.shop.seamark`, `_http._tcp.api.shop.seamark`. */
export class NamespaceZone implements Zone {
  readonly #apex: Apex
  readonly #catalog: Catalog
  readonly #services: ServiceIndex
  readonly #names: Names
  readonly #records: ServiceRecords
  readonly #address: string | undefined

  constructor({ apex, catalog, services, names, records, address }: NamespaceZoneOptions) {
    this.#apex = apex
    this.#catalog = catalog
    this.#services = services
    this.#names = names
    this.#records = records
    this.#address = address
  }

  find(labels: readonly string[], type: number, depth: number): Finding {
    const apex = this.#apex
    const [first = '', second] = labels
    if (labels.length === 0) return topRecords(apex, [{ name: apex.server, address: this.#address }], type)
    if (labels.length === 1 && first === 'ns') return serverRecords(apex, this.#address, type)
    if (labels.length === 1 && first === 'addr') return apex.noData()
    const address = labels.length === 2 && second === 'addr' ? hexAddress(first) : undefined
    if (address !== undefined) return addressRecords(apex, address, type)
    const prefixes = labels.findIndex((label) => !label.startsWith('_'))
    const [service = '', ...rest] = labels.slice(prefixes)
    const namespace = rest.join('.')
    // What Seamark keeps there is its own.
    const snapshot =
      prefixes < 0 || namespace === '' || namespace === nodeService.namespace
        ? undefined
        : this.#services.find(namespace, service)
    if (snapshot === undefined)
      return this.#services.hasNamespace(labels.join('.')) ? apex.noData() : apex.noName()
    const key = snapshot.service
    const fitting = prefixed(snapshot.entries, labels.slice(0, prefixes))
    if (fitting === undefined) return apex.noName()
    const revision = this.#names.revision(key)
    const holds = () => this.#catalog.snapshot(key) === snapshot && this.#names.revision(key) === revision
    const entries = this.#records.healthy(fitting)
    if (entries.length === 0) return apex.noData(holds)
    const ttl = apex.ttls.service(key.service)
    const name = [...labels, apex.domain].join('.')
    return this.#records.find(
      apex,
      { entries, type, ttl, name, domain: apex.domain, nodes: false, depth },
      holds,
    )
  }
}

/** Those of the scheme that stands before the service (RFC 2782); `undefined`: there is no such name. */
function prefixed(entries: readonly Entry[], prefixes: readonly string[]): readonly Entry[] | undefined {
  const [scheme, protocol] = prefixes.length === 2 ? prefixes : [undefined, ...prefixes]
  if (prefixes.length === 0) return entries
  if (prefixes.length > 2 || protocol !== '_tcp') return undefined
  // `_http._tcp.api` is below `_tcp.api`, which has nothing itself.
  if (scheme === undefined) return []
  const found = entries.filter(({ instance }) => `_${instance.scheme}` === scheme)
  return found.length > 0 ? found : undefined
}
