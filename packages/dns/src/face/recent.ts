/**
 * What was used lately, by key: as much as its bound allows, and never more. Forgetting costs nothing at the time, however
 * many keys strangers think of.
 */
export class Recent<Value> {
  readonly #half: number
  readonly #weigh: (value: Value) => number
  #young = new Map<string, Value>()
  /** Goes as soon as the young ones weigh half the bound, unless it is used meanwhile. */
  #old = new Map<string, Value>()
  #weight = 0

  /** Default: each weighs 1. */
  constructor(bound: number, weigh: (value: Value) => number = () => 1) {
    this.#half = bound / 2
    this.#weigh = weigh
  }

  get(key: string): Value | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) {
      this.#old.delete(key)
      this.set(key, old)
    }
    return old
  }

  set(key: string, value: Value): void {
    this.delete(key)
    const weight = this.#weigh(value)
    if (this.#weight + weight > this.#half) {
      this.#old = this.#young
      this.#young = new Map()
      this.#weight = 0
    }
    if (weight > this.#half) return
    this.#young.set(key, value)
    this.#weight += weight
  }

  delete(key: string): void {
    const young = this.#young.get(key)
    if (young === undefined) this.#old.delete(key)
    else {
      this.#young.delete(key)
      this.#weight -= this.#weigh(young)
    }
  }
}
