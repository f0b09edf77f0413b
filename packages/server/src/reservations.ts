import { type Catalog, displayName, type InstanceKey, SeamarkError } from '@seamark/core'

/** Keeps an id to one service of a namespace: those registered, and those whose registration is under way. */
export class Reservations {
  readonly #catalog: Catalog
  readonly #underWay = new Map<string, { readonly key: InstanceKey; count: number }>()

  constructor(catalog: Catalog) {
    this.#catalog = catalog
  }

  /** Holds the id until disposed of. Throws `id_taken`. */
  reserve(key: InstanceKey): Disposable {
    const id = `${key.namespace}\u0000${key.id}`
    const former = this.#underWay.get(id)
    const taken = former?.key ?? this.#catalog.locate(key.namespace, key.id)
    if (taken !== undefined && taken.service !== key.service)
      throw new SeamarkError(
        'id_taken',
        `The id "${key.id}" is that of ${displayName(taken)}: an id names one instance in a namespace.`,
        { field: 'id', details: { service: taken.service } },
      )
    const mine = former ?? { key, count: 0 }
    mine.count++
    this.#underWay.set(id, mine)
    return {
      [Symbol.dispose]: () => {
        if (--mine.count === 0) this.#underWay.delete(id)
      },
    }
  }
}
