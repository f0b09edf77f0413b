import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Journal,
  type JournalCommit,
  type JournalState,
  type JournalWrite,
  SeamarkError,
} from '@seamark/core'
import { damaged, readDataFile } from './data-file.ts'
import type { DirectoryLock } from './directory-lock.ts'
import {
  aboutKey,
  aboutValue,
  claimKey,
  claimValue,
  format,
  itemKey,
  itemValue,
  RecordReader,
  registrationKey,
  registrationValue,
} from './record.ts'
import { type Operation, Store } from './store.ts'

/**
 * Opens the journal in a directory that is ours, and reads it whole. Throws `store_damaged`, `store_too_new`,
 * `configuration`; then the store is as it was.
 */
export async function journal(lock: DirectoryLock): Promise<Journal> {
  const path = join(lock.directory, 'data.mdb')
  if (!existsSync(path)) await create(lock.directory, path)
  const state = read(path)
  return new LmdbJournal(lock, path, await Store.open(path), state)
}

/** A file of that name is complete: a new one gets it only once it is on disk. */
async function create(directory: string, path: string): Promise<void> {
  const unfinished = join(directory, 'new.mdb')
  rmSync(unfinished, { force: true })
  rmSync(`${unfinished}-lock`, { force: true })
  const store = await Store.open(unfinished)
  try {
    await store.write([[aboutKey, aboutValue(0)]])
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
  const { about, registrations, holders, items } = reader
  if (about === undefined) throw damaged(path, 'the record about the store is missing')
  if (about.format > format)
    throw new SeamarkError(
      'store_too_new',
      `The store "${path}" has format ${about.format}, and this Seamark reads ${format}: use the Seamark that wrote it, or a newer one. Nothing was changed.`,
    )
  return { revision: about.revision, registrations, holders, items }
}

class LmdbJournal implements Journal {
  readonly #lock: DirectoryLock
  readonly #path: string
  #store: Store | undefined
  #state: JournalState | undefined
  #closed: Promise<void> | undefined

  constructor(lock: DirectoryLock, path: string, store: Store, state: JournalState) {
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
    try {
      this.#store ??= await Store.open(this.#path)
      await this.#store.write([...writes.map(operation), [aboutKey, aboutValue(revision)]])
    } catch (cause) {
      // LMDB refuses everything once it failed to write a meta page; opened anew it starts from the last commit.
      const store = this.#store
      this.#store = undefined
      await store?.close()
      throw new SeamarkError(
        'engine_unavailable',
        `The store "${this.#path}" could not be written: ${(cause as Error).message}. Nothing was changed; look for a full disk or a failing one.`,
        { cause },
      )
    }
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

function operation(write: JournalWrite): Operation {
  if (write.type === 'put') {
    const key = registrationKey(write.registration.entry.instance)
    return [key, registrationValue(key, write.registration)]
  }
  if (write.type === 'delete') return [registrationKey(write.key), undefined]
  if (write.type === 'delete-item') return [itemKey(write.key), undefined]
  if (write.type === 'put-item') {
    const key = itemKey(write.item.key)
    return [key, itemValue(key, write.item)]
  }
  if (write.type === 'release') return [claimKey(write.claim), undefined]
  const key = claimKey(write.holder)
  return [key, claimValue(key, write.holder)]
}
