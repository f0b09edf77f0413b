import { type Clock, SeamarkError } from '@seamark/core'
import { Redis, type RedisOptions } from 'ioredis'
import type { Host, RedisAddress } from './redis-url.ts'
import { type Keys, registryKeys, type Script } from './scripts.ts'

/** Milliseconds that Redis has for an answer, and a connection to open. */
const patience = 5_000
/** Milliseconds for one sentinel, so that another one can still be asked. */
const sentinelPatience = patience / 4
/** Nodes of a cluster that are asked before giving up. */
const mostMoves = 5

/** Replies that say: this is not the server to ask (any more). Nothing was done. */
const wrongServer = /^(READONLY|MOVED|ASK|CLUSTERDOWN|MASTERDOWN|LOADING|TRYAGAIN)\b|-READONLY\b/

export type Argument = string | number | Buffer

/** How replies are wanted. */
type Form = (client: Redis, command: string, args: readonly Argument[]) => Promise<unknown>
const text: Form = (client, command, args) => client.call(command, ...args)
const bytes: Form = (client, command, args) => client.callBuffer(command, ...args)

class Late extends Error {
  constructor(ms: number) {
    super(`no answer within ${ms} ms`)
  }
}

/**
 * One connection to the server that has a registry's keys. It opens once, and once it broke it stays broken.
 * What it is asked throws `engine_unavailable`, at the latest after 5 s: then the connection is closed, too, as nobody
 * can tell what Redis is still going to do.
 */
export class Connection {
  readonly keys: Keys
  readonly #address: RedisAddress
  readonly #clock: Clock
  #client: Redis | undefined
  #closed = false
  /** The first error that the driver told of: why the connection broke. */
  #failure: unknown

  constructor(address: RedisAddress, clock: Clock) {
    this.keys = registryKeys(address.prefix)
    this.#address = address
    this.#clock = clock
  }

  get closed(): boolean {
    return this.#closed || this.#client?.status === 'end'
  }

  /** Connects, in a cluster to the node that has the keys. Throws `engine_unavailable`. */
  async open(): Promise<void> {
    let host: Host | undefined
    for (let moves = 0; ; moves++)
      try {
        if (host !== undefined) await this.#connect(host)
        else await this.#connectToAny()
        await this.#ask(patience, 'EXISTS', [this.keys.feed], text)
        return
      } catch (error) {
        const moved = /^MOVED \d+ (.*):(\d+)$/.exec(message(error))
        if (moved === null || moves === mostMoves || this.#address.master !== undefined) {
          await this.close()
          throw error
        }
        // A node that knows no name for another one means its own.
        host = { host: moved[1] || host?.host || this.#address.hosts[0]!.host, port: Number(moved[2]) }
      }
  }

  /** Runs a script with the registry's keys. */
  run(script: Script, args: readonly Argument[]): Promise<unknown> {
    return this.#run(script, args, text)
  }

  /** As `run`, for replies that are more than text: they have a Buffer wherever those of `run` have a string. */
  runForBytes(script: Script, args: readonly Argument[]): Promise<unknown> {
    return this.#run(script, args, bytes)
  }

  async call(command: string, ...args: Argument[]): Promise<unknown> {
    return this.callWithin(patience, command, ...args)
  }

  /** As `call`, for what may take so many milliseconds. */
  async callWithin(ms: number, command: string, ...args: Argument[]): Promise<unknown> {
    return this.#call(ms, command, args, text)
  }

  async #run(script: Script, args: readonly Argument[], form: Form): Promise<unknown> {
    const keys = Object.values(this.keys)
    const rest = [keys.length, ...keys, ...args]
    try {
      return await this.#call(patience, 'EVALSHA', [script.sha, ...rest], form)
    } catch (error) {
      if (!message(error).startsWith('NOSCRIPT')) throw error
      return await this.#call(patience, 'EVAL', [script.lua, ...rest], form)
    }
  }

