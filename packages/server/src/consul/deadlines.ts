import { type Clock, type Dated, Ledger, type Notify } from '@seamark/core'

interface Deadline extends Dated {
  readonly name: string
  ttl: number
  expired: () => void
}

/** What is to happen after a time, by name, unless it is put off or called off before. */
export class Deadlines {
  readonly #ledger: Ledger<Deadline>
  readonly #byName = new Map<string, Deadline>()

  constructor(clock: Clock, notify: Notify) {
    this.#ledger = new Ledger({
      clock,
      notify,
      expire: (deadlines) => {
        for (const deadline of deadlines) {
          this.#byName.delete(deadline.name)
          deadline.expired()
        }
      },
    })
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  /** Calls `expired` `ttl` ms from now, and not what was to be called under that name before. */
  set(name: string, ttl: number, expired: () => void): void {
    this.drop(name)
    const deadline = { name, ttl, expired, deadline: 0, slot: undefined }
    this.#byName.set(name, deadline)
    this.#ledger.add(deadline)
  }

  drop(name: string): void {
    const deadline = this.#byName.get(name)
    if (deadline === undefined) return
    this.#byName.delete(name)
    this.#ledger.remove(deadline)
  }

  /** Those whose name begins so. */
  dropAll(prefix: string): void {
    for (const name of [...this.#byName.keys()]) if (name.startsWith(prefix)) this.drop(name)
  }

  close(): void {
    this.#byName.clear()
    this.#ledger.stop()
  }
}
