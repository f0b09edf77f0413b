import type { Dispatcher } from 'undici'

type Options = Dispatcher.DispatchOptions
type Headers = Options['headers']

/** The headers with the name that was asked for: the instance is to see that, and TLS to verify it. One that is there stays. */
export function withHost(headers: Headers, host: string): Headers {
  if (headers === undefined || headers === null) return ['host', host]
  if (Array.isArray(headers)) {
    for (let at = 0; at < headers.length; at += 2) if (isHost(String(headers[at]))) return headers
    return [...headers, 'host', host]
  }
  if (Symbol.iterator in headers) return withHost([...(headers as Iterable<[string, string]>)].flat(), host)
  const flat: unknown[] = ['host', host]
  for (const name of Object.keys(headers)) {
    if (isHost(name)) return headers
    flat.push(name, (headers as Record<string, unknown>)[name])
  }
  return flat as string[]
}

function isHost(name: string): boolean {
  return name.length === 4 && name.toLowerCase() === 'host'
}

/** What undici reads of a request, but does not say so. */
interface Untold {
  readonly servername?: unknown
  readonly maxRedirections?: unknown
}

const known: ReadonlySet<string> = new Set([
  ...['origin', 'path', 'method', 'body', 'headers', 'query', 'idempotent', 'blocking', 'upgrade'],
  ...['headersTimeout', 'bodyTimeout', 'reset', 'expectContinue', 'typeOfService'],
  ...['servername', 'throwOnError', 'maxRedirections'],
])

/**
 * The request as a connection is given it. Written out, so that all have one shape: what undici reads from objects of many
 * shapes, it reads slowly (measured: a spread costs a fifth of a request).
 */
export function readdressed(
  options: Options,
  origin: string,
  headers: Headers,
  ownServername?: string,
): Options {
  const { servername, maxRedirections } = options as Untold
  const copy = {
    origin,
    path: options.path,
    method: options.method,
    body: options.body,
    headers,
    query: options.query,
    idempotent: options.idempotent,
    blocking: options.blocking,
    upgrade: options.upgrade,
    headersTimeout: options.headersTimeout,
    bodyTimeout: options.bodyTimeout,
    reset: options.reset,
    expectContinue: options.expectContinue,
    typeOfService: options.typeOfService,
    throwOnError: options.throwOnError,
    servername: servername ?? ownServername,
    maxRedirections,
  }
  return copy as Options
}

/** The same with all that other interceptors gave it. */
export function forwarded(options: Options, origin: string, headers: Headers): Options {
  const copy = readdressed(options, origin, headers)
  for (const name in options)
    if (!known.has(name)) Object.assign(copy, { [name]: options[name as keyof Options] })
  return copy
}
