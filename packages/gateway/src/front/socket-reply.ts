import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Fields, fieldLines } from '../proxy/fields.ts'
import type { Replier, Reply } from './reply.ts'

/** Bytes of a head and the body's beginning that are written together: then they are one packet, and one system call. */
const joined = 16_384

/** Whom it tells of its end. */
export interface ReplyHost {
  /** The answer is through, whole; whether the connection may go on. */
  replied(mayGoOn: boolean): void
  /** Something else has the connection now. */
  switched(other: Duplex, head: string): void
  /** The time, as answers carry it. */
  date(): string
  /** Whether connections end with the answers that begin now. */
  readonly isDraining: boolean
}

/** Writes one answer of HTTP/1.1 after the other to a connection. */
export class SocketReply implements Reply {
  readonly #socket: Duplex
  readonly #host: ReplyHost
  #method = ''
  #isLast = false
  /** The head, until there is something to write it with. */
  #head = ''
  #isChunked = false
  #isBodyless = false
  #isExpected = false
  status = 0
  replier: Replier | undefined = undefined

  constructor(socket: Duplex, host: ReplyHost) {
    this.#socket = socket
    this.#host = host
  }

  /** Whether somebody is answering. */
  get isUnderway(): boolean {
    return this.replier !== undefined
  }

  /** A request came; `isLast`: the connection ends with its answer. */
  expect(method: string, isLast: boolean, expectsContinue = false): void {
    this.#method = method
    this.#isLast = isLast
    this.#isExpected = expectsContinue
    this.status = 0
  }

  opened(): void {
    if (this.#isExpected) this.#socket.write('HTTP/1.1 100 Continue\r\n\r\n')
    this.#isExpected = false
  }

  inform(status: number, fields: Fields): void {
    this.#socket.write(
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${fieldLines(fields)}\r\n`,
      'latin1',
    )
  }

  start(status: number, statusText: string, fields: Fields): void {
    this.status = status
    this.#isBodyless = this.#method === 'HEAD' || status === 204 || status === 304
    let hasLength = false
    let hasDate = false
    let head = `HTTP/1.1 ${status} ${statusText === '' ? (STATUS_CODES[status] ?? '') : statusText}\r\n`
    for (let at = 0; at < fields.length; at += 2) {
      const name = fields[at]!
      if (name.length === 14) hasLength ||= name.toLowerCase() === 'content-length'
      else if (name.length === 4) hasDate ||= name.toLowerCase() === 'date'
      head += `${name}: ${fields[at + 1]}\r\n`
    }
    if (!hasDate) head += `date: ${this.#host.date()}\r\n`
    this.#isChunked = !hasLength && !this.#isBodyless
    if (this.#isChunked) head += 'transfer-encoding: chunked\r\n'
    this.#isLast ||= this.#host.isDraining
    head += this.#isLast ? 'connection: close\r\n\r\n' : 'connection: keep-alive\r\n\r\n'
    this.#head = head
  }

  write(chunk: Buffer): boolean {
    if (this.#isBodyless || chunk.length === 0) return true
    if (!this.#isChunked) return this.#send(chunk)
    const size = chunk.length.toString(16)
    const before = this.#head === '' ? `${size}\r\n` : `${this.#head}${size}\r\n`
    this.#head = before
    this.#socket.cork()
    this.#send(chunk)
    const isFast = this.#socket.write('\r\n', 'latin1')
    this.#socket.uncork()
    return isFast
  }

  end(trailers: Fields): void {
    if (this.#isChunked) this.#head += `0\r\n${fieldLines(trailers)}\r\n`
    this.flush()
    this.#over(true)
  }

  flush(): void {
    if (this.#head !== '' && !this.#socket.destroyed) this.#socket.write(this.#head, 'latin1')
    this.#head = ''
  }

  abort(): void {
    this.#head = ''
    this.replier = undefined
    this.#socket.destroy()
  }

  switch(fields: Fields, other: Duplex): void {
    this.status = 101
    this.replier = undefined
    this.#host.switched(other, `HTTP/1.1 101 Switching Protocols\r\n${fieldLines(fields)}\r\n`)
  }

  /** The client reads again. */
  drained(): void {
    this.replier?.drained()
  }

  /** The connection is gone. */
  gone(): void {
    const replier = this.replier
    this.replier = undefined
    this.#head = ''
    replier?.gone()
  }

  #over(mayGoOn: boolean): void {
    this.replier = undefined
    this.#host.replied(mayGoOn && !this.#isLast)
  }

  #send(chunk: Buffer): boolean {
    const head = this.#head
    this.#head = ''
    if (head === '') return this.#socket.write(Buffer.from(chunk))
    if (head.length + chunk.length <= joined) {
      const whole = Buffer.allocUnsafe(head.length + chunk.length)
      whole.write(head, 0, 'latin1')
      chunk.copy(whole, head.length)
      return this.#socket.write(whole)
    }
    this.#socket.cork()
    this.#socket.write(head, 'latin1')
    const isFast = this.#socket.write(Buffer.from(chunk))
    this.#socket.uncork()
    return isFast
  }
}
