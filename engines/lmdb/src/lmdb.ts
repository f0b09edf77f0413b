import { accessSync, constants, mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Clock, type Engine, embedded, isSeamarkError, type Notify, SeamarkError } from '@seamark/core'
import { directoryLock } from './directory-lock.ts'
import { journal } from './journal.ts'

export interface LmdbOptions {
  /** Default the system's. */
  clock?: Clock
  /** Default: nobody is told. */
  notify?: Notify
}

/**
 * The embedded engine with its truth in an LMDB database, in a directory that it makes (mode 0700) if it is not there.
 * What was acknowledged survives the loss of power; registrations that arrive together share a commit. After a
 * restart, every lease has one full TTL before it may expire.
 *
 * Throws `configuration` (not a directory, or not writable), `store_in_use`, `store_damaged`, `store_too_new`; a
 * write throws `engine_unavailable` when the disk refuses it.
 */
export async function lmdb(directory: string, options: LmdbOptions = {}): Promise<Engine> {
  const path = resolve(directory)
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
    const lock = await directoryLock(path)
    try {
      return embedded(await journal(lock), options)
    } catch (error) {
      await lock[Symbol.asyncDispose]()
      throw error
    }
  } catch (cause) {
    // The system's errors have a code, and so have LMDB's; an error without one is a bug of ours.
    if (isSeamarkError(cause) || !(cause as NodeJS.ErrnoException).code) throw cause
    throw new SeamarkError(
      'configuration',
      `The store "${path}" cannot be opened (${(cause as Error).message}): it must be a directory this user may write, or one that can be made, with room on its disk.`,
      { cause },
    )
  }
}

/** Opens `lmdb:./data`, `lmdb:/var/lib/seamark` or `lmdb:///var/lib/seamark`. Throws as `lmdb()` does. */
export async function open(url: string, options: LmdbOptions = {}): Promise<Engine> {
  return lmdb(directoryOf(url), options)
}

function directoryOf(url: string): string {
  const [, authority, path = ''] = /^lmdb:(?:\/\/([^/]*))?(.*)$/s.exec(url) ?? []
  if (path === '' || authority || /[?#\0]/.test(path) || (authority !== undefined && !path.startsWith('/')))
    throw wrongUrl(url)
  try {
    return decodeURIComponent(path)
  } catch (error) {
    throw wrongUrl(url, error)
  }
}

function wrongUrl(url: string, cause?: unknown): SeamarkError {
  return new SeamarkError(
    'configuration',
    `"${url}" does not name a store: write lmdb:./data for a directory near here, or lmdb:/var/lib/seamark (also lmdb:///var/lib/seamark) for any other; %23, %25 and %3F stand for #, % and ?.`,
    { cause },
  )
}
