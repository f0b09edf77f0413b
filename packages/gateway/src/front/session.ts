import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { Deadlines } from '@seamark/client/traffic'
import { afterArrivals } from './after-arrivals.ts'
import type { LeavingHost } from './front.ts'

/** Streams of one connection that its client resets, when they are more than half of all. */
const mostResets = 500
/** Those that the client opened before it heard of the end are still answered: RFC 9113, 6.8. */
const lastOfAll = 2 ** 31 - 1

/** A connection of HTTP/2. */
export class Session {
  readonly #host: LeavingHost
  readonly #session: ServerHttp2Session
  #place: ReturnType<Deadlines['add']> | undefined
  #open = 0
  #requests = 0
  #resets = 0
  #isTold = false

  constructor(host: LeavingHost, session: ServerHttp2Session) {
    this.#host = host
    this.#session = session
    session.on('stream', (stream) => this.#opened(stream))
    session.setTimeout(host.bounds.keepAliveTimeout, () => {
      if (this.#open === 0) session.close()
    })
    session.on('error', () => {})
    session.once('close', () => {
      if (this.#place !== undefined) host.leaving.remove(this.#place)
    })
    if (host.isDraining) this.drain()
  }

  get open(): number {
    return this.#open
  }

  /** Ends it after a while, and with its next request asks its client for no more. */
  drain(): void {
    this.#place = this.#host.leave(this)
  }

  expired(): void {
    this.#place = undefined
    afterArrivals(() => {
      if (!this.#session.destroyed) this.#session.close()
    })
  }

  #opened(stream: ServerHttp2Stream): void {
    const session = this.#session
    this.#open++
    if (++this.#requests >= this.#host.bounds.requestsPerConnection) session.close()
    else if (this.#host.isDraining && !this.#isTold) {
      this.#isTold = true
      session.goaway(constants.NGHTTP2_NO_ERROR, lastOfAll)
    }
    stream.once('close', () => {
      this.#open--
      // It was taken back: CVE-2023-44487, and as many as Envoy lets pass.
      if (
        stream.rstCode === constants.NGHTTP2_CANCEL &&
        ++this.#resets >= mostResets &&
        this.#resets * 2 > this.#requests
      )
        session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM)
    })
  }
}
