import { type Catalog, type ServiceKey, type Snapshot, serviceId } from '@seamark/core'
import { asciiLower } from './wire-name.ts'

/** Finds services as DNS asks for them: without regard to upper and lower case. */
export class ServiceIndex {
  readonly #catalog: Catalog
  readonly #known = new Map<string, ServiceKey>()
  /** Those that are not in lower case themselves, by how they are asked for. */
  readonly #folded = new Map<string, ServiceKey[]>()
  /** How many services there are in namespaces that end so. */
  readonly #suffixes = new Map<string, number>()

  constructor(catalog: Catalog) {
    this.#catalog = catalog
    this.add(catalog.services())
  }

  /** After a change in these services. */
  update(services: readonly ServiceKey[]): void {
    for (const service of services)
      if (this.#catalog.snapshot(service).entries.length === 0) this.#remove(service)
    this.add(services)
  }

  /** The service's snapshot, if it has instances. The names are in lower case. */
  find(namespace: string, service: string): Snapshot | undefined {
    const exact = this.#catalog.snapshot({ namespace, service })
    if (exact.entries.length > 0) return exact
    const folded = this.#folded.get(serviceId({ namespace, service }))?.[0]
    return folded && this.#catalog.snapshot(folded)
  }

  /** Whether there are services in this namespace, or in one that ends with a dot and this. */
  hasNamespace(suffix: string): boolean {
    return this.#suffixes.has(suffix)
  }

  add(services: readonly ServiceKey[]): void {
    for (const key of services) {
      const id = serviceId(key)
      if (this.#known.has(id) || this.#catalog.snapshot(key).entries.length === 0) continue
      this.#known.set(id, key)
      for (const suffix of suffixes(key)) this.#suffixes.set(suffix, (this.#suffixes.get(suffix) ?? 0) + 1)
      const folded = foldedId(key)
      if (folded !== id) this.#folded.set(folded, [...(this.#folded.get(folded) ?? []), key])
    }
  }

  #remove(key: ServiceKey): void {
    const id = serviceId(key)
    if (!this.#known.delete(id)) return
    for (const suffix of suffixes(key)) {
      const left = this.#suffixes.get(suffix)! - 1
      if (left > 0) this.#suffixes.set(suffix, left)
      else this.#suffixes.delete(suffix)
    }
    const folded = foldedId(key)
    const left = (this.#folded.get(folded) ?? []).filter((other) => serviceId(other) !== id)
    if (left.length > 0) this.#folded.set(folded, left)
    else this.#folded.delete(folded)
  }
}

function foldedId({ namespace, service }: ServiceKey): string {
  return serviceId({ namespace: asciiLower(namespace), service: asciiLower(service) })
}

/** `test.shop` and `shop`, for `test.shop`. */
function suffixes({ namespace }: ServiceKey): readonly string[] {
  const labels = asciiLower(namespace).split('.')
  return labels.map((_, index) => labels.slice(index).join('.'))
}
