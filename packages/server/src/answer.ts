import type { IncomingMessage, ServerResponse } from 'node:http'

/** An answer that is ready to be sent, any number of times. Always a 200, except to one who has it already. */
export interface Answer {
  /** The pattern of the route that it is of: the requests are counted under it. */
  readonly route: string
  readonly body: Buffer
  /** Names and values, alternating, as `writeHead` takes them; with the content-length. */
  readonly head: readonly string[]
  /** For clients that ask again whether it still holds. */
  readonly validator?: Validator | undefined
}

/** What an answer is recognised by. */
export interface Validator {
  readonly etag: string
  /** As the answer's, of the 304 to one who names the etag. */
  readonly head: readonly string[]
}

export interface AnswerOptions {
  readonly route: string
  readonly json: string
  /** Names and values, alternating; those of the content are added. Default none. */
  readonly headers?: readonly string[]
  /** Becomes the ETag, without quotes. Default: there is none. */
  readonly tag?: string
  /** Default `application/json; charset=utf-8`. */
  readonly type?: string
}

/** An answer in JSON. With a tag, clients may keep it, if they ask again whether it still holds. */
export function answer({
  route,
  json,
  headers = [],
  tag,
  type = 'application/json; charset=utf-8',
}: AnswerOptions): Answer {
  const body = Buffer.from(json)
  const etag = tag === undefined ? undefined : `"${tag}"`
  const kept = etag === undefined ? headers : [...headers, 'cache-control', 'no-cache', 'etag', etag]
  return {
    route,
    body,
    head: ['content-type', type, ...kept, 'content-length', String(body.length)],
    validator: etag === undefined ? undefined : { etag, head: kept },
  }
}

/** Sends it, or 304 to one who has it; answers the status. */
export function sendAnswer(request: IncomingMessage, response: ServerResponse, answer: Answer): 200 | 304 {
  const { validator } = answer
  if (validator !== undefined && isKnown(validator, request.headers['if-none-match'])) {
    response.writeHead(304, validator.head as string[])
    response.end()
    return 304
  }
  response.writeHead(200, answer.head as string[])
  response.end(request.method === 'HEAD' ? undefined : answer.body)
  return 200
}

/** Whether an If-None-Match header names the etag: weakly compared, as RFC 9110 (13.1.2) says. */
export function isKnown({ etag }: Validator, header: string | undefined): boolean {
  if (header === undefined) return false
  return (
    header === etag ||
    header === '*' ||
    header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
  )
}
