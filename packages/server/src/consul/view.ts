import { isDeepStrictEqual } from 'node:util'
import {
  type Catalog,
  type Entry,
  type InstanceKey,
  type Item,
  type Items,
  type Revision,
  type ServiceKey,
  type Snapshot,
  serviceId,
} from '@seamark/core'
import type { Seen } from './blocking.ts'
import { byId, type ConsulCheck, indexOf } from './check.ts'
import type { AgentServer, ConsulNode } from './node.ts'
import { Nodes } from './nodes.ts'
import { Observed } from './observed.ts'
import type { ConsulRecord } from './record.ts'
import { Records } from './records.ts'
import { type ConsulService, consulService, serverService } from './service.ts'
import type { Topics } from './topics.ts'

/** A service's instances at one moment: the same object until one of them, its node or its record changes. */
export interface ServiceView {
  readonly key: ServiceKey
  readonly index: Revision
  /** In the order of their nodes, then of their ids. */
  readonly services: readonly ConsulService[]
}

interface Kept {
  snapshot: Snapshot
  records: number
  nodes: number
  readonly view: ServiceView
}

interface Made {
  readonly item: Item | undefined
  readonly node: ConsulNode
  readonly service: ConsulService
}

/** A service and its tags, in order. */
export interface TaggedService {
  readonly name: string
  readonly tags: readonly string[]
}

/** Services whose views are kept at most, and lists of which it is known how they were. */
const bounds = { views: 10_000, lists: 1_000 }

/** What this server calls a service when it is asked for itself. */
const itself = 'consul'

/**
 * The registry as Consul sees it: nodes, their services, their checks. Made from the catalog's snapshots and the records
 * when somebody asks, and kept until something in it changes.
 */
export class View {
  readonly records: Records
  readonly nodes: Nodes
  readonly #catalog: Catalog
  readonly #items: Items
  readonly #topics: Topics
  readonly #subscriptions: readonly Disposable[]
  readonly #kept = new Map<string, Kept>()
  readonly #made = new WeakMap<Entry, Made>()
  readonly #tags = new WeakMap<Snapshot, TaggedService>()
  readonly #tagged = new Map<string, TaggedService>()
  readonly #observed = new Observed(bounds.lists)
  #itself: { readonly nodes: number; readonly services: readonly ConsulService[] } | undefined
  /** Of the last time that a service lost its last instance: what services that there are not are waited for with. */
  #emptied: Revision = 1
  #generation = 1
  #waking = false

