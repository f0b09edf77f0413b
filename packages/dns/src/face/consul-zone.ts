import { type Catalog, defaultNamespace, type Entry, select } from '@seamark/core'
import { addressRecords, hexAddress } from './address-records.ts'
import type { Apex } from './apex.ts'
import type { Finding, Zone } from './finding.ts'
import { type NameServer, serverRecords, topRecords } from './name-servers.ts'
import type { Names } from './names.ts'
import { nodeRecords } from './node-records.ts'
import type { ServiceIndex } from './service-index.ts'
import type { ServiceRecords } from './service-records.ts'
import { wholeSeconds } from './ttls.ts'
import { asciiLower, wireName } from './wire-name.ts'

export interface ConsulZoneOptions {
  readonly apex: Apex
  readonly catalog: Catalog
  readonly services: ServiceIndex
  readonly names: Names
  readonly records: ServiceRecords
  /** Where the server itself listens; `undefined`: everywhere. */
  readonly address: string | undefined
}

interface Asked {
  readonly type: number
  readonly depth: number
  /** All of it. */
  readonly name: string
}

/** Name servers that are told of, as Consul does. */
const mostServers = 3

/** What Consul's servers are called as a service. */
const ownService = 'consul'

/** Consul's names: `api.service.consul`, `v2.api.service.dc1.consul`, `_api._v2.consul`, `web-1.node.consul`, … */
export class ConsulZone implements Zone {
  readonly #apex: Apex
  readonly #catalog: Catalog
  readonly #services: ServiceIndex
  readonly #names: Names
  readonly #records: ServiceRecords
  readonly #address: string | undefined
  readonly #kinds: Readonly<Record<string, (labels: readonly string[], asked: Asked) => Finding>> = {
    service: (labels, asked) => this.#service(labels, asked),
    node: (labels, asked) => this.#node(labels, asked),
    addr: (labels, asked) => this.#addr(labels, asked),
    query: (labels, asked) => this.#query(labels, asked),
  }

  constructor({ apex, catalog, services, names, records, address }: ConsulZoneOptions) {
    this.#apex = apex
    this.#catalog = catalog
    this.#services = services
    this.#names = names
    this.#records = records
    this.#address = address
  }

  find(labels: readonly string[], type: number, depth: number): Finding {
    const asked = { type, depth, name: [...labels, this.#apex.domain].join('.') }
    if (labels.length === 0) return topRecords(this.#apex, this.#servers(), type)
    if (labels.length === 1 && labels[0] === 'ns') return serverRecords(this.#apex, this.#address, type)
    // Behind `_api._tcp`, `service` may be left out.
    const at = labels.findLastIndex((label) => Object.hasOwn(this.#kinds, label) || label.startsWith('_'))
    if (at === -1) return this.#isDatacenter(labels) ? this.#apex.noData() : this.#apex.noName()
    const kind = Object.hasOwn(this.#kinds, labels[at]!) ? labels[at]! : 'service'
    if (!this.#isDatacenter(labels.slice(at + 1)) && labels.length > at + 1) return this.#apex.noName()
    const parts = labels.slice(0, kind === labels[at] ? at : at + 1)
    // Names stand below this one, so that it exists (RFC 8020), and resolvers that ask label by label come through.
    if (parts.length === 0) return this.#apex.noData()
    return this.#kinds[kind]!(parts, asked)
  }

  /** The nodes of Consul's own service, or, where there is no such service, this server. */
  #servers(): readonly NameServer[] {
    const { entries } = this.#services.find(defaultNamespace, ownService) ?? {
      entries: this.#own(ownService),
    }
    const nodes = this.#records.healthy(entries).flatMap((entry) => this.#names.place(entry).node ?? [])
    const found = [...new Set(nodes)].slice(0, mostServers).flatMap(({ name, address }) => {
      const host = wireName(asciiLower(`${name}.node.${this.#domain}`))
      return host === undefined ? [] : [{ name: host, address }]
    })
    return found.length > 0 ? found : [{ name: this.#apex.server, address: this.#address }]
  }

  #service(labels: readonly string[], asked: Asked): Finding {
    const last = labels.at(-1)!
    const [first = ''] = labels
    if (labels.length === 2 && first.startsWith('_') && last.startsWith('_'))
      return this.#tagged(first.slice(1), last === '_tcp' ? '' : last.slice(1), asked)
    // `_api._tcp.service` is below `_tcp.service`.
    if (labels.length === 1 && last.startsWith('_')) return this.#apex.noData()
    return this.#tagged(last, labels.slice(0, -1).join('.'), asked)
  }

  #tagged(service: string, tag: string, asked: Asked): Finding {
    const snapshot = this.#services.find(defaultNamespace, service)
    if (snapshot === undefined) {
      const ttl = this.#apex.ttls.service(service)
      return this.#instances(tag === '' ? this.#own(service) : [], ttl, asked, undefined)
    }
    const key = snapshot.service
    const revision = this.#names.revision(key)
    const holds = () => this.#catalog.snapshot(key) === snapshot && this.#names.revision(key) === revision
    const entries = this.#records.healthy(tag === '' ? snapshot.entries : withTag(snapshot.entries, tag))
    const ttl = this.#apex.ttls.service(key.service)
    // What nobody has as a tag is not kept: everybody may think of some.
    return this.#instances(entries, ttl, asked, tag === '' || entries.length > 0 ? holds : undefined)
  }

  #own(service: string): readonly Entry[] {
    return service === ownService ? (this.#names.servers?.() ?? []) : []
  }

  #query(labels: readonly string[], asked: Asked): Finding {
    const [first = ''] = labels
    const last = labels.at(-1)!
    const rfc2782 = labels.length >= 2 && first.startsWith('_') && last.startsWith('_')
    const name = rfc2782 ? labels.slice(0, -1).join('.').slice(1) : labels.join('.')
    // Before the query is asked, which may be changed by what comes while it is.
    const revisions = [this.#catalog.revision, this.#names.revision()]
    const found = this.#names.query(name)
    if (found === undefined) return this.#apex.noName()
    const holds = () => this.#catalog.revision === revisions[0] && this.#names.revision() === revisions[1]
    const entries = found.entries.filter(
      ({ health }) => health.status === 'passing' || health.status === 'warning',
    )
    const service = found.entries[0]?.instance.service ?? ''
    const ttl = found.ttl === undefined ? this.#apex.ttls.service(service) : wholeSeconds(found.ttl)
    return this.#instances(entries, ttl, asked, holds)
  }

  #instances(
    entries: readonly Entry[],
    ttl: number,
    { type, depth, name }: Asked,
    holds: (() => boolean) | undefined,
  ): Finding {
    // Consul says so: what is not there, and what is not healthy, is all the same to who wants to connect.
    if (entries.length === 0) return this.#apex.noName(holds)
    const question = { entries, type, ttl, name, domain: this.#domain, nodes: true, depth }
    return this.#records.find(this.#apex, question, holds)
  }

  #node(labels: readonly string[], asked: Asked): Finding {
    const name = labels.join('.')
    const revision = this.#names.revision()
    const node = this.#names.node(name)
    if (node === undefined) return this.#apex.noName()
    return nodeRecords(this.#apex, this.#records, node, asked, () => this.#names.revision() === revision)
  }

  #addr(labels: readonly string[], { type }: Asked): Finding {
    const apex = this.#apex
    const address = labels.length === 1 ? hexAddress(labels[0]!) : undefined
    return address === undefined ? apex.noName() : addressRecords(apex, address, type)
  }

  get #domain(): string {
    return `${this.#names.datacenter}.${this.#apex.domain}`
  }

  #isDatacenter(labels: readonly string[]): boolean {
    return labels.length === 1 && labels[0] === asciiLower(this.#names.datacenter)
  }
}

/**
 * Those that have the tag. A tag such as `v2` or `v2.1` is also the version of those that say theirs; not of previews, which
 * have to be asked for.
 */
function withTag(entries: readonly Entry[], tag: string): readonly Entry[] {
  const version = /^v(\d{1,9}(?:\.\d{1,9}){0,2})$/.exec(tag)?.[1]
  const versioned = new Set(version === undefined ? [] : select(entries, { version }))
  return entries.filter(
    (entry) => versioned.has(entry) || entry.instance.tags.some((other) => asciiLower(other) === tag),
  )
}
