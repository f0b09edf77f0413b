import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Journal, type JournalCommit, type JournalState, SeamarkError } from '@seamark/core'
import { open, type RootDatabase } from 'lmdb'
import { damaged, readDataFile } from './data-file.ts'
import type { DirectoryLock } from './directory-lock.ts'
import {
  aboutKey,
  aboutValue,
  claimKey,
  claimValue,
  format,
  RecordReader,
  registrationKey,
  registrationValue,
} from './record.ts'

/**
 * Opens the journal in a directory that is ours, and reads it whole. Throws `store_damaged`, `store_too_new`,
 * `configuration`; then the store is as it was.
 */
export async function journal(lock: DirectoryLock): Promise<Journal> {
  const path = join(lock.directory, 'data.mdb')
  if (!existsSync(path)) await create(lock.directory, path)
  const state = read(path)
  return new LmdbJournal(lock, path, database(path), state)
}

/** A file of that name is complete: a new one gets it only once it is on disk. */
async function create(directory: string, path: string): Promise<void> {
  const unfinished = join(directory, 'new.mdb')
  rmSync(unfinished, { force: true })
  rmSync(`${unfinished}-lock`, { force: true })
  const store = database(unfinished)
  try {
    await store.put(aboutKey, aboutValue(0))
  } catch (error) {
    throw await reason(error)
  } finally {
    await store.close()
  }
  rmSync(`${unfinished}-lock`, { force: true })
  renameSync(unfinished, path)
  const handle = openSync(directory, 'r')
  fsyncSync(handle)
  closeSync(handle)
}

function read(path: string): JournalState {
  const reader = new RecordReader()
  readDataFile(path, { record: (key, value) => reader.read(key, value) })
  const { about, registrations, holders } = reader
  if (about === undefined) throw damaged(path, 'the record about the store is missing')
  if (about.format > format)
    throw new SeamarkError(
      'store_too_new',
      `The store "${path}" has format ${about.format}, and this Seamark reads ${format}: use the Seamark that wrote it, or a newer one. Nothing was changed.`,
    )
  return { revision: about.revision, registrations, holders }
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
    // The journal reads the file itself, once; what remains is whoever looks at it with LMDB's own tools.
    maxReaders: 16,
    permissionsMode: 0o600,
  } as Parameters<typeof open>[0]) as RootDatabase<Buffer, Buffer>
}

class LmdbJournal implements Journal {
  readonly #lock: DirectoryLock
  readonly #path: string
  #store: RootDatabase<Buffer, Buffer> | undefined
  #state: JournalState | undefined
  #closed: Promise<void> | undefined

  constructor(lock: DirectoryLock, path: string, store: RootDatabase<Buffer, Buffer>, state: JournalState) {
    this.#lock = lock
    this.#path = path
    this.#store = store
    this.#state = state
  }

  load(): JournalState {
    const state = this.#state
    if (state === undefined) throw new SeamarkError('internal', 'A journal is loaded once.')
    this.#state = undefined
    return state
  }

  /** One commit is one transaction. Throws `engine_unavailable`: nothing was written, and a later one may succeed. */
  async commit({ revision, writes }: JournalCommit): Promise<void> {
    if (this.#closed !== undefined) throw new SeamarkError('closed', 'The store is closed.')
    const store = this.#reopened()
    try {
      await store.batch(() => {
        for (const write of writes) {
          if (write.type === 'put') {
            const key = registrationKey(write.registration.entry.instance)
            store.put(key, registrationValue(key, write.registration))
          } else if (write.type === 'delete') store.remove(registrationKey(write.key))
          else if (write.type === 'claim') {
            const key = claimKey(write.holder)
            store.put(key, claimValue(key, write.holder))
          } else store.remove(claimKey(write.claim))
        }
        store.put(aboutKey, aboutValue(revision))
      })
    } catch (error) {
      // An environment that failed to write its meta page refuses all that follows; a new one starts from the last commit.
      this.#store = undefined
      await store.close()
      throw this.#unavailable(await reason(error))
    }
  }

  #reopened(): RootDatabase<Buffer, Buffer> {
    try {
      this.#store ??= database(this.#path)
      return this.#store
    } catch (error) {
      throw this.#unavailable(error)
    }
  }

  #unavailable(cause: unknown): SeamarkError {
    return new SeamarkError(
      'engine_unavailable',
      `The store "${this.#path}" could not be written: ${(cause as Error).message}. Nothing was changed; look for a full disk or a failing one.`,
      { cause },
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close()
    await this.#closed
  }

  async #close(): Promise<void> {
    try {
      await this.#store?.close()
    } finally {
      await this.#lock[Symbol.asyncDispose]()
    }
  }
}

/** lmdb rejects with an error that has the real one as a promise, rejected a little later. */
async function reason(error: unknown): Promise<unknown> {
  const { commitError } = error as { commitError?: Promise<never> }
  if (commitError === undefined) return error
  return commitError.catch((cause: unknown) => cause)
}
