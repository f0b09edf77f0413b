import { fstatSync, writeSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { latestMeta } from './data-file.ts'

/** Bytes by which the file grows at least. */
const step = 2 ** 18

/** Pages for what LMDB writes of its own: its list of free pages (up to 75,000, of at most 16 bytes each) and its tree. */
function ownPages(lastPage: number): number {
  return 32 + Math.min(Math.ceil(lastPage / 128), 512)
}

/**
 * Room in the data file, made before LMDB needs it.
 *
 * When LMDB cannot write a page, lmdb 3.5 prints a message of more than 100 characters into 100 bytes (`mdb_page_flush`
 * in `mdb.c`): the process aborts, now or later. So a full disk must be met here, by writes of our own: the file is
 * filled with zeros past its last page, as far as a commit can reach, and on each commit one byte more is written, to
 * learn whether the file can be written at all.
 */
export class Headroom {
  readonly #path: string
  readonly #file: FileHandle

  private constructor(path: string, file: FileHandle) {
    this.#path = path
    this.#file = file
  }

  static async in(path: string): Promise<Headroom> {
    return new Headroom(path, await open(path, 'r+'))
  }

  /** Resolves once there is room for so many writes of these sizes, in bytes of key and value; throws what the file system throws. */
  async make(sizes: readonly number[]): Promise<void> {
    const { fd } = this.#file
    const { pageBytes, lastPage, main } = latestMeta(this.#path, fd)
    const writes = sizes.length
    const bytes = sizes.reduce((sum, size) => sum + size, 0)
    // Each write copies the pages above it, and may split each of them in two; no branch is copied twice.
    const touched = writes + Math.min(writes * main.depth, main.branches + 1)
    const pages = 2 * (touched + main.depth) + 3 * Math.ceil(bytes / pageBytes) + ownPages(lastPage)
    const needed = (lastPage + 1 + pages) * pageBytes
    const { size } = fstatSync(fd)
    if (needed <= size) writeSync(fd, zeros, 0, 1, size - 1)
    else await this.#grow(size, Math.ceil(needed / step) * step)
  }

  async #grow(size: number, bytes: number): Promise<void> {
    try {
      for (let at = size; at < bytes; ) {
        const { bytesWritten } = await this.#file.write(zeros, 0, Math.min(step, bytes - at), at)
        at += bytesWritten
      }
    } catch (error) {
      // What was gained is too little: others on the disk may need it.
      await this.#file.truncate(size)
      throw error
    }
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

const zeros = Buffer.alloc(step)
