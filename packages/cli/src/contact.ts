import type { Batch, Directory, ServiceKey } from '@seamark/core'
import type { Output } from './output.ts'

/** A directory that tells its reader when it is lost, and when it is back. */
export class Contact implements Directory {
  readonly freshness: Directory['freshness']
  /** Rejects when there is no contact from the start. */
  readonly refused: Promise<never>
  readonly #directory: Directory
  readonly #output: Output
  #state: 'new' | 'held' | 'lost' = 'new'
  #refuse!: (error: unknown) => void

  constructor(directory: Directory, output: Output) {
    this.freshness = directory.freshness
    this.#directory = directory
    this.#output = output
    this.refused = new Promise((_, reject) => {
      this.#refuse = reject
    })
    this.refused.catch(() => {}) // Raced while it matters.
  }

  watch(services: readonly ServiceKey[], signal: AbortSignal): AsyncIterable<Batch> {
    return this.#follow(this.#directory.watch(services, signal))
  }

  watchAll(signal: AbortSignal): AsyncIterable<Batch> {
    return this.#follow(this.#directory.watchAll(signal))
  }

  async *#follow(batches: AsyncIterable<Batch>): AsyncGenerator<Batch> {
    try {
      for await (const batch of batches) {
        if (this.#state === 'lost') this.#output.remark('The server answers.')
        this.#state = 'held'
        yield batch
      }
    } catch (error) {
      if (this.#state === 'new') this.#refuse(error)
      if (this.#state === 'held')
        this.#output.remark(`The server is away, and waited for: ${(error as Error).message}`)
      if (this.#state === 'held') this.#state = 'lost'
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
