import {
  type Batch,
  type CheckReport,
  type Claim,
  type Engine,
  type Instance,
  type InstanceKey,
  type ItemBatch,
  type Lease,
  type RegisterOptions,
  type Revision,
  SeamarkError,
  type ServiceKey,
  type Source,
  type Terms,
  type WriteOperation,
} from '@seamark/core'
import { isEngine, readOnly } from './open-engine.ts'

/** Assumed of an engine that did not say its terms yet. */
export const carefulTerms: Terms = Object.freeze({ minimumTtl: 1_000, lateness: 5_000 })

/**
 * An engine that is opened when it is first needed, and, when that fails, again when it is next needed. What is opened may
 * turn out to be a source that cannot be written: then it can be watched, and all else throws `configuration`.
 */
export class DeferredEngine implements Engine {
  readonly #scheme: string
  readonly #open: () => Promise<Source>
  #opening: Promise<Source> | undefined
  #opened: Source | undefined
  #closed = false

  constructor(scheme: string, open: () => Promise<Source>) {
    this.#scheme = scheme
    this.#open = open
  }

  get freshness(): Source['freshness'] {
    return this.#opened?.freshness ?? 'push'
  }

  get terms(): Terms {
    return this.#opened !== undefined && isEngine(this.#opened) ? this.#opened.terms : carefulTerms
  }

  async *watch(services: readonly ServiceKey[], signal: AbortSignal): AsyncGenerator<Batch> {
    yield* (await this.#source()).watch(services, signal)
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

  async write(operations: readonly WriteOperation[]): Promise<Revision | undefined> {
    return (await this.#engine()).write(operations)
  }

  async *watchItems(prefix: string, signal: AbortSignal): AsyncGenerator<ItemBatch> {
    yield* (await this.#engine()).watchItems(prefix, signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    const source = await this.#opening?.catch(() => undefined)
    await source?.[Symbol.asyncDispose]()
  }

  async #engine(): Promise<Engine> {
    const source = await this.#source()
    if (!isEngine(source)) throw readOnly(this.#scheme)
    return source
  }

  async #source(): Promise<Source> {
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
