import { readFileSync } from 'node:fs'
import { milliseconds, queryParameters, SeamarkError } from '@seamark/core'

/** Where Consul's agent is, and where in Consul the registry. */
export interface Location {
  /** `http://host:8500` */
  readonly origin: string
  /** An ACL token. */
  readonly token?: string
  /** The datacenter asked; default the agent's own. */
  readonly datacenter?: string
  /** What all keys begin with, without a slash at either end. */
  readonly prefix: string
  /** Of the catalog, that carries what is registered here; made from the prefix. */
  readonly node: string
  /** Milliseconds: Consul's own `session_ttl_min`. */
  readonly sessionTtlMin: number
  /** Without it, connections are plain. Empty: the authorities that Node.js trusts. */
  readonly tls?: {
    /** PEM, of the authorities that the agent's certificate comes from. */
    readonly ca?: Buffer
    /** PEM, ours, where the agent asks for one. */
    readonly cert?: Buffer
    readonly key?: Buffer
  }
}

const parameters = ['dc', 'session-ttl-min', 'tls', 'ca', 'cert', 'key'] as const
type Given = Partial<Record<(typeof parameters)[number], string>>

/** Consul's own. */
const defaultPort = 8500
const defaultPrefix = 'seamark'
/** Milliseconds; Consul's default for `session_ttl_min`. */
const defaultSessionTtlMin = 10_000

const shape = /^(consuls?):\/\/(?:([^/?#@]*)@)?([^/?#@]+)(\/[^?#]*)?(?:\?([^#]*))?$/
const host = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?$/i
const prefixRule = /^[a-z0-9_.-]+(\/[a-z0-9_.-]+)*$/i

/**
 * Takes `consul://token@host:8500/prefix?dc=west&tls=true&ca=ca.pem` apart, and reads the files it names. Throws
 * `configuration`; the message never holds the token.
 */
export function location(url: string): Location {
  const [, scheme, user, authority, path = '', query = ''] = shape.exec(url) ?? []
  if (authority === undefined)
    throw wrong(
      'it must look like consul://token@host:8500/prefix, with "@" and "/" in a token as %40 and %2F',
    )
  const [, name, port = String(defaultPort)] = host.exec(authority) ?? []
  if (name === undefined) throw wrong(`"${authority}" is not a host, or a host and a port`)
  if (Number(port) < 1 || Number(port) > 65_535) throw wrong(`"${authority}" has a port that is none`)
  const given = queryParameters(query, parameters, wrong, ['tls'])
  const tls = security(given, scheme === 'consuls')
  const prefix = prefixOf(path)
  return {
    origin: `${tls === undefined ? 'http' : 'https'}://${name}:${Number(port)}`,
    ...(user !== undefined && { token: token(user) }),
    ...(given.dc !== undefined && { datacenter: given.dc }),
    prefix,
    node: prefix.replaceAll('/', '-'),
    sessionTtlMin: sessionTtlMin(given['session-ttl-min']),
    ...(tls !== undefined && { tls }),
  }
}

function token(user: string): string {
  const text = decoded(user, 'the token')
  if (!/^[\x21-\x7e]+$/.test(text)) throw wrong('before the "@" there must be a token, without spaces')
  return text
}

function prefixOf(path: string): string {
  const prefix = decoded(path, 'the prefix').replace(/^\/|\/$/g, '')
  if (prefix === '') return defaultPrefix
  if (!prefixRule.test(prefix) || prefix.split('/').some((part) => /^\.+$/.test(part)))
    throw wrong('its prefix must be made of letters, digits, "-", "_" and ".", with "/" between the parts')
  return prefix
}

function sessionTtlMin(text: string | undefined): number {
  if (text === undefined) return defaultSessionTtlMin
  let ms = 0
  try {
    ms = milliseconds('session-ttl-min', text)
  } catch (cause) {
    throw wrong((cause as Error).message, cause)
  }
  if (ms < 1) throw wrong('session-ttl-min must be more than 0')
  return ms
}

function security({ tls, ca, cert, key }: Given, byScheme: boolean): Location['tls'] {
  if (tls !== undefined && tls !== '' && tls !== 'true' && tls !== 'false')
    throw wrong('tls must be true or false')
  const wanted = byScheme || ca !== undefined || cert !== undefined || key !== undefined
  if (tls === 'false' && wanted) throw wrong('consuls:, ca, cert and key need TLS, which tls=false rules out')
  if ((cert === undefined) !== (key === undefined)) throw wrong('cert and key go together')
  if (!wanted && (tls === undefined || tls === 'false')) return undefined
  return {
    ...(ca !== undefined && { ca: file('ca', ca) }),
    ...(cert !== undefined && { cert: file('cert', cert) }),
    ...(key !== undefined && { key: file('key', key) }),
  }
}

function file(parameter: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw wrong(`the file of ${parameter} cannot be read: ${(cause as Error).message}`, cause)
  }
}

function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw wrong(`${what} is not well-formed: write "%" as %25`, cause)
  }
}

function wrong(problem: string, cause?: unknown): SeamarkError {
  return new SeamarkError('configuration', `The URL of Consul cannot be used: ${problem}.`, { cause })
}
