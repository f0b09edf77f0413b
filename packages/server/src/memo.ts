/**
 * Remembers what was made of an object, for as long as the object lives, within a bound: past it, all is forgotten and
 * made anew when asked for.
 */
export class Memo<K extends object, V extends { readonly length: number }> {
  readonly #make: (key: K) => V
  readonly #bound: number
  #made = new WeakMap<K, V>()
  #size = 0

  /** `bound` is the sum of the lengths remembered; what was made of objects that are gone counts until all is forgotten. */
  constructor(make: (key: K) => V, bound: number) {
    this.#make = make
    this.#bound = bound
  }

  get(key: K): V {
    const found = this.#made.get(key)
    if (found !== undefined) return found
    const value = this.#make(key)
    this.#size += value.length
    if (this.#size > this.#bound) {
      this.#made = new WeakMap()
      this.#size = value.length
    }
    this.#made.set(key, value)
    return value
  }

  /** The same, without remembering what was not remembered. */
  glance(key: K): V {
    return this.#made.get(key) ?? this.#make(key)
  }
}
