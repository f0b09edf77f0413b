import { SeamarkError } from '@seamark/core'
import type { Fields } from '../proxy/fields.ts'
import { requestPath } from '../routes/request-path.ts'
import type { GatewayBounds } from './bounds.ts'
import type { Said } from './call.ts'
import { isCurrent, type Request } from './node-reply.ts'
import { authority } from './target.ts'

type RequestBounds = Pick<GatewayBounds, 'urlBytes' | 'headerFields'>

/**
 * What a request says that `node:http` or `node:http2` parsed. Throws `invalid_request`, `target_too_long` and `headers_too_large`:
 * then nothing more is to be read from its connection.
 */
export function said(request: Request, bounds: RequestBounds): Said {
  const { method = '', url = '', httpVersion: version } = request
  if (!isCurrent(request) && version !== '1.1' && version !== '1.0')
    throw invalid(`HTTP/${version} is not spoken like this.`, 'request')
  const fields = request.rawHeaders.slice()
  if (fields.length > bounds.headerFields * 2)
    throw new SeamarkError('headers_too_large', `There are more than ${bounds.headerFields} fields.`, {
      field: 'headers',
    })
  const kept: Fields = []
  const hosts: string[] = []
  const lengths: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!.toLowerCase()
    const value = fields[at + 1]!
    if (name.startsWith(':')) continue
    if (name === 'host') hosts.push(value)
    if (name === 'content-length') lengths.push(value)
    kept.push(name, value)
  }
  if (hosts.length > 1) throw invalid('There is more than one Host.', 'host')
  if (lengths.length > 1) throw invalid('There is more than one Content-Length.', 'content-length')
  const [length] = lengths
  const isChunked = kept.some((name, at) => at % 2 === 0 && name === 'transfer-encoding')
  if (isChunked && (length !== undefined || version !== '1.1'))
    throw invalid('It cannot be told where the body ends.', 'transfer-encoding')
  if (length !== undefined && !/^\d{1,15}$/.test(length))
    throw invalid('The Content-Length is no number.', 'content-length')
  const [target, named] = targetOf(request, url, hosts[0])
  if (target.length > bounds.urlBytes)
    throw new SeamarkError('target_too_long', `The URL has more than ${bounds.urlBytes} characters.`, {
      field: 'url',
    })
  const path = requestPath(target)
  if (path === undefined)
    throw invalid('The URL is none, or one that may be understood in several ways.', 'url')
  if (named === undefined && version !== '1.0') throw invalid('There is no Host.', 'host')
  const found = named === undefined ? { authority: '', host: '' } : authority(named)
  if (found === undefined) throw invalid('The Host is none.', 'host')
  const hasBody = isCurrent(request) ? !request.stream.endAfterHeaders : isChunked || Number(length ?? 0) > 0
  return {
    method,
    path: path.path,
    query: path.query,
    authority: found.authority,
    host: found.host,
    fields: kept,
    body: hasBody ? request : null,
    length: length === undefined ? undefined : Number(length),
    upgrade: undefined,
  }
}

/** The path asked for, and the authority: RFC 9112, 3.2.2, and RFC 9113, 8.3.1. */
function targetOf(request: Request, url: string, host: string | undefined): [string, string | undefined] {
  if (isCurrent(request)) {
    const { authority } = request
    if (authority !== '' && authority !== undefined && host !== undefined && !isSame(host, authority))
      throw invalid('The Host is another one than the authority.', 'host')
    return [url, authority === '' || authority === undefined ? host : authority]
  }
  const absolute = /^https?:\/\/([^/?#]*)([/?].*)?$/i.exec(url)
  if (absolute === null) return [url, host]
  const [, named = '', rest = ''] = absolute
  if (host !== undefined && !isSame(host, named))
    throw invalid('The Host is another one than that of the URL.', 'host')
  return [rest.startsWith('/') ? rest : `/${rest}`, named]
}

function isSame(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase()
}

function invalid(message: string, field: string): SeamarkError {
  return new SeamarkError('invalid_request', message, { field })
}
