import type { Dispatcher } from 'undici'

type Headers = NonNullable<Dispatcher.DispatchOptions['headers']>

/** The headers with the name that was asked for: the instance is to see that, and TLS to verify it. One that is there stays. */
export function withHost(headers: Headers | null | undefined, host: string): Headers {
  if (headers === undefined || headers === null) return { host }
  if (Array.isArray(headers)) {
    for (let at = 0; at < headers.length; at += 2) if (isHost(String(headers[at]))) return headers
    return [...headers, 'host', host]
  }
  if (Symbol.iterator in headers) {
    const flat = [...(headers as Iterable<[string, string]>)].flat()
    return withHost(flat, host)
  }
  for (const name in headers) if (isHost(name)) return headers
  return { ...headers, host }
}

function isHost(name: string): boolean {
  return name.length === 4 && name.toLowerCase() === 'host'
}

const known: ReadonlySet<string> = new Set([
  ...['origin', 'path', 'method', 'body', 'headers', 'query', 'idempotent', 'blocking', 'upgrade'],
  ...['headersTimeout', 'bodyTimeout', 'reset', 'expectContinue', 'typeOfService'],
])

/**
 * The same request to somebody else. Written out, so that all have one shape: what undici reads from objects of many shapes, it
 * reads slowly (measured: a spread costs a fifth of a request).
 */
export function readdressed(
  options: Dispatcher.DispatchOptions,
  origin: string,
  headers: Headers,
): Dispatcher.DispatchOptions {
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
  }
  // What other interceptors gave it.
  for (const name in options)
    if (!known.has(name)) Object.assign(copy, { [name]: options[name as keyof Dispatcher.DispatchOptions] })
  return copy as Dispatcher.DispatchOptions
}
