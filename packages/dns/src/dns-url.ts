import { queryParameters, SeamarkError } from '@seamark/core'
import type { ResolverAddress } from './resolver.ts'

/** What a URL says. */
export interface DnsUrl {
  readonly resolvers: readonly string[]
  readonly name?: string
  readonly srv?: string
  readonly scheme?: string
  readonly port?: number
  readonly minTtl?: string
  readonly maxTtl?: string
  readonly timeout?: string
  readonly transport?: string
}

const parameters = ['srv', 'scheme', 'port', 'minTtl', 'maxTtl', 'timeout', 'transport'] as const

const shape = /^dns:\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/
const defaultPort = 53

/**
 * Takes `dns://10.0.0.2,10.0.0.3:5353/{service}.{namespace}.local?srv=_http._tcp&port=8080` apart; `dns:///local` names no
 * server. Throws `configuration`.
 */
export function dnsUrl(url: string): DnsUrl {
  const [, hosts, path = '', query = ''] = shape.exec(url) ?? []
  if (hosts === undefined)
    throw wrong('it must look like dns://10.0.0.2/local, or dns:///local for the servers of this machine')
  const name = decoded(path).replace(/\/$/, '')
  if (name.includes('/')) throw wrong(`its path "/${path}" has more than one part`)
  const { port, ...rest } = queryParameters(query, parameters, wrong)
  if (port !== undefined && !/^\d{1,5}$/.test(port)) throw wrong('port must be a number')
  return {
    resolvers: hosts === '' ? [] : hosts.split(','),
    ...(name !== '' && { name }),
    ...(port !== undefined && { port: Number(port) }),
    ...rest,
  }
}

/** Reads `10.0.0.2`, `dns.example:5353` or `[::1]:53`. Throws `configuration`. */
export function resolverAddress(text: string): ResolverAddress {
  // Node.js gives the addresses of the system without brackets, unless there is a port.
  const bare =
    /^[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(%\w+)?$/.test(text) && text.indexOf(':') !== text.lastIndexOf(':')
  const [, bracketed, plain, port = defaultPort] = bare
    ? [text, text]
    : (/^(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text) ?? [])
  const host = bracketed ?? plain
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535)
    throw wrong(
      `"${text}" is no DNS server: write a host, or a host and a port, such as 10.0.0.2 or [::1]:5353`,
    )
  return { host, port: Number(port) }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw wrong('its path is not well-formed: write "%" as %25', cause)
  }
}

function wrong(problem: string, cause?: unknown): SeamarkError {
  return new SeamarkError('configuration', `The URL of DNS cannot be used: ${problem}.`, { cause })
}
