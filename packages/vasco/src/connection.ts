import { type Clock, SeamarkError } from '@seamark/core'
import { Redis } from 'ioredis'

/** Milliseconds that Redis has for an answer, and a connection to open. */
const patience = 5_000

class Late extends Error {
  constructor() {
    super(`no answer within ${patience} ms`)
  }
}

/**
 * The one connection to Redis: opened when it is needed, opened anew at the next need when it broke, and closed once
 * nobody needs it.
 */
export class Connection {
  readonly #url: () => string
  readonly #clock: Clock
  #client: Redis | undefined
  #opening: Promise<Redis> | undefined
  #users = 0

  constructor(url: () => string, clock: Clock) {
    this.#url = url
    this.#clock = clock
  }

  /** Keeps it open, once it is, until disposed of. */
  hold(): Disposable {
    this.#users++
    let held = true
    return {
      [Symbol.dispose]: () => {
        if (!held) return
        held = false
        this.#users--
        if (this.#users === 0) this.#drop(this.#client)
      },
    }
  }

  /** What it could be asked at once. */
  get client(): Redis | undefined {
    return this.#client?.status === 'ready' ? this.#client : undefined
  }

  /** Throws `engine_unavailable`, after 5 s at the latest, and `configuration` for a URL that is none. */
  async ask<T>(question: (client: Redis) => Promise<T>): Promise<T> {
    const hold = this.hold()
    try {
      const client = this.client ?? (await this.#open())
      try {
        return await this.#within(question(client))
      } catch (error) {
        // Nobody can tell what Redis is still going to answer.
        if (error instanceof Late) this.#drop(client)
        throw unavailable(error)
      }
    } finally {
      hold[Symbol.dispose]()
    }
  }

  #open(): Promise<Redis> {
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async #connect(): Promise<Redis> {
    this.#drop(this.#client)
    const client = new Redis(this.#url(), {
      lazyConnect: true,
      connectTimeout: patience,
      disableClientInfo: true,
      enableReadyCheck: false,
      // One that broke is replaced by another one; nothing waits in between, or is sent twice.
      retryStrategy: null,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
    })
    let failure: unknown
    client.on('error', (error: unknown) => {
      failure ??= error
    })
    try {
      await this.#within(client.connect())
      // The driver goes on when the database cannot be selected: in another one.
      if (failure !== undefined) throw failure
    } catch (error) {
      client.disconnect()
      throw unavailable(failure ?? error)
    }
    this.#client = client
    return client
  }

  #drop(client: Redis | undefined): void {
    client?.disconnect()
    if (this.#client === client) this.#client = undefined
  }

  #within<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(patience, () => reject(new Late()))
      answer.then(resolve, reject).finally(() => timer.cancel())
    })
  }
}

function unavailable(cause: unknown): SeamarkError {
  // The driver attaches the command: it may hold the password.
  if (cause instanceof Error && 'command' in cause) delete cause.command
  const { message, code } = cause as NodeJS.ErrnoException
  return new SeamarkError('engine_unavailable', `Redis failed: ${message || code || String(cause)}`, {
    cause,
  })
}
