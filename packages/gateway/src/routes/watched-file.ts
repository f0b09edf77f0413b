import { type FSWatcher, watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock, Timer } from '@seamark/core'

export interface WatchedFileOptions {
  readonly clock: Clock
  /** Called with each other text that the file has, also with one that it had before. */
  readonly changed: (text: string) => void
  /** Called when it cannot be read any more; once, until it can be. */
  readonly lost: (error: Error) => void
}

/** Milliseconds for which a change may be followed by more of it: editors write in several steps. */
const settling = 50
/** Milliseconds between two looks, for file systems that do not tell of changes, such as some of containers and networks. */
const interval = 5_000

/**
 * A file of text that is read again when it changes: its text is what counts, and not who wrote it and how often. Symbolic links
 * and files that are put in another's place are followed.
 */
export class WatchedFile implements AsyncDisposable {
  readonly #path: string
  readonly #options: WatchedFileOptions
  readonly #watcher: FSWatcher | undefined
  #text: string | undefined
  #timer: Timer | undefined
  #soon: Timer | undefined
  #reading = Promise.resolve()
  #isClosed = false

  /** `text` is what was read of it before. */
  constructor(path: string, text: string, options: WatchedFileOptions) {
    this.#path = path
    this.#text = text
    this.#options = options
    this.#watcher = watcher(path, () => this.#look())
    this.#wait()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#watcher?.close()
    this.#timer?.cancel()
    this.#soon?.cancel()
    await this.#reading
  }

  #look(): void {
    this.#soon ??= this.#options.clock.after(settling, () => {
      this.#soon = undefined
      this.#wait()
      this.#reading = this.#reading.then(() => this.#read())
    })
  }

  #wait(): void {
    this.#timer?.cancel()
    this.#timer = this.#options.clock.after(interval, () => this.#look())
  }

  async #read(): Promise<void> {
    let text: string
    try {
      text = await readFile(this.#path, 'utf8')
    } catch (error) {
      if (!this.#isClosed && this.#text !== undefined) this.#options.lost(error as Error)
      this.#text = undefined
      return
    }
    if (this.#isClosed || text === this.#text) return
    this.#text = text
    this.#options.changed(text)
  }
}

/** Of the folder: a file that takes another's place is another file. Without one, there are still the looks. */
function watcher(path: string, changed: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(dirname(path), { persistent: false }, changed)
    return watcher.on('error', () => watcher.close())
  } catch {
    return undefined
  }
}
