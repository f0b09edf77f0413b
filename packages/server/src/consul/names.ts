import { defaultNamespace, type Entry, health, instance, type ServiceKey } from '@seamark/core'
import type { ConsulContext } from './context.ts'
import type { ConsulNode } from './node.ts'
import type { Queries } from './query/queries.ts'
import type { ConsulService } from './service.ts'

/** A node, for those who answer for names. */
export interface NamedNode {
  readonly name: string
  readonly address: string
  readonly metadata: Readonly<Record<string, string>>
}

/** What Consul's names say beyond the catalog: what the DNS face is given. Synchronous, and from memory. */
export interface ConsulNames {
  readonly datacenter: string
  /**
   * A number that is another one after each change of what is said of this service's entries by `place`; without a
   * service, after each change of anything here.
   */
  revision(service?: ServiceKey): number
  /** By its name in any case. */
  node(name: string): NamedNode | undefined
  nodesAt(address: string): readonly NamedNode[]
  /** Where an entry is, beyond what it says itself. */
  place(entry: Entry): {
    readonly node?: NamedNode | undefined
    readonly atNode?: boolean | undefined
    readonly warningWeight?: number | undefined
  }
  /** Who the service `consul` is, unless somebody registered one of that name. */
  servers(): readonly Entry[]
  /** Executes a prepared query. `undefined`: there is none. */
  query(name: string): { readonly entries: readonly Entry[]; readonly ttl?: number | undefined } | undefined
}

export function names({ view, settings }: ConsulContext, queries: Queries): ConsulNames {
  const { nodes, records } = view
  const named = new WeakMap<ConsulNode, NamedNode>()

  function namedNode(node: ConsulNode): NamedNode {
    let made = named.get(node)
    if (made === undefined) {
      made = { name: node.name, address: node.address, metadata: node.meta ?? {} }
      named.set(node, made)
    }
    return made
  }

  const servers = new WeakMap<ConsulService, Entry>()
  const served = new WeakMap<Entry, ConsulNode>()

  function serverEntry(service: ConsulService): Entry {
    let made = servers.get(service)
    if (made === undefined) {
      const { node, id, name, port } = service
      const { address } = node
      made = {
        instance: instance({ namespace: defaultNamespace, service: name, id, address, port, scheme: 'http' }),
        health: health([]),
        createdRevision: 0,
        modifiedRevision: 0,
      }
      servers.set(service, made)
      served.set(made, node)
    }
    return made
  }

  return {
    datacenter: settings.datacenter,
    revision(service) {
      if (service !== undefined) return records.generation(service) + nodes.generation
      return records.changes + nodes.generation + queries.generation
    },
    node(name) {
      const node = nodes.find(name)
      return node && namedNode(node)
    },
    nodesAt: (address) => nodes.at(address).map(namedNode),
    place(entry) {
      const server = served.get(entry)
      if (server !== undefined) return { node: namedNode(server), atNode: true }
      const record = records.get(entry.instance)
      // What was registered in our own way is on no node that has a name.
      if (record === undefined) return {}
      const { node, weights } = view.of(entry)
      return { node: namedNode(node), atNode: record.atNode === true, warningWeight: weights.Warning }
    },
    servers() {
      const { services } = view.service({ namespace: defaultNamespace, service: 'consul' })
      return services.filter(({ entry }) => entry === undefined).map(serverEntry)
    },
    query: (name) => queries.answer(name),
  }
}
