import { type Catalog, type Entry, type ServiceKey, serviceId } from '@seamark/core'
import { type AgentServer, type ConsulNode, externalNode, serverNode } from './node.ts'
import { nodeKey, nodesService } from './record.ts'
import type { Records } from './records.ts'

/** Where servers find one another (`membership.ts`). */
const servers: ServiceKey = { namespace: 'seamark', service: 'server' }

/** What a server says in its own registration, for the others to show it as a node. Consul keeps `consul-…` to itself. */
export const nodeNameKey = 'seamark-node'
export const nodeIdKey = 'seamark-node-id'

interface Kept {
  readonly sources: readonly unknown[]
  readonly node: ConsulNode
}

/** All nodes: the servers of this registry, and those that somebody told of. A node is the same object until it changes. */
export class Nodes {
  readonly #catalog: Catalog
  readonly #records: Records
  readonly #subscriptions: readonly Disposable[]
  readonly #listeners = new Set<() => void>()
  #own: AgentServer
  #kept = new Map<string, Kept>()
  #byLowerName = new Map<string, ConsulNode>()
  #byAddress = new Map<string, ConsulNode[]>()
  #list: readonly ConsulNode[] = []
  #generation = 1
  /** The generation that is built. */
  #built = 0

  constructor(catalog: Catalog, records: Records, own: AgentServer) {
    this.#catalog = catalog
    this.#records = records
    this.#own = own
    const watched = new Set([serviceId(nodesService), serviceId(servers)])
    this.#subscriptions = [
      catalog.subscribe(({ services }) => {
        if (services.some((service) => watched.has(serviceId(service)))) this.#changed()
      }),
      records.subscribe((changes) => {
        if (changes.some(({ key }) => serviceId(key) === serviceId(nodesService))) this.#changed()
      }),
    ]
  }

  /** Another number after each change of any node. */
  get generation(): number {
    return this.#generation
  }

  /** This server's. */
  get own(): ConsulNode {
    return this.get(this.#own.name)!
  }

  /** This server's name, address or port became known. */
  set server(server: AgentServer) {
    this.#own = server
    this.#changed()
  }

  /** In the order of their names. */
  list(): readonly ConsulNode[] {
    this.#build()
    return this.#list
  }

  get(name: string): ConsulNode | undefined {
    this.#build()
    return this.#kept.get(name)?.node
  }

  /** Without regard to case. */
  find(name: string): ConsulNode | undefined {
    return this.get(name) ?? this.#byLowerName.get(name.toLowerCase())
  }

  at(address: string): readonly ConsulNode[] {
    this.#build()
    return this.#byAddress.get(address) ?? []
  }

  /** Calls back after nodes may have changed. */
  subscribe(listener: () => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]()
    this.#listeners.clear()
  }

  #changed(): void {
    this.#generation++
    for (const listener of this.#listeners) listener()
  }

  #build(): void {
    if (this.#built === this.#generation) return
    this.#built = this.#generation
    const before = this.#kept
    this.#kept = new Map()
    const told = new Map(
      this.#catalog.snapshot(nodesService).entries.map((entry) => [entry.instance.id, entry]),
    )
    for (const server of [this.#own, ...this.#others()]) {
      if (this.#kept.has(server.name)) continue
      const entry = told.get(server.name)
      // An instance that holds no check yet, or none any more, says nothing.
      this.#keep(before, server, entry?.health.checks.length === 0 ? undefined : entry)
      told.delete(server.name)
    }
    for (const entry of told.values()) this.#keep(before, undefined, entry)
    this.#list = [...this.#kept.values()].map(({ node }) => node).sort((a, b) => (a.name < b.name ? -1 : 1))
    this.#byLowerName = new Map(this.#list.map((node) => [node.name.toLowerCase(), node]))
    this.#byAddress = new Map()
    for (const node of this.#list) {
      const there = this.#byAddress.get(node.address)
      if (there === undefined) this.#byAddress.set(node.address, [node])
      else there.push(node)
    }
  }

  #keep(before: Map<string, Kept>, server: AgentServer | undefined, entry: Entry | undefined): void {
    const name = server?.name ?? entry!.instance.id
    const item = entry && this.#records.item(nodeKey(name))
    const sources = [server && JSON.stringify(server), entry, item]
    const former = before.get(name)
    const same = former?.sources.every((source, index) => source === sources[index])
    const record = item && this.#records.get(nodeKey(name))
    const node = same
      ? former!.node
      : server === undefined
        ? externalNode(entry!, record, former?.node)
        : serverNode(server, entry, record, former?.node)
    this.#kept.set(name, { sources, node })
  }

  /** The other servers that are there, as they say of themselves. */
  #others(): AgentServer[] {
    return this.#catalog.snapshot(servers).entries.flatMap(({ instance }) => {
      const { [nodeNameKey]: name, [nodeIdKey]: id = '', ...meta } = instance.metadata
      return name === undefined ? [] : [{ name, id, address: instance.address, port: instance.port, meta }]
    })
  }
}
