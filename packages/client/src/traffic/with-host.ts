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
