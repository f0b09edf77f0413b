import { randomInt } from 'node:crypto'
import { type Answer, type DecodedPacket, decode, encode, RECURSION_DESIRED } from 'dns-packet'

export type QueryType = 'A' | 'AAAA' | 'SRV'

/** One question, as it is sent. */
export interface Query {
  readonly name: string
  readonly type: QueryType
  readonly bytes: Buffer
  /** How many bytes the question has, behind the header. */
  readonly questionBytes: number
}

/** What an answer says, as far as we ask for it. */
export interface Reply {
  /** RFC 1035, 4.1.1, with the upper bits of EDNS (RFC 6891, 6.1.3). */
  readonly code: number
  /** There is more than fits into a datagram. Nothing else of it was read. */
  readonly truncated: boolean
  readonly recursive: boolean
  readonly answers: readonly Answer[]
  readonly authorities: readonly Answer[]
  readonly additionals: readonly Answer[]
}

/** Bytes of an answer that pass every network in one piece (DNS Flag Day 2020). */
const datagramBytes = 1_232
const headerBytes = 12
/** A name, a type, a class, a TTL and the length of nothing. */
const leastRecordBytes = 11
const isResponse = 1 << 15
const opcode = 0xf << 11
const isTruncated = 1 << 9
const isRecursive = 1 << 7

/** Asks for the records of a name, with a random id. `edns`: whether to say that more than 512 bytes are welcome. */
export function query(name: string, type: QueryType, edns: boolean): Query {
  const question = { name, type, class: 'IN' as const }
  const header = { type: 'query' as const, id: randomInt(0x1_0000), flags: RECURSION_DESIRED }
  const questionBytes = encode({ questions: [question] }).length - headerBytes
  const bytes = encode({
    ...header,
    questions: [question],
    additionals: edns
      ? [
          {
            type: 'OPT',
            name: '.',
            udpPayloadSize: datagramBytes,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: 0,
            flag_do: false,
            options: [],
          },
        ]
      : [],
  })
  return { name, type, bytes, questionBytes }
}

/**
 * Reads an answer to a query. `undefined`: it is the answer to something else, or a forgery, and the one that is waited for
 * may still come. Throws when it is the answer, and cannot be read.
 */
export function reply(query: Query, bytes: Buffer): Reply | undefined {
  if (!isAnswer(query, bytes)) return undefined
  const flags = bytes.readUInt16BE(2)
  const head = { code: flags & 0xf, truncated: (flags & isTruncated) !== 0 }
  const nothing = { recursive: (flags & isRecursive) !== 0, answers: [], authorities: [], additionals: [] }
  // One that is truncated may end in the middle of a record.
  if (head.truncated) return { ...head, ...nothing }
  const { answers = [], authorities = [], additionals = [] } = decoded(bytes)
  const options = additionals.find((record) => record.type === 'OPT')
  return {
    ...head,
    ...nothing,
    code: head.code | ((options?.extendedRcode ?? 0) << 4),
    answers: answers.filter(isInternet),
    authorities: authorities.filter(isInternet),
    additionals: additionals.filter(isInternet),
  }
}

/** By the id, and by the question, whose letters a server may have changed to upper or lower case. */
function isAnswer(query: Query, bytes: Buffer): boolean {
  const end = headerBytes + query.questionBytes
  if (bytes.length < headerBytes || bytes.readUInt16BE(0) !== query.bytes.readUInt16BE(0)) return false
  const flags = bytes.readUInt16BE(2)
  if ((flags & isResponse) === 0 || (flags & opcode) !== 0) return false
  // A server that could not read the query may answer it with the header alone.
  const questions = bytes.readUInt16BE(4)
  if (questions === 0) return (flags & 0xf) === 1
  return (
    questions === 1 &&
    lowered(bytes.subarray(headerBytes, end)).equals(lowered(query.bytes.subarray(headerBytes, end)))
  )
}

/** The lengths of labels are less than "A", so that they stay as they are; and so do our types and our class. */
function lowered(bytes: Buffer): Buffer {
  return Buffer.from(bytes.map((byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte)))
}

function decoded(bytes: Buffer): DecodedPacket {
  // dns-packet makes room for as many records as the header says there are.
  const records = bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10)
  if (headerBytes + records * leastRecordBytes > bytes.length)
    throw new Error(`there is no room for ${records} records`)
  const message = decode(bytes)
  // It reads some records past the end, where there is nothing.
  if (decode.bytes > bytes.length) throw new Error('it ends in the middle of a record')
  return message
}

function isInternet(record: Answer): boolean {
  return record.type !== 'OPT' && record.class === 'IN'
}
