import { randomInt } from 'node:crypto'
import type { Clock } from '@seamark/core'
import { decode } from 'dns-packet'
import { exchangeBytes } from '../exchange.ts'
import type { ResolverAddress } from '../resolver.ts'
import { hostRecord } from './address-records.ts'
import { headerBytes } from './message-writer.ts'
import { type ResourceRecord, types } from './record.ts'
import type { Transport } from './responder.ts'
import { lower, type WireName, wireName } from './wire-name.ts'

/** Who knows other names than ours. */
export interface Asker {
  /** Passes a query on, and the answer back, with another id. `undefined`: there is none. */
  ask(query: Buffer, end: number, transport: Transport): Promise<Buffer | undefined>
  /** The addresses of a host, and the aliases that lead there. None when nobody knows. */
  resolve(host: WireName, type: 'A' | 'AAAA'): Promise<readonly ResourceRecord[]>
}

export interface RecursorOptions {
  readonly clock: Clock
  /** Milliseconds that each of them may take. */
  readonly timeout: number
  /** Queries under way at a time; more are not asked. */
  readonly most: number
}

/** Other DNS servers, asked in their order until one answers. */
export class Recursors implements Asker, Disposable {
  readonly #addresses: readonly ResolverAddress[]
  readonly #options: RecursorOptions
  readonly #exchanges = new Set<AbortController>()
  #closed = false
  #asking = 0

  constructor(addresses: readonly ResolverAddress[], options: RecursorOptions) {
    this.#addresses = addresses
    this.#options = options
  }

  async ask(query: Buffer, end: number, transport: Transport): Promise<Buffer | undefined> {
    if (this.#asking >= this.#options.most) return undefined
    this.#asking++
    try {
      const message = Buffer.from(query)
      message.writeUInt16BE(randomInt(0x1_0000))
      for (const address of this.#addresses) {
        const answer = await this.#exchange(address, message, end, transport)
        if (answer !== undefined || this.#closed) return answer
      }
      return undefined
    } finally {
      this.#asking--
    }
  }

  async resolve(host: WireName, type: 'A' | 'AAAA'): Promise<readonly ResourceRecord[]> {
    const query = Buffer.alloc(headerBytes + host.bytes.length + 4)
    // Recursion is wanted.
    query[2] = 1
    query[5] = 1
    host.bytes.copy(query, headerBytes)
    query.writeUInt16BE(types[type], query.length - 4)
    query[query.length - 1] = 1
    const answer = await this.ask(query, query.length, 'udp')
    try {
      return answer === undefined ? [] : records(answer)
    } catch {
      return []
    }
  }

  [Symbol.dispose](): void {
    this.#closed = true
    for (const stop of this.#exchanges) stop.abort()
  }

  async #exchange(
    address: ResolverAddress,
    query: Buffer,
    end: number,
    transport: Transport,
  ): Promise<Buffer | undefined> {
    const { clock, timeout } = this.#options
    if (this.#closed) return undefined
    const stop = new AbortController()
    const timer = clock.after(timeout, () => stop.abort())
    this.#exchanges.add(stop)
    const read = (bytes: Buffer) => (isAnswer(query, bytes, end) ? Buffer.from(bytes) : undefined)
    try {
      return await exchangeBytes(address, query, read, transport, stop.signal)
    } catch {
      return undefined
    } finally {
      timer.cancel()
      this.#exchanges.delete(stop)
    }
  }
}

/** By the id and the question, in upper or lower case. */
function isAnswer(query: Buffer, bytes: Buffer, end: number): boolean {
  if (bytes.length < end || bytes.readUInt16BE(0) !== query.readUInt16BE(0)) return false
  if ((bytes[2]! & 0x80) === 0 || bytes.readUInt16BE(4) !== 1) return false
  for (let at = headerBytes; at < end; at++) if (lower(bytes[at]!) !== lower(query[at]!)) return false
  return true
}

/** Those that lead to addresses; a few, as nobody needs more. */
function records(answer: Buffer): readonly ResourceRecord[] {
  // dns-packet makes room for as many records as the header says there are, and none has less than 11 bytes.
  const count = answer.readUInt16BE(6) + answer.readUInt16BE(8) + answer.readUInt16BE(10)
  if (headerBytes + count * 11 > answer.length) return []
  return (decode(answer).answers ?? []).slice(0, 16).flatMap((record): readonly ResourceRecord[] => {
    if (record.type === 'OPT') return []
    const owner = wireName(record.name)
    if (owner === undefined || record.class !== 'IN') return []
    if (record.type === 'CNAME') {
      const target = wireName(record.data)
      return target === undefined ? [] : [{ owner, type: 'CNAME', ttl: record.ttl ?? 0, target }]
    }
    return record.type === 'A' || record.type === 'AAAA'
      ? hostRecord(owner, record.data, record.ttl ?? 0)
      : []
  })
}
