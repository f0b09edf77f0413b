/** A request that means the same to everybody who reads HTTP/1.1. */
export interface PlainRequest {
  readonly method: string
  /** Path and query, as they came. */
  readonly url: string
  readonly host: string
  readonly ifNoneMatch: string | undefined
  /** Where the next request begins. */
  readonly end: number
}

const requestLine = /(GET|HEAD|PUT|POST|DELETE) (\/[!-~]*) HTTP\/1\.1\r\n/y
/** RFC 9110, 5.6.2 and 5.5, in ASCII, without whitespace before the colon or at the end, and on one line. */
const field = /([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[!-~](?:[\t -~]*[!-~])?)?)\r\n/y
const decimal = /^(0|[1-9]\d{0,8})$/

/** Fields that change what a message is, or where it ends, or whom it concerns. */
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
export const mostFields = 64

const single = new Set(['connection', 'content-length', 'host', 'if-none-match'])

/**
 * Reads the request that begins at `start`: bytes as latin1 text. `undefined` if it is not complete, or in any way not
 * as every client writes it: then it is for a parser to say what it is. What is read here leaves no room for another
 * reading: two parsers that disagree on where a request ends let one be smuggled behind the other.
 */
export function readRequest(text: string, start = 0): PlainRequest | undefined {
  requestLine.lastIndex = start
  const line = requestLine.exec(text)
  if (line === null) return undefined
  const [, method = '', url = ''] = line
  const fields = new Map<string, string>()
  let at = requestLine.lastIndex
  for (let count = 0; !text.startsWith('\r\n', at); count++) {
    if (count === mostFields) return undefined
    field.lastIndex = at
    const found = field.exec(text)
    if (found === null) return undefined
    const name = (found[1] as string).toLowerCase()
    if (unusual.has(name) || (single.has(name) && fields.has(name))) return undefined
    fields.set(name, found[2] as string)
    at = field.lastIndex
  }
  const host = fields.get('host')
  if (host === undefined || (fields.get('connection') ?? 'keep-alive').toLowerCase() !== 'keep-alive')
    return undefined
  const length = fields.get('content-length')
  if (length !== undefined && (method === 'GET' || method === 'HEAD' || !decimal.test(length)))
    return undefined
  const end = at + 2 + Number(length ?? 0)
  if (end > text.length) return undefined
  return { method, url, host, ifNoneMatch: fields.get('if-none-match'), end }
}
