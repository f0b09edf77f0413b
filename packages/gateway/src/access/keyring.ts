import { Backoff, type Clock, type Notify, SeamarkError, type Timer } from '@seamark/core'
import type { KeySetting } from './access-setting.ts'
import { type Fetch, type KeySource, keySource } from './key-source.ts'
import { type VerificationKeys, verificationKeys } from './verification-keys.ts'

export interface KeyringHost {
  readonly clock: Clock
  /** Hears of `keys_loaded`, `keys_lost` and `keys_in_clear`. */
  readonly notify: Notify
  readonly fetch: Fetch
}

/** Milliseconds that reading keys may take, as by jose. */
const patience = 5_000

/**
 * Milliseconds between two readings because of a key that is not known. An issuer that signs with a key before it publishes it
 * is misunderstood for no longer; and strangers, who can name any key, cause no more than that.
 */
const cooldown = 10_000

/** The keys as they are now. When they cannot be read any more, those that were known go on: stale beats empty. */
export class Keyring implements AsyncDisposable {
  readonly #source: KeySource
  readonly #parse: (bytes: Buffer) => VerificationKeys
  readonly #host: KeyringHost
  readonly #backoff = new Backoff({ first: 1_000, most: 60_000 })
  readonly #closing = new AbortController()
  #keys: VerificationKeys | undefined
  #bytes: Buffer | undefined
  #reading: Promise<void> | undefined
  #readAt = Number.NEGATIVE_INFINITY
  #failure: Error | undefined
  #timer: Timer | undefined

  /** Reads files and variables at once: throws `configuration` when they hold no keys. */
  constructor({ kind, ...setting }: KeySetting, host: KeyringHost) {
    this.#host = host
    this.#parse = verificationKeys[kind]
    this.#source = keySource({ kind, ...setting }, host.fetch)
    const { first, name } = this.#source
    if (first === undefined) {
      this.#warnOfClearText(setting.at)
      void this.#read()
      return
    }
    try {
      this.#take(first)
    } catch (cause) {
      throw new SeamarkError('configuration', `${name} ${(cause as Error).message}`, { cause })
    }
    this.#readNext(this.#source.refresh)
  }

  /** The same object while they are the same; `undefined` until they were read. */
  get keys(): VerificationKeys | undefined {
    return this.#keys
  }

  /** The keys, once they are there. Throws `keys_unavailable`. */
  async ready(): Promise<VerificationKeys> {
    if (this.#keys === undefined) await this.#reading
    if (this.#keys === undefined) throw this.#unavailable()
    return this.#keys
  }

  /**
   * The keys, after a token named one that `known` has not; `undefined` when there are no others. Throws
   * `keys_unavailable` when nobody can say, as they cannot be read.
   */
  async renewed(known: VerificationKeys): Promise<VerificationKeys | undefined> {
    if (this.#keys === known && this.#source.refresh !== undefined) {
      const since = this.#host.clock.now() - this.#readAt
      if (this.#reading === undefined && since >= cooldown) void this.#read()
      await this.#reading
    }
    if (this.#keys !== known) return this.#keys
    if (this.#failure !== undefined) throw this.#unavailable()
    return undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.cancel()
    this.#closing.abort()
    await this.#reading
  }

  /** Never rejects: what goes wrong is told, and tried again later. */
  #read(): Promise<void> {
    this.#timer?.cancel()
    this.#readAt = this.#host.clock.now()
    this.#reading = this.#readOnce().then((next) => {
      this.#reading = undefined
      if (!this.#closing.signal.aborted) this.#readNext(next)
    })
    return this.#reading
  }

  async #readOnce(): Promise<number | undefined> {
    const tooLate = new AbortController()
    const timer = this.#host.clock.after(patience, () => tooLate.abort(new Error('it does not answer')))
    try {
      this.#take(await this.#source.read(AbortSignal.any([tooLate.signal, this.#closing.signal])))
      if (this.#failure !== undefined) this.#tellLoaded()
      this.#failure = undefined
      this.#backoff.reset()
      return this.#source.refresh
    } catch (error) {
      if (!this.#closing.signal.aborted) this.#fail(error as Error)
      return this.#backoff.next()
    } finally {
      timer.cancel()
    }
  }

  #readNext(delay: number | undefined): void {
    if (delay !== undefined) this.#timer = this.#host.clock.after(delay, () => void this.#read())
  }

  #take(bytes: Buffer): void {
    if (this.#bytes?.equals(bytes)) return
    this.#keys = this.#parse(bytes)
    const isNew = this.#bytes !== undefined
    this.#bytes = bytes
    if (isNew) this.#tellLoaded()
  }

  #fail(error: Error): void {
    // Told once, until it comes back.
    if (this.#failure === undefined) {
      const problem = `${this.#source.name}: ${error.cause instanceof Error ? error.cause.message : error.message}`
      this.#host.notify({
        level: this.#keys === undefined ? 'error' : 'warn',
        event: 'keys_lost',
        message:
          this.#keys === undefined
            ? `The keys for tokens cannot be read, and no token can be verified. ${problem}.`
            : `The keys for tokens cannot be read again; those that are known go on. ${problem}.`,
      })
    }
    this.#failure = error
  }

  #tellLoaded(): void {
    this.#host.notify({
      level: 'info',
      event: 'keys_loaded',
      message: `The keys for tokens were read from ${this.#source.name}.`,
    })
  }

  #unavailable(): SeamarkError {
    return new SeamarkError('keys_unavailable', 'Tokens cannot be verified for now: try again later.', {
      cause: this.#failure,
      details: { retryAfter: 1 },
    })
  }

  #warnOfClearText(url: string): void {
    const { protocol, hostname } = new URL(url)
    if (protocol === 'https:' || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)) return
    this.#host.notify({
      level: 'warn',
      event: 'keys_in_clear',
      message: `The keys for tokens come over plain HTTP from ${this.#source.name}: whoever is on the way can replace them.`,
    })
  }
}
