import { type Clock, type Dated, Ledger, type Notify } from '@seamark/core'

interface Deadline extends Dated {
  readonly name: string
  readonly group: string
  ttl: number
  expired: () => void
}

/** What is to happen after a time, by name and by group, unless it is put off or called off before. */
export class Deadlines {
  readonly #ledger: Ledger<Deadline>
  readonly #byName = new Map<string, Deadline>()
  readonly #groups = new Map<string, Set<string>>()

  constructor(clock: Clock, notify: Notify) {
    this.#ledger = new Ledger({
      clock,
      notify,
      expire: (deadlines) => {
        for (const deadline of deadlines) {
          this.#forget(deadline)
          deadline.expired()
        }
      },
    })
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  /** Calls `expired` `ttl` ms from now, and not what was to be called under that name before. */
  set(name: string, group: string, ttl: number, expired: () => void): void {
    this.drop(name)
    const deadline = { name, group, ttl, expired, deadline: 0, slot: undefined }
    this.#byName.set(name, deadline)
    const names = this.#groups.get(group)
    if (names === undefined) this.#groups.set(group, new Set([name]))
    else names.add(name)
    this.#ledger.add(deadline)
  }

  drop(name: string): void {
    const deadline = this.#byName.get(name)
    if (deadline === undefined) return
    this.#forget(deadline)
    this.#ledger.remove(deadline)
  }

  /** All of a group. */
  dropGroup(group: string): void {
    for (const name of [...(this.#groups.get(group) ?? [])]) this.drop(name)
  }

  close(): void {
    this.#byName.clear()
    this.#groups.clear()
    this.#ledger.stop()
  }

  #forget({ name, group }: Deadline): void {
    this.#byName.delete(name)
    const names = this.#groups.get(group)
    names?.delete(name)
    if (names?.size === 0) this.#groups.delete(group)
  }
}
