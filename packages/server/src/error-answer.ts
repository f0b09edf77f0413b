import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { isSeamarkError, SeamarkError } from '@seamark/core'

/** The body of every answer that is not a success. */
export function errorJson({ code, message, field, details }: SeamarkError): string {
  return JSON.stringify({ error: { code, message, field, details } })
}

/** What the framework found wrong, in our words. Its own messages are for those who write handlers. */
const frameworkErrors: Record<string, () => SeamarkError> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () => mediaType(),
  FST_ERR_CTP_BODY_TOO_LARGE: () =>
    new SeamarkError('too_large', 'The body has more bytes than the server accepts.', { field: 'body' }),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () =>
    new SeamarkError('invalid_request', 'The body has not as many bytes as content-length says.', {
      field: 'content-length',
    }),
}

/** The error as clients see it. What nobody foresaw is `internal`, and its message stays inside. */
export function seamarkError(error: unknown): SeamarkError {
  if (isSeamarkError(error)) return error
  const { code, statusCode, message } = error as { code?: string; statusCode?: number; message?: string }
  const known = code === undefined ? undefined : frameworkErrors[code]
  if (known !== undefined) return known()
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new SeamarkError('invalid_request', message ?? 'The request could not be understood.', {
      cause: error,
    })
  return new SeamarkError('internal', 'The server failed at this: its log says why.', { cause: error })
}

export function mediaType(): SeamarkError {
  return new SeamarkError(
    'unsupported_media_type',
    'The body must be JSON in UTF-8, with the header "content-type: application/json".',
    { field: 'content-type' },
  )
}

export function badUrl(): SeamarkError {
  return new SeamarkError('invalid_request', 'The URL has a percent-encoding that is not UTF-8.', {
    field: 'url',
  })
}

/** Headers that go with an error. A busy or closing server says when to come back. */
export function errorHeaders({ status }: SeamarkError): Record<string, string> {
  return {
    'content-type': 'application/json; charset=utf-8',
    ...((status === 429 || status === 503) && { 'retry-after': '1' }),
  }
}

/** Answers before any route was found, and closes the connection. */
export function refuse(response: ServerResponse, error: SeamarkError): void {
  const body = Buffer.from(errorJson(error))
  response.writeHead(error.status, {
    ...errorHeaders(error),
    'content-length': body.length,
    connection: 'close',
  })
  response.end(body)
}

/** What the HTTP parser found wrong. */
const parserErrors: Record<string, () => SeamarkError> = {
  HPE_HEADER_OVERFLOW: () =>
    new SeamarkError('too_large', 'The headers have more bytes than the server accepts.', {
      field: 'headers',
    }),
  HPE_CHUNK_EXTENSIONS_OVERFLOW: () =>
    new SeamarkError('too_large', 'The extensions of a chunk have more bytes than the server accepts.', {
      field: 'body',
    }),
  ERR_HTTP_REQUEST_TIMEOUT: () =>
    new SeamarkError('invalid_request', 'The request took too long to arrive.', { field: 'request' }),
}

/** Answers one whose bytes are not HTTP, and closes the connection. */
export function refuseConnection(error: Error & { code?: string }, socket: Duplex): void {
  // A connection that is gone, or that is in the middle of an answer, can be told nothing.
  if (error.code === 'ECONNRESET' || !socket.writable || inAnswer(socket)) {
    socket.destroy()
    return
  }
  const answer = (
    parserErrors[error.code ?? ''] ??
    (() => new SeamarkError('invalid_request', 'The request is not HTTP.', { field: 'request' }))
  )()
  const body = errorJson(answer)
  const head = [
    `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status]}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

function inAnswer(socket: Duplex & { _httpMessage?: ServerResponse | null }): boolean {
  const answer = socket._httpMessage
  return answer?.headersSent === true && !answer.writableEnded
}
