import { AnswerCache } from './answer-cache.ts'
import type { Finding } from './finding.ts'
import { bareAnswer, headerBytes } from './message-writer.ts'
import { PreparedAnswer } from './prepared-answer.ts'
import { QueryReader } from './query-reader.ts'
import { type Code, codes, types } from './record.ts'
import type { Asker } from './recursors.ts'
import { labels, readName, wireName } from './wire-name.ts'
import type { Zones } from './zones.ts'

export type Transport = 'udp' | 'tcp'

/** `undefined`: nobody is answered. */
export type Response = Buffer | undefined | Promise<Buffer | undefined>

export interface ResponderOptions {
  /** `undefined`: not yet, because nothing is known. */
  readonly zones: () => Zones | undefined
  /** Whether a name is in a domain of ours, also while nothing is known. */
  readonly isOurs: (labels: readonly string[]) => boolean
  /** Who is asked about other names; `undefined`: nobody. */
  readonly recursors: Asker | undefined
  /** Bytes of a datagram, at most. */
  readonly datagramBytes: number
  /** Answers in a datagram for one who does not say what he can take. */
  readonly udpAnswerLimit: number
  /** Bytes of answers kept ready. */
  readonly answerBytes: number
}

/** Bytes of a message over TCP, whose length has 16 bits. */
const mostBytes = 65_535
/** Sizes of datagrams are told apart in steps, so that there are few answers to one question. */
const sizeStep = 64

/** Turns messages into answers. */
export class Responder {
  readonly #options: ResponderOptions
  readonly #reader = new QueryReader()
  readonly #answers: AnswerCache

  constructor(options: ResponderOptions) {
    this.#options = options
    this.#answers = new AnswerCache(options.answerBytes)
  }

  /** `message` is not changed, and is no longer needed once the answer is there. */
  respond(message: Buffer, transport: Transport): Response {
    const reader = this.#reader
    const verdict = reader.read(message)
    if (verdict === 'drop') return undefined
    if (verdict !== 'question') return this.#bare(message, verdict)
    if (reader.foreign) return this.#bare(message, codes.refused)
    const bytes = this.#room(transport)
    reader.key[0] = transport === 'tcp' ? 1 : bytes === this.#options.datagramBytes ? 2 : 3 + bytes / sizeStep
    if (!reader.edns) reader.key[0] |= 0x80
    const key = reader.key.toString('latin1', 0, reader.keyEnd)
    const kept = this.#answers.get(key)
    return kept === undefined
      ? this.#find(message, transport, bytes, key)
      : this.#filled(kept.next(), message)
  }

  /** What says that something went wrong here. */
  failed(message: Buffer): Buffer | undefined {
    return this.#reader.read(message) === 'question' ? this.#bare(message, codes.failed) : undefined
  }

  /** What says that the answer did not fit, and has nothing in it: no longer than the question. */
  truncated(message: Buffer): Buffer | undefined {
    const verdict = this.#reader.read(message)
    return verdict === 'question' ? this.#bare(message, codes.ok, true) : undefined
  }

  /** Bytes that the answer may have. */
  #room(transport: Transport): number {
    if (transport === 'tcp') return mostBytes
    const { datagramBytes } = this.#options
    const { datagram } = this.#reader
    return datagram >= datagramBytes ? datagramBytes : datagram - (datagram % sizeStep)
  }

  #find(message: Buffer, transport: Transport, most: number, key: string): Response {
    const reader = this.#reader
    const { zones, isOurs, recursors } = this.#options
    const question = message.subarray(headerBytes, reader.end)
    const name = labels(readName(question.subarray(0, -4)))
    const known = zones()
    if (known === undefined && isOurs(name)) return this.#bare(message, codes.failed)
    const finding = known?.find(name, reader.type)
    const asking = reader.recursive ? recursors : undefined
    if (finding === undefined || (finding.elsewhere === true && asking !== undefined))
      return asking === undefined
        ? this.#bare(message, codes.refused)
        : this.#ask(asking, message, transport, most)
    if (finding.alias !== undefined && asking !== undefined)
      return this.#follow(asking, finding, finding.alias, message, transport)
    const answer = this.#prepared(finding, message, transport)
    if (finding.holds !== undefined) this.#answers.put(key, answer, finding.holds)
    return this.#filled(answer.next(), message)
  }

  #prepared(finding: Finding, message: Buffer, transport: Transport): PreparedAnswer {
    const { edns, end } = this.#reader
    const { recursors, udpAnswerLimit } = this.#options
    const head = {
      code: finding.code,
      authoritative: true,
      recursion: recursors !== undefined,
      edns: this.#edns(),
      question: Buffer.from(message.subarray(headerBytes, end)),
      most: this.#room(transport),
    }
    return new PreparedAnswer(
      finding,
      head,
      transport === 'tcp' || edns ? Number.POSITIVE_INFINITY : udpAnswerLimit,
    )
  }

  /** The prepared answer as one to this message: its id, its letters in upper and lower case, its flags. */
  #filled(prepared: Buffer, message: Buffer): Buffer {
    const { end, edns, dnssec } = this.#reader
    const answer = Buffer.allocUnsafe(prepared.length)
    answer.set(prepared)
    answer[0] = message[0]!
    answer[1] = message[1]!
    answer[2]! |= message[2]! & 1
    message.copy(answer, headerBytes, headerBytes, end)
    if (edns && dnssec) answer[answer.length - 4]! |= 0x80
    return answer
  }

  #bare(message: Buffer, code: Code, truncated = false): Buffer {
    const { end } = this.#reader
    return bareAnswer(message, code, {
      end,
      edns: this.#edns(),
      recursion: this.#options.recursors !== undefined,
      truncated,
    })
  }

  #edns(): number | undefined {
    return this.#reader.edns ? this.#options.datagramBytes : undefined
  }

  /** Another message may be read until they answer. */
  async #ask(recursors: Asker, message: Buffer, transport: Transport, most: number): Promise<Buffer> {
    const { end } = this.#reader
    const failed = this.#bare(message, codes.failed)
    const answer = await recursors.ask(message, end, transport)
    if (answer === undefined) return failed
    message.copy(answer, 0, 0, 2)
    if (answer.length <= most) return answer
    // Cut to what tells the asker to come again over TCP.
    const cut = Buffer.from(answer.subarray(0, end))
    cut[2]! |= 0x02
    cut.fill(0, 6, headerBytes)
    return cut
  }

  /** Adds to an alias where it leads. */
  async #follow(
    recursors: Asker,
    finding: Finding,
    alias: string,
    message: Buffer,
    transport: Transport,
  ): Promise<Buffer> {
    const host = wireName(alias)
    const type = this.#reader.type === types.A ? 'A' : 'AAAA'
    const records = host === undefined ? [] : await recursors.resolve(host, type)
    // Others were read meanwhile.
    this.#reader.read(message)
    const groups = finding.groups.map(({ answers, extra }) => ({ answers: [...answers, ...records], extra }))
    return this.#filled(this.#prepared({ ...finding, groups }, message, transport).next(), message)
  }
}
