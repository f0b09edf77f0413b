import type { IncomingMessage, ServerResponse } from 'node:http'

/** An answer that is ready to be sent, any number of times. */
export interface Answer {
  readonly etag: string
  readonly body: Buffer
  /** Names and values, alternating, as `writeHead` takes them. */
  readonly head: readonly string[]
  /** The same for 304. */
  readonly notModifiedHead: readonly string[]
}

/** A JSON answer that clients may keep, if they ask again whether it still holds. */
export function answer(json: string, tag: string): Answer {
  const body = Buffer.from(json)
  const etag = `"${tag}"`
  const head = ['content-type', 'application/json; charset=utf-8', 'cache-control', 'no-cache', 'etag', etag]
  return {
    etag,
    body,
    head: [...head, 'content-length', String(body.length)],
    notModifiedHead: head.slice(2),
  }
}

/** Sends it, or 304 to one who has it; answers the status. */
export function sendAnswer(request: IncomingMessage, response: ServerResponse, answer: Answer): 200 | 304 {
  const known = request.headers['if-none-match']
  if (known !== undefined && names(known, answer.etag)) {
    response.writeHead(304, answer.notModifiedHead as string[])
    response.end()
    return 304
  }
  response.writeHead(200, answer.head as string[])
  response.end(request.method === 'HEAD' ? undefined : answer.body)
  return 200
}

/** Whether an If-None-Match header names the tag: weakly compared, as RFC 9110 (13.1.2) says. */
function names(header: string, etag: string): boolean {
  return (
    header === etag ||
    header === '*' ||
    header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
  )
}
