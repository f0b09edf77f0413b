import { type Code, type ResourceRecord, types } from './record.ts'
import { readName, type WireName } from './wire-name.ts'

export const headerBytes = 12
const pointerBytes = 2
/** Past this, a pointer cannot reach (RFC 1035, 4.1.4). */
const farthest = 0x3fff
const isResponse = 0x8000
const isAuthoritative = 0x0400
const isTruncated = 0x0200
const offersRecursion = 0x0080
const internet = 1

/** Bytes of the record by which an answer says that it knows EDNS. */
export const optionBytes = 11

/** Records that belong together: all of them are in an answer, or none. */
export interface Group {
  readonly answers: readonly ResourceRecord[]
  /** What spares the asker the next question: it stands at the end. */
  readonly extra: readonly ResourceRecord[]
}

export interface MessageHead {
  readonly code: Code
  readonly authoritative: boolean
  readonly recursion: boolean
  /** What we take in a datagram, if the answer has to say so; `undefined`: the asker knows no EDNS. */
  readonly edns: number | undefined
  /** The name as it was asked for, its type and its class. */
  readonly question: Buffer
  /** Bytes that the whole may have. */
  readonly most: number
}

/** Writes answers, one at a time, each name once where pointers to it are allowed. */
export class MessageWriter {
  /** What stands at the end is written beside, and knows where the names are by then. */
  readonly #main = new Section()
  readonly #extra = new Section()
  readonly #names = new Map<string, number>()
  readonly #extras = new Set<string>()
  #head: MessageHead | undefined
  #counts: [answers: number, authorities: number, extras: number] = [0, 0, 0]
  #cut = false
  #full = false

  begin(head: MessageHead): void {
    this.#head = head
    this.#main.length = headerBytes
    this.#extra.length = 0
    this.#names.clear()
    this.#extras.clear()
    this.#counts = [0, 0, 0]
    this.#cut = false
    this.#full = false
    const { starts, keys } = readName(head.question.subarray(0, -4))
    for (const [index, key] of keys.entries()) this.#names.set(key, headerBytes + starts[index]!)
    this.#main.bytes(head.question)
  }

