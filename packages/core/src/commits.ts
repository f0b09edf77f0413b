import { isSeamarkError, SeamarkError } from './errors.ts'
import type { JournalWrite } from './journal.ts'

/** Writes evaluated together, and how to take them back. */
export interface Transaction {
  readonly writes: JournalWrite[]
  readonly undo: (() => void)[]
}

export interface CommitsOptions<T extends Transaction> {
  begin(): T
  /** Makes the writes durable. */
  commit(transaction: T): Promise<void>
  /** Tells of what is committed. */
  publish(transaction: T): void
}

interface Task<T> {
  evaluate(transaction: T): unknown
  resolve(value: unknown): void
  reject(error: unknown): void
}

/** Writes that share a commit at most. */
const bound = 10_000

/**
 * Writes that arrive while a commit is under way are evaluated together once it is over, and share the next one. What is not
 * committed is seen by nobody; a commit that fails is taken back, and its writers are told.
 */
export class Commits<T extends Transaction> {
  readonly #options: CommitsOptions<T>
  #tasks: Task<T>[] = []
  #running: Promise<void> | undefined
  /** Whether the state holds writes that are not published yet. */
  #committing = false
  #readers: (() => void)[] = []
  #closed = false

  constructor(options: CommitsOptions<T>) {
    this.#options = options
  }

  write<R>(evaluate: (transaction: T) => R): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      if (this.#closed) return reject(closed())
      this.#tasks.push({ evaluate, resolve: resolve as (value: unknown) => void, reject })
      this.#running ??= this.#run()
    })
  }

  /** Reads the state at a moment when all of it is committed. */
  read<R>(read: () => R): Promise<R> {
    return new Promise((resolve, reject) => {
      const attempt = () => {
        try {
          this.open()
          resolve(read())
        } catch (error) {
          reject(error)
        }
      }
      if (this.#committing) this.#readers.push(attempt)
      else attempt()
    })
  }

  /** Throws `closed` once it is. */
  open(): void {
    if (this.#closed) throw closed()
  }

  /** Takes no more; resolves once what it took is done. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#running
  }

  async #run(): Promise<void> {
    await undefined // Writes of the same turn share the first commit.
    while (this.#tasks.length > 0) {
      const tasks = this.#tasks.splice(0, bound)
      const transaction = this.#options.begin()
      this.#committing = true
      const outcomes = tasks.map((task) => evaluated(task, transaction))
      try {
        await this.#options.commit(transaction)
        this.#options.publish(transaction)
        for (const settle of outcomes) settle()
      } catch (error) {
        for (const undo of transaction.undo.reverse()) undo()
        for (const { reject } of tasks) reject(unavailable(error))
      }
      this.#committing = false
      for (const read of this.#readers.splice(0)) read()
    }
    this.#running = undefined
  }
}

/** Sets, in a way that can be taken back. */
export function put<V>({ undo }: Transaction, map: Map<string, V>, key: string, value: V): void {
  const before = map.get(key)
  map.set(key, value)
  undo.push(() => (before === undefined ? map.delete(key) : map.set(key, before)))
}

/** Deletes, in a way that can be taken back. */
export function remove<V>({ undo }: Transaction, map: Map<string, V>, key: string): void {
  const before = map.get(key)
  if (before === undefined) return
  map.delete(key)
  undo.push(() => map.set(key, before))
}

/** Runs a task; what it comes to is told once the writes of all are committed. */
function evaluated<T>({ evaluate, resolve, reject }: Task<T>, transaction: T): () => void {
  try {
    const value = evaluate(transaction)
    return () => resolve(value)
  } catch (error) {
    return () => reject(error)
  }
}

function closed(): SeamarkError {
  return new SeamarkError('closed', 'The engine was closed.')
}

function unavailable(cause: unknown): unknown {
  if (isSeamarkError(cause)) return cause
  return new SeamarkError('engine_unavailable', 'The store could not be written; nothing was changed.', {
    cause,
  })
}
