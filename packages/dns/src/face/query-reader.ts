import { codes, types } from './record.ts'
import { lower } from './wire-name.ts'

const headerBytes = 12
const isResponse = 0x80
const isInternet = 1
const longestLabel = 63
const longestName = 255
/** Records behind a question that anybody needs: one for EDNS, one for a signature. */
const mostAdditional = 4
/** Of a record with an empty name and no data. */
const optionBytes = 11
/** Bytes that every receiver takes without saying so (RFC 1035, 2.3.4). */
export const leastDatagram = 512

/** What a message turned out to be: to be dropped; or refused with a code; or a question. */
export type Verdict = 'drop' | 'question' | (typeof codes)['malformed' | 'notDone' | 'badVersion']

/**
 * Reads what strangers send, one message at a time: what it says of the last stays until the next. It makes no objects, as
 * most questions were asked before, and only have to be recognized.
 */
export class QueryReader {
  /** Behind the question, or behind the header where there is none that can be read. */
  end = headerBytes
  type = 0
  /** Not the Internet's: nobody here knows anything of it. */
  foreign = false
  /** Whether it says what it can take (RFC 6891). */
  edns = false
  /** Bytes of a datagram that the sender takes, at least 512. */
  datagram = leastDatagram
  /** Whether recursion is wanted. */
  recursive = false
  /** Whether it asks for DNSSEC's records, which an answer has to repeat (RFC 3225). */
  dnssec = false
  /** The name in lower case and the type, led by one byte that is the caller's. */
  readonly key = Buffer.alloc(1 + longestName + 2)
  keyEnd = 1

  read(message: Buffer): Verdict {
    if (message.length < headerBytes || (message[2]! & isResponse) !== 0) return 'drop'
    this.end = headerBytes
    this.edns = false
    this.dnssec = false
    this.datagram = leastDatagram
    this.recursive = (message[2]! & 1) !== 0
    if ((message[2]! & 0x78) !== 0) return codes.notDone
    if (message.readUInt16BE(4) !== 1 || message.readUInt16BE(6) !== 0) return codes.malformed
    if (!this.#question(message)) return codes.malformed
    // Transfers of zones may carry records, and no zone is transferred.
    if (this.type === types.AXFR || this.type === types.IXFR) return codes.notDone
    return message.readUInt16BE(8) === 0 ? this.#additional(message) : codes.malformed
  }

  #question(message: Buffer): boolean {
    const { key } = this
    let at = headerBytes
    let to = 1
    for (;;) {
      const length = message[at]
      // Nothing stands before the name that it could refer to.
      if (length === undefined || length > longestLabel) return false
      const next = at + length + 1
      // Its end, a type and a class follow.
      if (next - headerBytes > longestName || next + 4 > message.length) return false
      while (at < next) key[to++] = lower(message[at++]!)
      if (length === 0) break
    }
    key[to++] = message[at]!
    key[to++] = message[at + 1]!
    this.keyEnd = to
    this.type = message.readUInt16BE(at)
    this.foreign = message.readUInt16BE(at + 2) !== isInternet
    this.end = at + 4
    return true
  }

  #additional(message: Buffer): Verdict {
    const count = message.readUInt16BE(10)
    if (count > mostAdditional) return codes.malformed
    let at = this.end
    let version = 0
    for (let record = 0; record < count; record++) {
      const root = message[at] === 0
      at = afterName(message, at)
      if (at + optionBytes - 1 > message.length) return codes.malformed
      if (message.readUInt16BE(at) === types.OPT) {
        if (!root || this.edns) return codes.malformed
        this.edns = true
        this.datagram = Math.max(leastDatagram, message.readUInt16BE(at + 2))
        version = message[at + 5]!
        this.dnssec = (message[at + 6]! & 0x80) !== 0
      }
      at += optionBytes - 1 + message.readUInt16BE(at + 8)
    }
    if (at !== message.length) return codes.malformed
    return version > 0 ? codes.badVersion : 'question'
  }
}

/** Where a name ends; past the message when it does not. */
function afterName(message: Buffer, start: number): number {
  for (let at = start; ; ) {
    const length = message[at]
    if (length === undefined) return message.length
    if (length >= 0xc0) return at + 2
    if (length > longestLabel) return message.length
    at += length + 1
    if (length === 0) return at
  }
}
