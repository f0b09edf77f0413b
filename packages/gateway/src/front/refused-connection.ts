import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { isSeamarkError, SeamarkError } from '@seamark/core'
import { fieldLines } from '../proxy/fields.ts'
import { refusal } from '../proxy/refusal.ts'

/** What the parser found wrong. */
const parserErrors: Readonly<Record<string, () => SeamarkError>> = {
  HPE_HEADER_OVERFLOW: () =>
    new SeamarkError('headers_too_large', 'The headers have more bytes than the gateway accepts.', {
      field: 'headers',
    }),
  ERR_HTTP_REQUEST_TIMEOUT: () =>
    new SeamarkError('request_timeout', 'The request took too long to arrive.', { field: 'request' }),
}

/** Answers one whose bytes are not HTTP, and closes the connection; what it was told, if it was. */
export function refuseConnection(error: Error & { code?: string }, socket: Duplex): SeamarkError | undefined {
  // A connection that is gone, or that is in the middle of an answer, can be told nothing.
  if (error.code === 'ECONNRESET' || !socket.writable || isAnswering(socket)) {
    socket.destroy()
    return undefined
  }
  const known = isSeamarkError(error) ? () => error : parserErrors[error.code ?? '']
  const told =
    known?.() ??
    new SeamarkError('invalid_request', 'The request is not HTTP as RFC 9112 wants it.', {
      field: 'request',
    })
  const { status, fields, body } = refusal(told)
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${fieldLines(fields)}connection: close\r\n\r\n${body}`,
  )
  return told
}

function isAnswering(socket: Duplex & { _httpMessage?: ServerResponse | null }): boolean {
  const answer = socket._httpMessage
  return answer?.headersSent === true && !answer.writableEnded
}
