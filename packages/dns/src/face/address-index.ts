import {
  type Catalog,
  type CatalogUpdate,
  type InstanceKey,
  instanceId,
  type ServiceKey,
  serviceId,
} from '@seamark/core'
import { addressKey } from './ip-address.ts'

/** Which services have instances at an address. Made when somebody first asks, and kept from then on. */
export class AddressIndex {
  readonly #catalog: Catalog
  /** By address, then by service: how many instances are there. */
  #services: Map<string, Map<string, { readonly key: ServiceKey; count: number }>> | undefined
  readonly #addresses = new Map<string, string>()

  constructor(catalog: Catalog) {
    this.#catalog = catalog
  }

  /** `address` as `addressKey` writes it. */
  services(address: string): readonly ServiceKey[] {
    if (this.#services === undefined) {
      this.#services = new Map()
      for (const service of this.#catalog.services())
        for (const { instance } of this.#catalog.snapshot(service).entries)
          this.#put(instance, instance.address)
    }
    return [...(this.#services.get(address)?.values() ?? [])].map(({ key }) => key)
  }

  update({ changes }: CatalogUpdate): void {
    if (this.#services === undefined) return
    for (const change of changes) {
      if (change.type === 'put') this.#put(change.entry.instance, change.entry.instance.address)
      else if (change.type === 'delete') this.#delete(change.key)
    }
  }

  #put(key: InstanceKey, address: string): void {
    const id = instanceId(key)
    const at = addressKey(address)
    if (this.#addresses.get(id) === at) return
    this.#delete(key)
    if (at === undefined) return
    this.#addresses.set(id, at)
    let services = this.#services!.get(at)
    if (services === undefined) {
      services = new Map()
      this.#services!.set(at, services)
    }
    const service = serviceId(key)
    const known = services.get(service)
    if (known === undefined)
      services.set(service, { key: { namespace: key.namespace, service: key.service }, count: 1 })
    else known.count++
  }

  #delete(key: InstanceKey): void {
    const id = instanceId(key)
    const at = this.#addresses.get(id)
    if (at === undefined) return
    this.#addresses.delete(id)
    const services = this.#services!.get(at)!
    const service = serviceId(key)
    const known = services.get(service)!
    known.count--
    if (known.count === 0) services.delete(service)
    if (services.size === 0) this.#services!.delete(at)
  }
}
