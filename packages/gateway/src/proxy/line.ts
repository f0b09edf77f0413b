import { connect, isIP, type Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { connect as connectSecurely } from 'node:tls'
import type { NativeHandler } from '@seamark/client/traffic'
import type { Clock, Timer } from '@seamark/core'
import { errors } from 'undici'
import { type AnswerBounds, AnswerReader, type AnswerSink } from './answer-reader.ts'
import type { Consignment } from './consignment.ts'
import { type Fields, fieldLines } from './fields.ts'
import { trailerFields } from './trailer-fields.ts'

/** Where a connection goes. */
export interface Place {
  readonly host: string
  readonly port: number
  readonly isSecure: boolean
}

export interface LineHost {
  readonly clock: Clock
  readonly bounds: AnswerBounds
  /** Milliseconds that connecting may take. */
  readonly connectTimeout: number
  /** For TLS: what else its certificate may be verified with. */
  readonly ca: string | Buffer | undefined
  /** It can take another request, for so many ms. */
  idle(line: Line, duration: number): void
  /** It is gone. */
  closed(line: Line): void
}

/** Shared by all connections: what is read into it is used before the next read. */
const arrivals = Buffer.allocUnsafe(65_536)
/** Milliseconds that a connection idles at most when the server does not say how long it keeps it; and what is taken off what it says. */
const usualIdle = 4_000
const caution = 2_000
const longestIdle = 600_000
/** Bytes of a body that are written together with the head. */
const joined = 16_384

/** One connection to an instance: carries one request at a time. */
export class Line implements AnswerSink {
  readonly #host: LineHost
  readonly #socket: Socket
  readonly #reader: AnswerReader
  #isConnected = false
  /** Whether neither side has ended it. */
  #isOpen = true
  readonly #timer: Timer
  #consignment: Consignment | undefined
  #handler: NativeHandler | undefined
  /** The body that is being sent. */
  #sending: Readable | undefined
  #isHeld = false
  #isUpgraded = false
  /** Whether the answer has begun. */
  #isAnswered = false
  /** Whether something moved since somebody last looked, and since when nothing did. */
  moved = false
  stillSince = 0
  /** Until when it may be used, while it is idle. */
  idleUntil = 0

  constructor(host: LineHost, { host: address, port, isSecure }: Place, consignment: Consignment) {
    this.#host = host
    this.#reader = new AnswerReader(host.bounds, this)
    const target = { host: address, port, noDelay: true, keepAlive: true }
    if (isSecure || consignment.isUpgrade) {
      const secure = { ...target, ca: host.ca, servername: serverName(address) }
      this.#socket = isSecure ? connectSecurely(secure) : connect({ ...target, allowHalfOpen: true })
      this.#socket.on('data', this.#arrived)
    } else
      this.#socket = connect({
        ...target,
        onread: {
          buffer: arrivals,
          callback: (length) => {
            this.#arrived(length === arrivals.length ? arrivals : arrivals.subarray(0, length))
            return !this.#isHeld
          },
        },
      })
    this.#timer = host.clock.after(host.connectTimeout, () =>
      this.#fail(new errors.ConnectTimeoutError('It could not be connected to in time.')),
    )
    this.#socket.once(isSecure ? 'secureConnect' : 'connect', () => {
      this.#timer.cancel()
      this.#isConnected = true
      this.#send()
    })
    this.#socket.on('end', this.#ended)
    this.#socket.on('error', this.#failed)
    this.#socket.once('close', this.#closed)
  }

  /** Whether a request may be given to it. */
  get isUsable(): boolean {
    return this.#consignment === undefined && this.#isOpen
  }

  /** Whether a body is on its way, to the instance or from it. */
  get isMidway(): boolean {
    return this.#sending !== undefined || (this.#isAnswered && this.#handler !== undefined)
  }

  /** Gives up on one on which nothing moved for too long, whoever is to blame. */
  giveUp(): void {
    if (this.#sending !== undefined && !this.#socket.writableNeedDrain) this.#consignment?.stalled()
    else this.close(new Error('Nothing moved on the connection to it for too long.'))
  }

  /** Carries a request, once it is connected; tells the handler of it. */
  carry(consignment: Consignment, handler: NativeHandler): void {
    this.#consignment = consignment
    this.#handler = handler
    this.#isAnswered = false
    this.moved = true
    if (this.#isConnected) this.#send()
  }

  close(error?: Error): void {
    if (this.#handler === undefined) this.#socket.destroy()
    else this.#fail(error ?? new Error('The gateway closed the connection.'))
  }

  #send(): void {
    const consignment = this.#consignment!
    const handler = this.#handler!
    handler.onConnect(this.#abort)
    // It may not be wanted any more.
    if (this.#handler === undefined) return
    const { head, body, method, isUpgrade } = consignment
    this.#reader.expect(method, isUpgrade)
    if (body === null) this.#socket.write(head, 'latin1')
    else if (!Buffer.isBuffer(body)) this.#stream(consignment, body)
    else if (body.length <= joined) {
      this.#socket.write(Buffer.concat([Buffer.from(head, 'latin1'), body]))
      consignment.carried(body.length)
    } else {
      this.#socket.write(head, 'latin1')
      this.#socket.write(body)
      consignment.carried(body.length)
    }
  }

  #stream(consignment: Consignment, body: Readable): void {
    const { head, isChunked } = consignment
    const socket = this.#socket
    const isMine = () => this.#sending === body
    this.#sending = body
    socket.write(head, 'latin1')
    const drained = () => void (isMine() && body.resume())
    const stop = () => {
      socket.off('drain', drained)
      if (isMine()) this.#sending = undefined
    }
    body.on('data', (chunk: Buffer) => {
      if (!isMine() || chunk.length === 0) return
      this.moved = true
      if (isChunked) {
        socket.cork()
        socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1')
        socket.write(chunk)
        socket.write('\r\n', 'latin1')
        socket.uncork()
      } else socket.write(chunk)
      if (socket.writableNeedDrain) body.pause()
      this.#handler?.onBodySent?.(chunk)
      consignment.carried(chunk.length)
    })
    body.once('end', () => {
      if (isMine() && isChunked) socket.write(`0\r\n${fieldLines(trailersOf(body))}\r\n`, 'latin1')
      stop()
      this.#settle()
    })
    const broken = () => {
      const wasMine = isMine()
      stop()
      if (wasMine) consignment.gone()
    }
    body.once('error', broken)
    body.once('close', broken)
    socket.on('drain', drained)
    consignment.opened()
  }

  readonly #abort = (reason?: Error): void => this.#fail(reason ?? new errors.RequestAbortedError())

  readonly #arrived = (chunk: Buffer): void => {
    this.moved = true
    try {
      this.#reader.read(chunk)
      if (this.#isAnswered && this.#handler !== undefined) this.#consignment?.caughtUp()
    } catch (error) {
      this.#fail(error as Error)
    }
  }

  readonly #ended = (): void => {
    this.#isOpen = false
    if (this.#isUpgraded) return
    try {
      this.#reader.close()
    } catch (error) {
      this.#fail(error as Error)
      return
    }
    this.#fail(closed('It closed the connection.'))
  }

  readonly #failed = (error: Error): void => {
    if (!this.#isUpgraded) this.#fail(error)
  }

  readonly #closed = (): void => {
    if (this.#isUpgraded) return
    this.#fail(closed('The connection to it broke.'))
    this.#host.closed(this)
  }

  // What it answers.

  head(status: number, statusText: string, fields: Fields): void {
    if (status === 100) return
    if (status >= 200) {
      this.#isAnswered = true
      this.#handler?.onResponseStarted?.()
    }
    // Whoever reads them on the way takes texts as well as bytes.
    const raw = fields as unknown as Buffer[]
    if (this.#handler?.onHeaders(status, raw, this.#resume, statusText) === false) this.#hold()
  }

  data(chunk: Buffer): void {
    if (this.#handler?.onData(chunk) === false) this.#hold()
  }

  end(trailers: Fields): void {
    const handler = this.#handler
    const isDone = this.#sending === undefined
    this.#handler = undefined
    if (isDone) this.#settle()
    // Nobody wants the rest of the request, and the connection has no other way to say so.
    else this.#socket.destroy()
    handler?.onComplete(trailers as unknown as Buffer[])
  }

  upgraded(fields: Fields, rest: Buffer): void {
    const handler = this.#handler
    this.#handler = undefined
    this.#isUpgraded = true
    this.#socket.removeListener('data', this.#arrived)
    this.#socket.removeListener('end', this.#ended)
    this.#socket.removeListener('error', this.#failed)
    this.#socket.pause()
    if (rest.length > 0) this.#socket.unshift(rest)
    this.#socket.once('close', () => this.#host.closed(this))
    if (handler?.onUpgrade === undefined) this.#socket.destroy()
    else handler.onUpgrade(101, fields as unknown as Buffer[], this.#socket)
  }

  /** Once both the request and its answer are through. */
  #settle(): void {
    if (this.#handler !== undefined || this.#consignment === undefined || this.#isUpgraded) return
    this.#consignment = undefined
    this.#resume()
    const { isReusable, keptFor } = this.#reader
    const duration =
      keptFor === undefined || Number.isNaN(keptFor)
        ? usualIdle
        : Math.min(keptFor * 1_000 - caution, longestIdle)
    if (isReusable && this.isUsable && duration > 0) this.#host.idle(this, duration)
    else this.#socket.destroy()
  }

  #hold(): void {
    if (this.#handler === undefined) return
    this.#isHeld = true
    this.#socket.pause()
  }

  readonly #resume = (): void => {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#socket.resume()
  }

  #fail(error: Error): void {
    this.#isOpen = false
    this.#timer.cancel()
    const handler = this.#handler
    this.#handler = undefined
    this.#sending = undefined
    this.#socket.destroy()
    handler?.onError(error)
  }
}

/** The name that the certificate is to be for. An address is no name (RFC 6066, 3). */
function serverName(address: string): string {
  return isIP(address) === 0 ? address : ''
}

/** With the code that the system has for it: what has none is taken for a mistake of ours, as long as nothing was sent. */
function closed(message: string): Error {
  return Object.assign(new Error(message), { code: 'ECONNRESET' })
}

function trailersOf(body: Readable & { rawTrailers?: string[] }): Fields {
  return trailerFields(body.rawTrailers ?? [])
}
