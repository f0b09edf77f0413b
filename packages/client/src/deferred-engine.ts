import {
  type Batch,
  type CheckReport,
  type Claim,
  type Engine,
  type Instance,
  type InstanceKey,
  type Lease,
  type RegisterOptions,
  type Revision,
  SeamarkError,
  type ServiceKey,
  type Terms,
} from '@seamark/core'

/** Assumed of an engine that did not say its terms yet. */
export const carefulTerms: Terms = Object.freeze({ minimumTtl: 1_000, lateness: 5_000 })

/** An engine that is opened when it is first needed, and, when that fails, again when it is next needed. */
export class DeferredEngine implements Engine {
  readonly freshness = 'push'
  readonly #open: () => Promise<Engine>
  #opening: Promise<Engine> | undefined
  #opened: Engine | undefined
  #closed = false

  constructor(open: () => Promise<Engine>) {
    this.#open = open
  }

  get terms(): Terms {
    return this.#opened?.terms ?? carefulTerms
  }

  async *watch(services: readonly ServiceKey[], signal: AbortSignal): AsyncGenerator<Batch> {
    yield* (await this.#engine()).watch(services, signal)
  }

  async *watchAll(signal: AbortSignal): AsyncGenerator<Batch> {
    yield* (await this.#engine()).watchAll(signal)
  }

  async register(instance: Instance, options?: RegisterOptions): Promise<Lease> {
    return (await this.#engine()).register(instance, options)
  }

  async resume(token: string): Promise<Lease> {
    return (await this.#engine()).resume(token)
  }

  async renew(tokens: readonly string[]): Promise<readonly boolean[]> {
    return (await this.#engine()).renew(tokens)
  }

  async release(token: string): Promise<Revision | undefined> {
    return (await this.#engine()).release(token)
  }

  async deregister(key: InstanceKey): Promise<Revision | undefined> {
    return (await this.#engine()).deregister(key)
  }

  async report(key: InstanceKey, reports: readonly CheckReport[]): Promise<Revision> {
    return (await this.#engine()).report(key, reports)
  }

  async claim(name: string, lease: Lease): Promise<Claim | undefined> {
    return (await this.#engine()).claim(name, lease)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    const engine = await this.#opening?.catch(() => undefined)
    await engine?.[Symbol.asyncDispose]()
  }

  async #engine(): Promise<Engine> {
    if (this.#opened !== undefined) return this.#opened
    if (this.#closed) throw new SeamarkError('closed', 'The engine was closed.')
    this.#opening ??= this.#open()
    const opening = this.#opening
    try {
      this.#opened = await opening
      return this.#opened
    } catch (error) {
      if (this.#opening === opening) this.#opening = undefined
      throw error
    }
  }
}