  /** Answers whether there was room; else the answer says that there is more, and takes no further ones. */
  group({ answers, extra }: Group): boolean {
    if (this.#full) return false
    const [main, end] = [this.#main.length, this.#extra.length]
    for (const record of answers) this.#record(this.#main, record)
    let extras = 0
    for (const record of extra)
      if (!this.#isThere(record)) {
        this.#record(this.#extra, record)
        extras++
      }
    if (this.#length > this.#head!.most) {
      this.#main.length = main
      this.#extra.length = end
      this.truncate()
      return false
    }
    this.#counts[0] += answers.length
    this.#counts[2] += extras
    return true
  }

  authority(record: ResourceRecord): void {
    if (this.#full) return
    const before = this.#main.length
    this.#record(this.#main, record)
    if (this.#length <= this.#head!.most) this.#counts[1]++
    else {
      this.#main.length = before
      this.truncate()
    }
  }

  /** Says that there is more than this answer holds. */
  truncate(): void {
    this.#cut = true
    this.#full = true
  }

  /** The whole message, with the id 0. */
  end(): Buffer {
    const { code, authoritative, recursion, edns } = this.#head!
    const flags =
      isResponse |
      (authoritative ? isAuthoritative : 0) |
      (this.#cut ? isTruncated : 0) |
      (recursion ? offersRecursion : 0) |
      (code & 0xf)
    const message = Buffer.alloc(this.#length)
    message.writeUInt16BE(flags, 2)
    message.writeUInt16BE(1, 4)
    const [answers, authorities, extras] = this.#counts
    message.writeUInt16BE(answers, 6)
    message.writeUInt16BE(authorities, 8)
    message.writeUInt16BE(extras + (edns === undefined ? 0 : 1), 10)
    this.#main.copy(message, headerBytes, headerBytes)
    this.#extra.copy(message, this.#main.length)
    if (edns !== undefined) option(message, edns, code)
    return message
  }

  get #length(): number {
    return this.#main.length + this.#extra.length + (this.#head!.edns === undefined ? 0 : optionBytes)
  }

  /** Several targets are the same host. */
  #isThere(record: ResourceRecord): boolean {
    if ((record.type !== 'A' && record.type !== 'AAAA') || record.owner === undefined) return false
    const key = `${record.address.toString('latin1')}${record.owner.keys[0] ?? ''}`
    if (this.#extras.has(key)) return true
    this.#extras.add(key)
    return false
  }

  #record(section: Section, record: ResourceRecord): void {
    if (record.owner === undefined) section.number16(0xc000 | headerBytes)
    else this.#name(section, record.owner, true)
    section.number16(types[record.type])
    section.number16(internet)
    section.number32(record.ttl)
    const at = section.length
    section.number16(0)
    this.#data(section, record)
    section.length16(at)
  }

  #data(section: Section, record: ResourceRecord): void {
    switch (record.type) {
      case 'A':
      case 'AAAA':
        section.bytes(record.address)
        break
      case 'CNAME':
      case 'NS':
      case 'PTR':
        this.#name(section, record.target, true)
        break
      case 'SRV':
        // All targets are of one priority, and Consul's is 1.
        section.number16(1)
        section.number16(record.weight)
        section.number16(record.port)
        // RFC 2782 forbids a pointer here.
        this.#name(section, record.target, false)
        break
      case 'TXT':
      case 'HINFO':
        for (const text of record.texts) {
          section.number8(text.length)
          section.bytes(text)
        }
        break
      case 'SOA':
        this.#name(section, record.server, true)
        this.#name(section, record.mailbox, true)
        for (const number of record.numbers) section.number32(number)
        break
    }
  }

  #name(section: Section, { bytes, starts, keys }: WireName, pointers: boolean): void {
    const names = this.#names
    for (let index = 0; index < keys.length; index++) {
      const known = names.get(keys[index]!)
      if (known !== undefined && pointers) {
        section.number16(0xc000 | known)
        return
      }
      // Where the end will stand is not known yet.
      if (known === undefined && section === this.#main && section.length <= farthest)
        names.set(keys[index]!, section.length)
      const start = starts[index]!
      section.part(bytes, start, start + bytes[start]! + 1)
    }
    section.number8(0)
  }
}

/** Bytes that grow. */
class Section {
  #bytes = Buffer.allocUnsafe(2_048)
  length = 0

  number8(value: number): void {
    this.#room(1)
    this.#bytes[this.length++] = value
  }

  number16(value: number): void {
    this.#room(2)
    this.length = this.#bytes.writeUInt16BE(value, this.length)
  }

  number32(value: number): void {
    this.#room(4)
    this.length = this.#bytes.writeUInt32BE(value, this.length)
  }

  bytes(value: Buffer): void {
    this.#room(value.length)
    value.copy(this.#bytes, this.length)
    this.length += value.length
  }

  part(value: Buffer, from: number, to: number): void {
    this.#room(to - from)
    for (let at = from; at < to; at++) this.#bytes[this.length++] = value[at]!
  }

  /** Writes how many bytes there are behind the number at that place. */
  length16(at: number): void {
    this.#bytes.writeUInt16BE(this.length - at - pointerBytes, at)
  }

  copy(target: Buffer, at: number, from = 0): void {
    this.#bytes.copy(target, at, from, this.length)
  }

  #room(bytes: number): void {
    if (this.length + bytes <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe((this.length + bytes) * 2)
    this.#bytes.copy(grown, 0, 0, this.length)
    this.#bytes = grown
  }
}

/** At the end of the message, where `dnssec` finds it again. */
function option(message: Buffer, size: number, code: Code): void {
  const at = message.length - optionBytes
  message.writeUInt16BE(types.OPT, at + 1)
  message.writeUInt16BE(size, at + 3)
  message[at + 5] = code >> 4
}

/** An answer that says nothing but a code: with the question, if that could be read. */
export function bareAnswer(
  query: Buffer,
  code: Code,
  { end, edns, recursion, truncated = false }: BareOptions,
): Buffer {
  const message = Buffer.alloc(end + (edns === undefined ? 0 : optionBytes))
  query.copy(message, 0, 0, 2)
  // The kind of question, and whether recursion was wanted, are repeated.
  message[2] = 0x80 | (query[2]! & 0x79) | (truncated ? 0x02 : 0)
  message[3] = (recursion ? 0x80 : 0) | (code & 0xf)
  if (end > headerBytes) {
    message[5] = 1
    query.copy(message, headerBytes, headerBytes, end)
  }
  if (edns !== undefined) {
    message[11] = 1
    option(message, edns, code)
  }
  return message
}

export interface BareOptions {
  /** Where the question ends in the query. */
  readonly end: number
  readonly edns: number | undefined
  readonly recursion: boolean
  readonly truncated?: boolean
}
