import { readFile, stat } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { type Clock, type Notify, SeamarkError, type Timer } from '@seamark/core'

/** The files of a certificate, in PEM. */
export interface CertificateFiles {
  /** With those that lead to its root. */
  readonly cert: string
  readonly key: string
}

export interface Pair {
  readonly cert: Buffer
  readonly key: Buffer
}

/** Milliseconds between two looks at the files. */
const interval = 5_000

/**
 * A certificate, read again whenever its files change. What cannot be used is reported, and the last one that could be stays. Disposing of
 * it ends that.
 */
export class Certificate implements Disposable {
  readonly #files: CertificateFiles
  readonly #clock: Clock
  readonly #notify: Notify
  #renewed: ((pair: Pair) => void) | undefined
  #seen: string
  #timer: Timer | undefined
  #isOver = false
  /** What was reported last. */
  #failure: string | undefined
  readonly pair: Pair

  private constructor(options: CertificateOptions, pair: Pair, seen: string) {
    this.#files = options.files
    this.#clock = options.clock
    this.#notify = options.notify
    this.#seen = seen
    this.pair = pair
  }

  /** Throws `configuration` if it cannot be used. */
  static async open(options: CertificateOptions): Promise<Certificate> {
    try {
      const seen = await fingerprint(options.files)
      return new Certificate(options, await read(options.files), seen)
    } catch (cause) {
      throw unusable(options.files, cause)
    }
  }

  /** Tells of each that is read from now on. */
  follow(renewed: (pair: Pair) => void): void {
    this.#renewed = renewed
    this.#wait()
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    this.#timer?.cancel()
  }

  #wait(): void {
    this.#timer = this.#clock.after(interval, () => void this.#look())
  }

  async #look(): Promise<void> {
    try {
      const seen = await fingerprint(this.#files)
      if (seen !== this.#seen) {
        this.#seen = seen
        const pair = await read(this.#files)
        if (this.#isOver) return
        this.#renewed?.(pair)
        this.#notify({
          level: 'info',
          event: 'certificate_renewed',
          message: `The certificate ${this.#files.cert} was read again.`,
          details: { ...this.#files },
        })
      }
    } catch (cause) {
      const error = unusable(this.#files, cause)
      // Once for each state of the files.
      const seen = `${this.#seen} ${error.message}`
      if (!this.#isOver && this.#failure !== seen)
        this.#notify({
          level: 'error',
          event: 'certificate_unusable',
          message: `${error.message} The last one that could be used stays.`,
          details: { ...this.#files, error },
        })
      this.#failure = seen
    }
    if (!this.#isOver) this.#wait()
  }
}

export interface CertificateOptions {
  readonly files: CertificateFiles
  readonly clock: Clock
  readonly notify: Notify
}

async function read({ cert, key }: CertificateFiles): Promise<Pair> {
  const pair = { cert: await readFile(cert), key: await readFile(key) }
  // Throws unless they are what they should be, and fit one another.
  createSecureContext(pair)
  return pair
}

async function fingerprint({ cert, key }: CertificateFiles): Promise<string> {
  const stats = await Promise.all([stat(cert), stat(key)])
  return stats.map(({ ino, size, mtimeMs }) => `${ino}/${size}/${mtimeMs}`).join(' ')
}

function unusable({ cert, key }: CertificateFiles, cause: unknown): SeamarkError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new SeamarkError('configuration', `The certificate ${cert} with ${key} cannot be used: ${why}.`, {
    field: 'tls',
    cause,
  })
}
