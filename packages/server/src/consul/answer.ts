import { isSeamarkError, type SeamarkError } from '@seamark/core'
import type { Ask } from './ask.ts'

/** What an endpoint answers. */
export interface ConsulAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | string
}

/** What Consul says no with: a status and a plain text. */
export class ConsulError extends Error {
  override readonly name = 'ConsulError'
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, text: string, headers: Readonly<Record<string, string>> = {}) {
    super(text)
    this.status = status
    this.headers = headers
  }
}

export const jsonType = 'application/json'
const plainType = 'text/plain; charset=utf-8'

/** JSON as Go's encoder writes it: it escapes what HTML and JavaScript could take for more than text. */
export function goJson(value: unknown, pretty = false): string {
  const text = pretty ? `${JSON.stringify(value, undefined, 4)}\n` : JSON.stringify(value)
  return text.replace(/[<>&\u2028\u2029]/g, (character) => escapes[character]!)
}

const escapes: Readonly<Record<string, string>> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
}

/** `?pretty` indents, as Consul does. */
export function jsonAnswer(
  ask: Ask,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
  status = 200,
): ConsulAnswer {
  return {
    status,
    headers: { 'Content-Type': jsonType, ...headers },
    body: goJson(value, ask.has('pretty')),
  }
}

export function textAnswer(
  text: string,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): ConsulAnswer {
  return { status, headers: { ...(text !== '' && { 'Content-Type': plainType }), ...headers }, body: text }
}

/** Done, and there is nothing to say. */
export function doneAnswer(headers: Readonly<Record<string, string>> = {}): ConsulAnswer {
  return { status: 200, headers, body: '' }
}

/** How an error is told in Consul's manner. What nobody foresaw keeps its message inside. */
export function errorAnswer(error: unknown): ConsulAnswer {
  if (error instanceof ConsulError) return textAnswer(error.message, error.status, error.headers)
  if (isSeamarkError(error)) return textAnswer(error.message, statusOf(error), busy(error.status))
  const { statusCode, message } = error as { statusCode?: number; message?: string }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return textAnswer(message ?? 'Bad request', statusCode)
  return textAnswer('The server failed at this: its log says why.', 500)
}

function statusOf(error: SeamarkError): number {
  return error.status
}

function busy(status: number): Readonly<Record<string, string>> {
  return status === 429 || status === 503 ? { 'Retry-After': '1' } : {}
}
