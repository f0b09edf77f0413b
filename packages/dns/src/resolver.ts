import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { Backoff, type Clock, SeamarkError, sleep } from '@seamark/core'
import { type Alias, type Answer, answer } from './answer.ts'
import { exchange, type Transport } from './exchange.ts'
import { type QueryType, query, type Reply } from './message.ts'

/** A DNS server: an IP address or a host name, and a port. */
export interface ResolverAddress {
  readonly host: string
  readonly port: number
}

export interface ResolverOptions {
  readonly clock: Clock
  /** Milliseconds that a question may take in all. */
  readonly timeout: number
  readonly transport?: Transport | undefined
}

/** Milliseconds to wait for one server's answer; twice as long each round. */
const firstWait = 1_000
/** How often each server is asked. */
const rounds = 3
/** Questions under way at a time, so that a client of many services is no flood. */
const mostQuestions = 64
/** Aliases that are asked for one by one. */
const mostAliases = 8

/** Codes (RFC 1035, RFC 6891) by which older servers say that they do not know EDNS. */
const withoutEdns = new Set([1, 4, 16])
const codes: Readonly<Record<number, string>> = {
  1: 'FORMERR',
  2: 'SERVFAIL',
  4: 'NOTIMP',
  5: 'REFUSED',
  9: 'NOTAUTH',
  16: 'BADVERS',
}

/** Asks the first of several servers that answers, and stays with that. */
export class Resolver {
  readonly #servers: readonly ResolverAddress[]
  readonly #clock: Clock
  readonly #timeout: number
  readonly #transport: Transport
  readonly #waiting: (() => void)[] = []
  #asking = 0
  #current = 0

  constructor(servers: readonly ResolverAddress[], { clock, timeout, transport = 'udp' }: ResolverOptions) {
    this.#servers = servers
    this.#clock = clock
    this.#timeout = timeout
    this.#transport = transport
  }

  /**
   * The records of a name, also when there are none: what the answer says for sure. Throws `engine_unavailable` when it is not
   * known, because no server answers, or they say that they failed; and the signal's reason.
   */
  async resolve(name: string, type: QueryType, signal: AbortSignal): Promise<Answer> {
    let ttl = Number.POSITIVE_INFINITY
    let asked = name
    for (let hops = 0; hops <= mostAliases; hops++) {
      const said = await this.#turn(() => this.#ask(asked, type, signal))
      ttl = Math.min(ttl, said.ttl)
      if (!('alias' in said)) return { ...said, ttl }
      asked = said.alias
    }
    throw new SeamarkError('engine_unavailable', `DNS does not answer for ${name}: its aliases do not end.`)
  }

  async #turn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#asking < mostQuestions) this.#asking++
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#asking--
      else next()
    }
  }

  async #ask(name: string, type: QueryType, signal: AbortSignal): Promise<Answer | Alias> {
    const deadline = this.#clock.now() + this.#timeout
    const backoff = new Backoff({ most: 1_000 })
    const failures = new Map<string, unknown>()
    for (let round = 0; round < rounds; round++) {
      if (round > 0) await sleep(this.#clock, Math.min(backoff.next(), this.#left(deadline)), signal)
      const first = this.#current
      for (let turn = 0; turn < this.#servers.length; turn++) {
        signal.throwIfAborted()
        const index = (first + turn) % this.#servers.length
        const server = this.#servers[index]!
        const wait = Math.min(firstWait * 2 ** round, this.#left(deadline))
        if (wait === 0) break
        try {
          const said = await this.#within(wait, signal, (stop) => this.#tryServer(server, name, type, stop))
          this.#current = index
          return said
        } catch (error) {
          signal.throwIfAborted()
          failures.set(`${server.host}:${server.port}`, error)
        }
      }
    }
    const reasons = [...failures]
      .map(([server, error]) => `${server}: ${(error as Error).message}`)
      .join('; ')
    throw new SeamarkError('engine_unavailable', `DNS does not answer for ${name} ${type} (${reasons}).`, {
      cause: [...failures.values()].at(-1),
    })
  }

  async #tryServer(
    { host, port }: ResolverAddress,
    name: string,
    type: QueryType,
    signal: AbortSignal,
  ): Promise<Answer | Alias> {
    const address = { host: isIP(host) === 0 ? await hostAddress(host, signal) : host, port }
    let reply: Reply = await exchange(address, query(name, type, true), this.#transport, signal)
    if (withoutEdns.has(reply.code))
      reply = await exchange(address, query(name, type, false), this.#transport, signal)
    if (reply.code !== 0 && reply.code !== 3)
      throw new Error(`it says ${codes[reply.code] ?? `code ${reply.code}`}`)
    return answer(reply, name, type)
  }

  async #within<T>(ms: number, signal: AbortSignal, work: (stop: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController()
    const abort = () => controller.abort(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    // An answer that is here already, while this process was late itself, is read before it counts as missing.
    const timer = this.#clock.after(ms, () => setImmediate(() => controller.abort(new Error('no answer'))))
    try {
      return await work(controller.signal)
    } finally {
      timer.cancel()
      signal.removeEventListener('abort', abort)
    }
  }

  #left(deadline: number): number {
    return Math.max(0, deadline - this.#clock.now())
  }
}

/** As the system knows it: it takes no signal, and is left to itself when that aborts. */
async function hostAddress(host: string, signal: AbortSignal): Promise<string> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  const { address } = await Promise.race([lookup(host, { order: 'ipv4first' }), aborted])
  return address
}
