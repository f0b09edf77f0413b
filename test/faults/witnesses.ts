import { type HttpEngine, http } from '@seamark/client'
import { type Change, type Entry, isSeamarkError } from '@seamark/core'
import { vi } from 'vitest'

/** Who watches the namespace `default` at a server each, and remembers who was there and then was not. */
export interface Witnesses extends AsyncDisposable {
  /** Whom any of them saw go. */
  readonly lost: readonly string[]
  /** Resolves once it holds for each of them. Throws, saying what it waited for, after `patience` ms, 30 s by default. */
  until(what: string, holds: (witness: Witness) => boolean, patience?: number): Promise<void>
}

export interface Witness {
  /** By `service/id`. */
  readonly present: ReadonlyMap<string, Entry>
  /** `service/id` of each one that was deleted, or missing in a later reset; once for each time. */
  readonly lost: readonly string[]
}

export function witnesses(servers: readonly { readonly url: string }[]): Witnesses {
  const all = servers.map(({ url }) => new WatchingWitness(url))
  return {
    get lost() {
      return all.flatMap(({ lost }) => lost)
    },
    async until(what, holds, patience = 30_000) {
      try {
        await vi.waitUntil(() => all.every(holds), { timeout: patience, interval: 20 })
      } catch (cause) {
        const seen = all.map(({ present }) => `[${[...present.keys()].sort().join(' ')}]`).join(' ')
        throw new Error(`Not within ${patience} ms: ${what}. Seen at the servers: ${seen}`, { cause })
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(all.map((witness) => witness[Symbol.asyncDispose]()))
    },
  }
}

class WatchingWitness implements Witness, AsyncDisposable {
  readonly present = new Map<string, Entry>()
  readonly lost: string[] = []
  readonly #engine: HttpEngine
  readonly #closing = new AbortController()
  readonly #life: Promise<void>

  constructor(url: string) {
    this.#engine = http(url)
    this.#life = this.#follow()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#life
    await this.#engine[Symbol.asyncDispose]()
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      try {
        for await (const { changes } of this.#engine.watchAll(signal))
          for (const change of changes) this.#see(change)
      } catch (error) {
        if (!isSeamarkError(error, 'engine_unavailable')) throw error
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }

  #see(change: Change): void {
    if (change.type === 'put') this.#put(change.entry)
    else if (change.type === 'delete') this.#remove(`${change.key.service}/${change.key.id}`)
    else if (change.type === 'reset') {
      const former = [...this.present.keys()]
      this.present.clear()
      for (const entry of change.entries) this.#put(entry)
      this.lost.push(...former.filter((name) => !this.present.has(name)))
    }
  }

  #put(entry: Entry): void {
    const { namespace, service, id } = entry.instance
    if (namespace === 'default') this.present.set(`${service}/${id}`, entry)
  }

  #remove(name: string): void {
    if (this.present.delete(name)) this.lost.push(name)
  }
}
