import { type Catalog, type Entry, type ServiceKey, serviceId } from '@seamark/core'
import { addressKey } from './ip-address.ts'
import type { Names, Node, Place, QueryAnswer } from './names.ts'
import { asciiLower } from './wire-name.ts'

/** The nodes of a registry are the instances of this service. */
export const nodeService = { namespace: 'seamark', service: 'node' } as const

const elsewhere: Place = Object.freeze({})
const none: readonly Node[] = Object.freeze([])

const nodesId = serviceId(nodeService)

/** What a catalog alone knows of nodes. An instance is on the node whose address it has. */
export class CatalogNames implements Names {
  readonly datacenter: string
  readonly #catalog: Catalog
  #revision = 0
  #byName: ReadonlyMap<string, Node> = new Map()
  #byAddress: ReadonlyMap<string, readonly Node[]> = new Map()

  constructor(catalog: Catalog, datacenter: string) {
    this.#catalog = catalog
    this.datacenter = datacenter
    this.#read()
  }

  /** After a change in these services. */
  update(services: readonly ServiceKey[]): void {
    if (services.some((service) => serviceId(service) === nodesId)) this.#read()
  }

  revision(): number {
    return this.#revision
  }

  node(name: string): Node | undefined {
    return this.#byName.get(name)
  }

  nodesAt(address: string): readonly Node[] {
    return this.#byAddress.get(addressKey(address) ?? '') ?? none
  }

  place({ instance: { address } }: Entry): Place {
    const node = this.nodesAt(address)[0]
    return node === undefined ? elsewhere : { node, atNode: true }
  }

  query(): QueryAnswer | undefined {
    return undefined
  }

  #read(): void {
    this.#revision++
    const nodes = this.#catalog
      .snapshot(nodeService)
      .entries.map(({ instance: { id, address, metadata } }) => ({ name: id, address, metadata }))
    this.#byName = new Map(nodes.map((node) => [asciiLower(node.name), node]))
    const byAddress = new Map<string, Node[]>()
    for (const node of nodes) {
      const key = addressKey(node.address)
      if (key === undefined) continue
      const others = byAddress.get(key)
      if (others === undefined) byAddress.set(key, [node])
      else others.push(node)
    }
    this.#byAddress = byAddress
  }
}