  async #call(ms: number, command: string, args: readonly Argument[], form: Form): Promise<unknown> {
    try {
      return await this.#ask(ms, command, args, form)
    } catch (error) {
      if (reply(error) instanceof Late || isWrongServer(error)) void this.close()
      throw error
    }
  }

  /** Breaks off what is under way. Resolves once the socket is gone. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#disconnect()
  }

  async #connectToAny(): Promise<void> {
    const { hosts, master } = this.#address
    if (master !== undefined) return this.#connect(undefined)
    for (const [index, host] of hosts.entries())
      try {
        return await this.#connect(host)
      } catch (error) {
        if (index === hosts.length - 1 || this.#closed) throw error
      }
  }

  async #connect(host: Host | undefined): Promise<void> {
    await this.#disconnect()
    if (this.#closed) throw this.#unavailable(new Error('the connection is closed'))
    this.#failure = undefined
    const client = new Redis(options(this.#address, host))
    this.#client = client
    client.on('error', (error: unknown) => {
      this.#failure ??= error
    })
    try {
      await this.#within(connectPatience(this.#address), client.connect())
    } catch (error) {
      throw this.#unavailable(this.#failure ?? error)
    }
    // The driver goes on when the database cannot be selected: in another one.
    if (this.#failure !== undefined) throw this.#unavailable(this.#failure)
  }

  async #ask(ms: number, command: string, args: readonly Argument[], form: Form): Promise<unknown> {
    const client = this.#client
    if (client === undefined || this.closed)
      throw this.#unavailable(this.#failure ?? new Error('the connection is closed'))
    try {
      return await this.#within(ms, form(client, command, args))
    } catch (error) {
      throw this.#unavailable(error)
    }
  }

  #disconnect(): Promise<void> {
    const client = this.#client
    if (client === undefined || client.status === 'end') return Promise.resolve()
    return new Promise((resolve) => {
      client.once('end', resolve)
      client.disconnect()
    })
  }

  #within<T>(ms: number, answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(ms, () => {
        reject(new Late(ms))
      })
      answer.then(resolve, reject).finally(() => timer.cancel())
    })
  }

  #unavailable(cause: unknown): SeamarkError {
    // The driver attaches the command: it may hold the password.
    if (cause instanceof Error && 'command' in cause) delete cause.command
    const { hosts, master } = this.#address
    const where = hosts
      .map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`)
      .join(', ')
    return new SeamarkError(
      'engine_unavailable',
      `Redis (${master === undefined ? where : `"${master}", known to the sentinels ${where}`}) failed: ${reason(cause)}`,
      { cause },
    )
  }
}

/** Whether the server refused because another one is to be asked: then nothing was done. */
export function isWrongServer(error: unknown): boolean {
  return wrongServer.test(message(error))
}

/** An error that stands for several, as for the addresses of one name, may have no message of its own. */
function reason(cause: unknown): string {
  const { message, code } = cause as NodeJS.ErrnoException
  return message || code || String(cause)
}

/** Milliseconds for each of several hosts. */
function connectPatience({ hosts, master }: RedisAddress): number {
  return master === undefined ? Math.max(1_000, patience / hosts.length) : patience
}

/** What Redis itself replied, if it did. */
function message(error: unknown): string {
  return reply(error)?.message ?? ''
}

function reply(error: unknown): Error | undefined {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error ? cause : undefined
}

function options(address: RedisAddress, host: Host | undefined): Omit<RedisOptions, 'replyMapping'> {
  const { username, password, db, tls, hosts, master, sentinelUsername, sentinelPassword } = address
  return {
    ...host,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls !== undefined && { tls }),
    db,
    ...(host === undefined && {
      sentinels: [...hosts],
      name: master,
      sentinelUsername,
      sentinelPassword,
      sentinelRetryStrategy: () => null,
      sentinelCommandTimeout: sentinelPatience,
      ...(tls !== undefined && { sentinelTLS: tls, enableTLSForSentinelMode: true }),
    }),
    // Asks for the role: what a sentinel takes for the master may have just become a replica.
    enableReadyCheck: host === undefined,
    connectionName: 'seamark',
    disableClientInfo: true,
    lazyConnect: true,
    // A connection that broke is replaced by another one; nothing waits in between, or is sent twice.
    retryStrategy: null,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    connectTimeout: host === undefined ? sentinelPatience : connectPatience(address),
    // Milliseconds for the other end to close as well.
    disconnectTimeout: 100,
  }
}
