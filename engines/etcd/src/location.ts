import { readFileSync } from 'node:fs'
import { queryParameters, SeamarkError } from '@seamark/core'

/** Where etcd is, and where in it the registry. */
export interface Location {
  /** `host:port` of each member that clients may ask. */
  readonly members: readonly string[]
  /** What all keys begin with, without the slash after it. */
  readonly prefix: string
  /** Seamark's own JSON, or etcd's naming format for gRPC clients. */
  readonly format: 'seamark' | 'grpc'
  readonly user?: { readonly name: string; readonly password: string }
  /** Without it, connections are plain. Empty: the authorities that Node.js trusts. */
  readonly tls?: {
    /** PEM, of the authorities that members' certificates come from. */
    readonly ca?: Buffer
    /** PEM, ours, where etcd asks for one. */
    readonly cert?: Buffer
    readonly key?: Buffer
  }
}

const parameters = ['format', 'tls', 'ca', 'cert', 'key'] as const
type Parameter = (typeof parameters)[number]

/** etcd's own (IANA). */
const defaultPort = 2379
const defaultPrefix = '/seamark'

const shape = /^etcd:\/\/(?:([^/?#@]*)@)?([^/?#@]+)(\/[^?#@]*)?(?:\?([^#]*))?$/
const host = /^(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/i

/**
 * Takes `etcd://user:password@host:2379,host,…/prefix?format=grpc&ca=ca.pem&cert=client.pem&key=client-key.pem` apart,
 * and reads the files it names. Throws `configuration`; the message never holds the password.
 */
export function location(url: string): Location {
  const [, user, hosts, path = '', query = ''] = shape.exec(url) ?? []
  if (hosts === undefined)
    throw wrong(
      'it must look like etcd://host:2379,host:2379/prefix, with "@" and "/" in a password, and "@" in a prefix, as %40 and %2F',
    )
  const given = queryParameters(query, parameters, wrong)
  const format = given.format ?? 'seamark'
  if (format !== 'seamark' && format !== 'grpc') throw wrong('format must be seamark or grpc')
  const tls = security(given)
  return {
    members: hosts.split(',').map(member),
    prefix: prefix(path, format),
    format,
    ...(user !== undefined && { user: credentials(user) }),
    ...(tls !== undefined && { tls }),
  }
}

/** What is no host may be a password: it is not repeated. */
function member(text: string, index: number): string {
  if (!host.test(text)) throw wrong(`its host number ${index + 1} is not a host, or a host and a port`)
  const port = /:(\d+)$/.exec(text.replace(/^\[.*\]/, ''))?.[1]
  if (port === undefined) return `${text}:${defaultPort}`
  if (Number(port) < 1 || Number(port) > 65_535)
    throw wrong(`its host number ${index + 1} has a port that is none`)
  return text
}

/** gRPC's resolvers take a name without the slash that a path begins with. */
function prefix(path: string, format: Location['format']): string {
  const text = decoded(path, 'the prefix').replace(/\/+$/, '')
  if (format === 'grpc') return text.replace(/^\//, '')
  return text === '' ? defaultPrefix : text
}

function credentials(text: string): { name: string; password: string } {
  const at = text.indexOf(':')
  if (at < 1) throw wrong('before the "@" there must be user:password')
  return {
    name: decoded(text.slice(0, at), 'the user'),
    password: decoded(text.slice(at + 1), 'the password'),
  }
}

function security({ tls, ca, cert, key }: Partial<Record<Parameter, string>>): Location['tls'] {
  if (tls !== undefined && tls !== 'true' && tls !== 'false') throw wrong('tls must be true or false')
  const files = ca ?? cert ?? key
  if (tls === 'false' && files !== undefined)
    throw wrong('ca, cert and key need TLS, which tls=false rules out')
  if ((cert === undefined) !== (key === undefined)) throw wrong('cert and key go together')
  if (tls !== 'true' && files === undefined) return undefined
  return {
    ...(ca !== undefined && { ca: file('ca', ca) }),
    ...(cert !== undefined && { cert: file('cert', cert) }),
    ...(key !== undefined && { key: file('key', key) }),
  }
}

function file(parameter: Parameter, path: string): Buffer {
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
  return new SeamarkError('configuration', `The URL of etcd cannot be used: ${problem}.`, { cause })
}
