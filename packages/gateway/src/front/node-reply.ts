import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { Clock } from '@seamark/core'
import type { Fields } from '../proxy/fields.ts'
import { headersOf } from './call.ts'
import type { Replier, Reply } from './reply.ts'

export type Request = IncomingMessage | Http2ServerRequest
export type Response = ServerResponse | Http2ServerResponse

/** Milliseconds that a client may go on sending what nobody reads: as nginx's `lingering_timeout`. */
export const lingering = 5_000

/** Whether it came over HTTP/2, whatever it says of itself. */
export function isCurrent(request: Request): request is Http2ServerRequest {
  return 'stream' in request
}

export interface NodeReplyHost {
  readonly clock: Clock
  /** Milliseconds that a client may leave the end of an answer where it is. */
  readonly stillTimeout: number
  /** Whether the connection is to end with this answer. */
  isLast(): boolean
}

/** Answers through `node:http` or `node:http2`. */
export class NodeReply implements Reply {
  readonly #request: Request
  readonly #response: Response
  readonly #isCurrent: boolean
  readonly #host: NodeReplyHost
  #isExpected: boolean
  #isBodyless = false
  #isOver = false
  status = 0
  replier: Replier | undefined = undefined

  /** `isExpected`: the client waits to be told to send its body. */
  constructor(request: Request, response: Response, isExpected: boolean, host: NodeReplyHost) {
    this.#request = request
    this.#response = response
    this.#isCurrent = isCurrent(request)
    this.#isExpected = isExpected
    this.#host = host
    this.#isBodyless = request.method === 'HEAD'
    response.on('drain', () => this.replier?.drained())
    response.once('close', () => {
      const replier = this.replier
      this.replier = undefined
      if (!this.#isOver) replier?.gone()
    })
    // It is told by `close` as well.
    response.on('error', () => {})
  }

  opened(): void {
    if (this.#isExpected) this.#response.writeContinue()
    this.#isExpected = false
  }

  inform(status: number, fields: Fields): void {
    if (status !== 103) return
    const links: string[] = []
    const hints: Record<string, string | string[]> = {}
    for (let at = 0; at < fields.length; at += 2) {
      const name = fields[at]!.toLowerCase()
      if (name === 'link') links.push(fields[at + 1]!)
      else hints[name] = fields[at + 1]!
    }
    try {
      if (links.length > 0) this.#response.writeEarlyHints({ ...hints, link: links })
    } catch {
      // It takes fewer links than there are. They are hints: the answer does without.
    }
  }

  start(status: number, statusText: string, fields: Fields): void {
    this.status = status
    this.#isBodyless ||= status === 204 || status === 304
    const response = this.#response
    if (this.#isCurrent) {
      // Joined: many a service says `x-content-type-options` twice, and `node:http2` does not.
      ;(response as Http2ServerResponse).writeHead(status, headersOf(fields))
      return
    }
    const all = this.#host.isLast() ? [...fields, 'connection', 'close'] : fields
    const plain = response as ServerResponse
    // Without the status of the client's own making: what stands there is text for people.
    if (statusText === '') plain.writeHead(status, all)
    else plain.writeHead(status, statusText, all)
  }

  flush(): void {
    if (!this.#isCurrent && !this.#response.destroyed) (this.#response as ServerResponse).flushHeaders()
  }

  write(chunk: Buffer): boolean {
    if (this.#isBodyless) return true
    return (this.#response as ServerResponse).write(Buffer.from(chunk))
  }

  end(trailers: Fields): void {
    this.#isOver = true
    this.replier = undefined
    const response = this.#response
    if (trailers.length > 0) {
      const pairs: [string, string][] = []
      for (let at = 0; at < trailers.length; at += 2) pairs.push([trailers[at]!, trailers[at + 1]!])
      response.addTrailers(Object.fromEntries(pairs))
    }
    response.end()
    if (response.writableLength > 0) this.#awaitReader()
    if (!this.#request.complete) this.#refuseRest()
  }

  abort(): void {
    this.#isOver = true
    this.replier = undefined
    if (this.#isCurrent)
      (this.#response as Http2ServerResponse).stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    else this.#response.destroy()
  }

  /**
   * Nobody wants the rest of the request. A client that still sends it may not have read the answer yet, and would lose it were the
   * connection closed at once.
   */
  #refuseRest(): void {
    const request = this.#request
    if (isCurrent(request)) {
      const { stream } = request
      this.#response.once('finish', () => stream.close(constants.NGHTTP2_NO_ERROR))
      return
    }
    const { socket } = request
    const timer = this.#host.clock.after(lingering, () => socket.destroy())
    request.once('close', () => timer.cancel())
    request.resume()
  }

  /** All was said; a client that never reads it is not to hold it for ever. */
  #awaitReader(): void {
    const response = this.#response
    const timer = this.#host.clock.after(this.#host.stillTimeout, () => this.abort())
    response.once('finish', () => timer.cancel())
    response.once('close', () => timer.cancel())
  }

  switch(_: Fields, other: Duplex): void {
    // Upgrades come to sockets.
    other.destroy()
    this.abort()
  }
}
