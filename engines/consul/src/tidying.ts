import { type Clock, sleep } from '@seamark/core'
import { type Agent, Conflict, type Operation, operationsBound } from './agent.ts'
import { keys } from './keys.ts'
import type { Location } from './location.ts'
import { hideOperation } from './mirror.ts'

export interface TidyingOptions {
  readonly agent: Agent
  readonly clock: Clock
  readonly location: Location
}

/** Milliseconds; the moment is each handle's own, so that mostly one of many has work. */
const least = 500
const most = 2_500

/**
 * Takes out of Consul's catalog what leases left there that ended by themselves: Consul then removes our entries, but no
 * service. Whoever watches and sees one go does it.
 */
export class Tidying implements AsyncDisposable {
  readonly #agent: Agent
  readonly #clock: Clock
  readonly #location: Location
  readonly #closing = new AbortController()
  #wanted = false
  #running: Promise<void> | undefined

  constructor({ agent, clock, location }: TidyingOptions) {
    this.#agent = agent
    this.#clock = clock
    this.#location = location
  }

  /** Does it within a few seconds, once for all that ask until then. */
  soon(): void {
    this.#wanted = true
    this.#running ??= this.#run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    try {
      while (this.#wanted) {
        await sleep(this.#clock, least + Math.random() * (most - least), this.#closing.signal)
        this.#wanted = false
        await this.#tidy()
      }
    } catch {
      // Whoever sees the next one go tries again, and so does a new watch; until then, only Consul's own tools see too much.
    } finally {
      this.#running = undefined
    }
  }

  async #tidy(): Promise<void> {
    const { node, prefix } = this.#location
    const { services } = keys(prefix)
    const { value } = await this.#agent.catalog<{ Services: { ID: string; Service: string }[] } | null>(
      `/v1/catalog/node-services/${node}`,
    )
    const shown = value?.Services ?? []
    if (shown.length === 0) return
    const there = new Set(await this.#agent.names(services))
    const orphans = shown.flatMap(({ ID, Service }) => {
      const key = entryOf(services, ID)
      return key === undefined || there.has(key) ? [] : { key, service: { ID, Service } }
    })
    for (let at = 0; at < orphans.length; at += operationsBound / 2) {
      const operations = orphans
        .slice(at, at + operationsBound / 2)
        .flatMap(({ key, service }): Operation[] => [
          // Registered again meanwhile?
          { KV: { Verb: 'check-not-exists', Key: key } },
          hideOperation(node, service),
        ])
      await this.#agent.write(operations).catch((error: unknown) => {
        if (!(error instanceof Conflict)) throw error
        this.soon()
      })
    }
  }
}

/** The key of the instance that a service of the catalog shows. */
function entryOf(services: string, mirrorId: string): string | undefined {
  const [namespace, service, id, ...more] = mirrorId.split('/')
  if (id === undefined || more.length > 0) return undefined
  return `${services}${namespace}/${service}/instances/${id}`
}
