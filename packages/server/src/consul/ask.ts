import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Asker } from '../asker.ts'

/** The parameters of a question: all that may be kept of it once it is answered. */
export class Question {
  readonly query: URLSearchParams

  constructor(query: URLSearchParams) {
    this.query = query
  }

  /** Whether the parameter is there, with or without a value. */
  has(name: string): boolean {
    return this.query.has(name)
  }

  /** The parameter's first value; empty if it is not there. */
  get(name: string): string {
    return this.query.get(name) ?? ''
  }
}

/** What was asked of an endpoint. */
export class Ask extends Question {
  readonly method: string
  /** What follows the endpoint's path, decoded: `web` of `/v1/health/service/web`. Empty at an endpoint without parameters. */
  readonly rest: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly #request: IncomingMessage
  readonly #response: ServerResponse

  /** `path` is the endpoint's. */
  constructor(path: string, body: Buffer, request: IncomingMessage, response: ServerResponse) {
    const [, asked = '', query] = /^([^?]*)(?:\?(.*))?$/s.exec(request.url!) ?? []
    super(new URLSearchParams(query))
    this.method = request.method!
    this.rest = decodeURIComponent(asked).slice(path.length)
    this.headers = request.headers
    this.body = body
    this.#request = request
    this.#response = response
  }

  /** Target as it was sent: path and query. */
  get url(): string {
    return this.#request.url!
  }

  /** Where it comes from. A dual-stack socket shows IPv4 as `::ffff:10.0.0.1`. */
  get address(): string {
    return (this.#request.socket.remoteAddress ?? '').replace(/^::ffff:(?=[\d.]+$)/, '')
  }

  /** Tells when the one who asked goes away. */
  get closed(): Asker {
    return this.#response
  }
}
