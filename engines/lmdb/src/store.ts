import { open, type RootDatabase } from 'lmdb'
import { Headroom } from './headroom.ts'

/** A key, and its value, or `undefined` to remove it. */
export type Operation = readonly [key: Buffer, value: Buffer | undefined]

/** LMDB, as far as it is needed: it only writes. What it is given must have been checked before. */
export class Store {
  readonly #headroom: Headroom
  readonly #database: RootDatabase<Buffer, Buffer>

  private constructor(headroom: Headroom, database: RootDatabase<Buffer, Buffer>) {
    this.#headroom = headroom
    this.#database = database
  }

  /** Makes the file, if it is not there. */
  static async open(path: string): Promise<Store> {
    const opened = database(path)
    try {
      return new Store(await Headroom.in(path), opened)
    } catch (error) {
      await opened.close()
      throw error
    }
  }

  /** One transaction: all or nothing. Resolves once it would survive the loss of power. */
  async write(operations: readonly Operation[]): Promise<void> {
    const sizes = operations.map(([key, value]) => key.length + (value?.length ?? 0))
    await this.#headroom.make(sizes)
    try {
      await this.#database.batch(() => {
        for (const [key, value] of operations)
          if (value === undefined) this.#database.remove(key)
          else this.#database.put(key, value)
      })
    } catch (error) {
      throw await reason(error)
    }
  }

  async close(): Promise<void> {
    try {
      await this.#database.close()
    } finally {
      await this.#headroom.close()
    }
  }
}

/**
 * `overlappingSync` is lmdb's default: then a promise resolves before the data is on disk, and the one that does not
 * (`flushed`) never hears of an error. Without it a commit is LMDB's own, on a thread of the pool: it writes pages,
 * calls fdatasync, and then writes a meta page through a descriptor opened with O_DSYNC; the promise resolves after
 * that. Seen with `strace -f -e pwrite64,fdatasync`; `processes.test.ts` looks again.
 */
function database(path: string): RootDatabase<Buffer, Buffer> {
  return open<Buffer, Buffer>({
    path,
    noSubdir: true,
    overlappingSync: false,
    keyEncoding: 'binary',
    encoding: 'binary',
    // The same on machines whose own pages are larger, so that a store can be moved. Keys may have 1,978 bytes.
    pageSize: 4_096,
    // We read the file ourselves, once; what remains is whoever looks at it with LMDB's own tools.
    maxReaders: 16,
    permissionsMode: 0o600,
  } as Parameters<typeof open>[0]) as RootDatabase<Buffer, Buffer>
}

/** lmdb rejects with an error that has the real one as a promise, rejected a little later. */
async function reason(error: unknown): Promise<unknown> {
  const { commitError } = error as { commitError?: Promise<never> }
  if (commitError === undefined) return error
  return commitError.catch((cause: unknown) => cause)
}