  constructor(catalog: Catalog, items: Items, topics: Topics, own: AgentServer) {
    this.#catalog = catalog
    this.#items = items
    this.#topics = topics
    this.records = new Records(items)
    this.nodes = new Nodes(catalog, this.records, own)
    this.#subscriptions = [
      catalog.subscribe(({ services, revision }) => {
        this.#generation++
        for (const service of services)
          if (catalog.snapshot(service).entries.length === 0) this.#empty(service, revision)
        for (const service of services) topics.wake(serviceTopic(service))
        this.#wakeLists()
      }),
      this.records.subscribe((changes) => {
        this.#generation++
        for (const { key } of changes) topics.wake(serviceTopic(key))
        this.#wakeLists()
      }),
      this.nodes.subscribe(() => {
        this.#generation++
        for (const topic of [...topics.names()]) if (topic.startsWith('service/')) topics.wake(topic)
        this.#wakeLists()
      }),
    ]
  }

  get revision(): Revision {
    return Math.max(this.#catalog.revision, this.#items.revision)
  }

  /** The services of one name. */
  service(key: ServiceKey): ServiceView {
    const id = serviceId(key)
    const snapshot = this.#catalog.snapshot(key)
    const before = this.#kept.get(id)
    const [records, nodes] = [this.records.generation(key), this.nodes.generation]
    const sameSnapshot =
      before !== undefined &&
      (before.snapshot === snapshot ||
        (before.snapshot.entries.length === 0 && snapshot.entries.length === 0))
    if (sameSnapshot && before.records === records && before.nodes === nodes) return before.view
    const services = this.#servicesOf(snapshot)
    if (before !== undefined && same(before.view.services, services)) {
      Object.assign(before, { snapshot, records, nodes })
      return before.view
    }
    const index = this.#indexOf(snapshot, services)
    const view = {
      key: { namespace: key.namespace, service: key.service },
      index: before === undefined ? index : Math.max(index, before.view.index + 1),
      services,
    }
    this.#keep(id, { snapshot, records, nodes, view })
    return view
  }

  /** The names of a namespace's services, with their tags. */
  services(namespace: string): Seen<readonly TaggedService[]> {
    const make = () => {
      const found = this.#catalog
        .services(namespace)
        .map((service) => this.#taggedOf(this.#catalog.snapshot(service)))
      const own = isOwnNamespace(namespace) && !found.some(({ name }) => name === itself)
      return own ? [...found, this.#ownTagged].sort((a, b) => (a.name < b.name ? -1 : 1)) : found
    }
    const floor = () =>
      highest(
        this.#catalog.services(namespace),
        indexOf(this.#emptied),
        (service) => this.#catalog.snapshot(service).revision,
      )
    return this.#observed.look(`services/${namespace}`, this.#generation, this.revision, make, floor)
  }

  /** All nodes: a change of their checks is none. */
  nodesSeen(): Seen<readonly ConsulNode[]> {
    const make = () => this.nodes.list().map(({ facts }) => facts)
    const floor = () => highest(this.nodes.list(), 1, (node) => node.modifyIndex)
    const { index } = this.#observed.look('nodes', this.#generation, this.revision, make, floor)
    return { index, value: this.nodes.list() }
  }

  /** What is on a node: its services, in the order of their ids. */
  nodeServices(namespace: string, node: string): Seen<readonly (ConsulNode | ConsulService)[]> {
    const make = () => {
      const found = this.nodes.get(node)
      return found === undefined ? [] : [found, ...this.servicesOn(namespace, found)]
    }
    const floor = (parts: readonly (ConsulNode | ConsulService)[]) =>
      highest(parts, 1, (part) => ('healthIndex' in part ? part.healthIndex : part.modifyIndex))
    return this.#observed.look(`node/${namespace}/${node}`, this.#generation, this.revision, make, floor)
  }

  /** In the order of their ids. */
  servicesOn(namespace: string, node: ConsulNode): ConsulService[] {
    // What nobody recorded is on this server's own node, and so are those of servers that are gone.
    const found =
      node.name === this.nodes.own.name
        ? this.all(namespace).filter((service) => service.node === node)
        : this.records.on(node.name).flatMap((key) => {
            const service = key.namespace === namespace ? this.instance(key) : undefined
            return service?.node === node ? [service] : []
          })
    if (node.name !== this.nodes.own.name && isOwnNamespace(namespace))
      found.push(...this.#itselves().filter((service) => service.node === node))
    return found.sort(byId)
  }

  /** All services of a namespace, by name. */
  all(namespace: string): ConsulService[] {
    const names = this.#catalog.services(namespace)
    const found = names.flatMap((service) => this.#servicesOf(this.#catalog.snapshot(service)))
    const own = isOwnNamespace(namespace) && !names.some(({ service }) => service === itself)
    return own ? [...found, ...this.#itselves()] : found
  }

  /** All checks of a namespace's services and of the nodes, in the order of nodes, then of their ids. */
  checks(namespace: string, state: string): Seen<readonly ConsulCheck[]> {
    const make = () => {
      const all = [
        ...this.nodes.list().flatMap(({ checks }) => checks),
        ...this.all(namespace).flatMap(({ checks }) => checks),
      ]
      const found = state === 'any' ? all : all.filter(({ status }) => status === state)
      return found.sort(byNode)
    }
    const floor = (checks: readonly ConsulCheck[]) => highest(checks, 1, (check) => check.modifyIndex)
    return this.#observed.look(`checks/${namespace}/${state}`, this.#generation, this.revision, make, floor)
  }

  /** What is reached through Connect by a service's name: its proxies, and itself if it speaks Connect. */
  connect(namespace: string, name: string): Seen<readonly ConsulService[]> {
    const make = () =>
      [...this.records.all()]
        .flatMap(({ key, record }) => {
          const proxies = record.kind === 'connect-proxy' && record.proxy?.DestinationServiceName === name
          const native = key.service === name && record.connect?.Native === true
          const service = key.namespace === namespace && (proxies || native) ? this.instance(key) : undefined
          return service ?? []
        })
        .sort(byNodeName)
    const floor = (services: readonly ConsulService[]) =>
      highest(services, 1, (service) => service.modifyIndex)
    return this.#observed.look(`connect/${namespace}/${name}`, this.#generation, this.revision, make, floor)
  }

  /** One instance. */
  instance(key: InstanceKey): ConsulService | undefined {
    const entry = this.#catalog.entry(key)
    return entry && this.#serviceOf(entry)
  }

  /** The instance of this entry. */
  of(entry: Entry): ConsulService {
    return this.#serviceOf(entry)
  }

  /** The service that has this id on one of the servers' nodes, which are one agent. */
  agentService(namespace: string, id: string): ConsulService | undefined {
    const key = this.#catalog.locate(namespace, id)
    const service = key && this.instance(key)
    return service?.node.server === undefined ? undefined : service
  }

  /** Those of the servers' nodes, themselves left out. */
  agentServices(namespace: string): ConsulService[] {
    return this.all(namespace).filter(({ node, entry }) => node.server !== undefined && entry !== undefined)
  }

  /** The check that has this id on one of the servers' nodes. */
  agentCheck(namespace: string, id: string): ConsulCheck | undefined {
    for (const service of this.#checked(namespace, id)) {
      const check = service.node.server && service.checks.find((check) => check.id === id)
      if (check !== undefined) return check
    }
    for (const node of this.nodes.list()) {
      const check = node.server && node.checks.find((check) => check.id === id)
      if (check !== undefined) return check
    }
    return undefined
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]()
    this.records.close()
    this.nodes.close()
  }

  /** Where a check of this id may be. */
  #checked(namespace: string, id: string): ConsulService[] {
    const keys = this.records.withCheck(id).filter((key) => key.namespace === namespace)
    // `service:<id>`, `service:<id>:<number or name>`; ids may hold colons themselves.
    if (id.startsWith('service:'))
      for (let rest = id.slice(8); ; rest = rest.slice(0, rest.lastIndexOf(':'))) {
        const key = this.#catalog.locate(namespace, rest)
        if (key !== undefined) keys.push(key)
        if (!rest.includes(':')) break
      }
    return keys.flatMap((key) => this.instance(key) ?? [])
  }

  #servicesOf(snapshot: Snapshot): ConsulService[] {
    const found = snapshot.entries.map((entry) => this.#serviceOf(entry))
    const { namespace, service } = snapshot.service
    if (service === itself && isOwnNamespace(namespace)) found.push(...this.#itselves())
    return found.sort(byNodeName)
  }

  #serviceOf(entry: Entry): ConsulService {
    const item = this.records.item(entry.instance)
    const made = this.#made.get(entry)
    const record = made?.item === item ? made?.service.record : this.records.get(entry.instance)
    const node = this.#nodeOf(record)
    if (made !== undefined && made.item === item && made.node === node) return made.service
    let service = consulService(entry, record, node)
    // A record that comes before its instance changes nothing yet that one could see: nobody is to be woken.
    if (made?.node === node && isDeepStrictEqual({ ...made.service, record }, service)) service = made.service
    this.#made.set(entry, { item, node, service })
    return service
  }

  #nodeOf(record: ConsulRecord | undefined): ConsulNode {
    return (record?.node === undefined ? undefined : this.nodes.get(record.node)) ?? this.nodes.own
  }

  /** The service `consul` of each server. */
  #itselves(): readonly ConsulService[] {
    const { generation } = this.nodes
    if (this.#itself?.nodes !== generation) {
      const services = this.nodes
        .list()
        .flatMap((node) => (node.server === undefined ? [] : [serverService(node, node.server.port)]))
      const before = new Map(this.#itself?.services.map((service) => [service.node, service]))
      this.#itself = {
        nodes: generation,
        services: services.map((service) => before.get(service.node) ?? service),
      }
    }
    return this.#itself.services
  }

  #indexOf({ revision }: Snapshot, services: readonly ConsulService[]): Revision {
    if (services.length === 0) return this.#emptied
    return highest(services, indexOf(revision), ({ node, entry, modifyIndex }) =>
      Math.max(
        modifyIndex,
        node.healthIndex,
        entry === undefined ? 0 : (this.records.item(entry.instance)?.modifiedRevision ?? 0),
      ),
    )
  }

  readonly #ownTagged: TaggedService = { name: itself, tags: [] }

  #taggedOf(snapshot: Snapshot): TaggedService {
    let tagged = this.#tags.get(snapshot)
    if (tagged === undefined) {
      const { namespace, service } = snapshot.service
      const tags = [...new Set(snapshot.entries.flatMap(({ instance }) => instance.tags))].sort()
      const id = serviceId({ namespace, service })
      const before = this.#tagged.get(id)
      tagged = before !== undefined && same(before.tags, tags) ? before : { name: service, tags }
      this.#tagged.set(id, tagged)
      this.#tags.set(snapshot, tagged)
    }
    return tagged
  }

  #empty(service: ServiceKey, revision: Revision): void {
    const id = serviceId(service)
    this.#tagged.delete(id)
    const index = this.#kept.get(id)?.view.index ?? 0
    this.#emptied = Math.max(indexOf(revision), this.#emptied, index + 1)
  }

  #keep(id: string, kept: Kept): void {
    this.#kept.delete(id)
    this.#kept.set(id, kept)
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= bounds.views) break
      this.#kept.delete(oldest)
    }
  }

  /** Lists are put together anew once for all changes of one turn of the event loop. */
  #wakeLists(): void {
    if (this.#waking) return
    this.#waking = true
    setImmediate(() => {
      this.#waking = false
      for (const topic of [...this.#topics.names()]) if (isListTopic(topic)) this.#topics.wake(topic)
    })
  }
}

/** What a request for one service waits for. */
export function serviceTopic({ namespace, service }: ServiceKey): string {
  return `service/${namespace}/${service}`
}

/** What a request for a list of services, nodes or checks waits for. */
export function listTopic(name: 'services' | 'nodes' | 'checks' | 'node' | 'connect'): string {
  return `list/${name}`
}

function isListTopic(topic: string): boolean {
  return topic.startsWith('list/')
}

/** Where the servers themselves are services. */
function isOwnNamespace(namespace: string): boolean {
  return namespace === 'default'
}

function byNodeName(a: ConsulService, b: ConsulService): number {
  return a.node.name < b.node.name ? -1 : a.node.name > b.node.name ? 1 : byId(a, b)
}

export function byNode(a: ConsulCheck, b: ConsulCheck): number {
  return a.node < b.node ? -1 : a.node > b.node ? 1 : byId(a, b)
}

function same(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((part, index) => part === b[index])
}

/** The highest of the numbers, and no less than `least`. */
function highest<T>(parts: readonly T[], least: number, number: (part: T) => number): number {
  let most = least
  for (const part of parts) most = Math.max(most, number(part))
  return most
}
