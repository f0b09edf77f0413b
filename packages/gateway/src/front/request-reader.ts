import type { Fields } from '../proxy/fields.ts'
import { requestPath } from '../routes/request-path.ts'
import type { GatewayBounds } from './bounds.ts'
import type { KeptHead, Said } from './call.ts'
import { type Authority, authority } from './target.ts'

/** A request that means the same to everybody who reads HTTP/1.1. */
export interface PlainRequest {
  readonly said: Said
  readonly block: FieldBlock
  /** Where the next request begins. */
  readonly end: number
}

/** The header fields of a request: read once, as long as a client says the same again. */
export interface FieldBlock extends Authority {
  /** As they came, with the empty line after them. */
  readonly text: string
  readonly fields: Fields
  readonly length: number | undefined
  readonly kept: KeptHead
}

const requestLine = /(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (\/[!-~]*) HTTP\/1\.1\r\n/y
/** RFC 9110, 5.6.2 and 5.5, in ASCII, without whitespace before the colon or at the end, and on one line. */
const lines = /(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*(?:[!-~](?:[\t -~]*[!-~])?)?\r\n)*\r\n/y
const decimal = /^(?:0|[1-9]\d{0,8})$/

/** Fields that change what a message is, or where it ends: with one of these a request is not plain. */
const unusual = new Set([
  'expect',
  'http2-settings',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
/** Fields of one request; more are for a parser, which may count them as more bytes than they have. */
const mostFields = 64
const fieldOverhead = 8

/**
 * Reads the request that begins a chunk of bytes. `undefined` if it is not complete, or in any way not as every client writes it:
 * then it is for a parser to say what it is. What is read here leaves no room for another reading: two parsers that disagree on
 * where a request ends let one be smuggled behind the other.
 */
export function readRequest(
  chunk: Buffer,
  { urlBytes, headerBytes }: Pick<GatewayBounds, 'urlBytes' | 'headerBytes'>,
  last?: FieldBlock,
): PlainRequest | undefined {
  const end = chunk.indexOf('\r\n\r\n', 0, 'latin1')
  // A parser may count fields as more bytes than they have.
  if (end < 0 || end + mostFields * fieldOverhead > headerBytes) return undefined
  const text = chunk.toString('latin1', 0, end + 4)
  requestLine.lastIndex = 0
  const line = requestLine.exec(text)
  if (line === null) return undefined
  const method = line[1]!
  const target = line[2]!
  if (target.length > urlBytes) return undefined
  const path = requestPath(target)
  if (path === undefined) return undefined
  const rest = text.slice(requestLine.lastIndex)
  const block = rest === last?.text ? last : readBlock(rest)
  if (block === undefined) return undefined
  const { fields, length, authority, host, kept } = block
  // A length that few servers look for.
  if (length !== undefined && (method === 'GET' || method === 'HEAD')) return undefined
  const begin = end + 4
  const next = begin + (length ?? 0)
  if (next > chunk.length) return undefined
  const body = length === undefined || length === 0 ? null : chunk.subarray(begin, next)
  const { path: plain, query } = path
  const said = { method, path: plain, query, authority, host, fields, body, length, upgrade: undefined, kept }
  return { said, block, end: next }
}

/** All fields, and the empty line after them. */
function readBlock(text: string): FieldBlock | undefined {
  lines.lastIndex = 0
  if (!lines.test(text) || lines.lastIndex !== text.length) return undefined
  const fields: string[] = []
  let host: string | undefined
  let length: string | undefined
  for (let at = 0; at < text.length - 2; ) {
    if (fields.length === mostFields * 2) return undefined
    const colon = text.indexOf(':', at)
    const stop = text.indexOf('\r\n', colon)
    let from = colon + 1
    while (from < stop && (text.charCodeAt(from) === 32 || text.charCodeAt(from) === 9)) from++
    const name = text.slice(at, colon).toLowerCase()
    const value = text.slice(from, stop)
    at = stop + 2
    if (name === 'host') {
      if (host !== undefined) return undefined
      host = value
    } else if (name === 'content-length') {
      if (length !== undefined || !decimal.test(value)) return undefined
      length = value
    } else if (name === 'connection') {
      if (value.toLowerCase() !== 'keep-alive') return undefined
      continue
    } else if (unusual.has(name)) return undefined
    fields.push(name, value)
  }
  const named = host === undefined ? undefined : authority(host)
  if (named === undefined) return undefined
  return { text, fields, ...named, length: length === undefined ? undefined : Number(length), kept: {} }
}
