import { isIPv6 } from 'node:net'
import { SeamarkError } from '@seamark/core'

export interface ServerAddress {
  readonly host: string
  readonly port: number
}

/** Where ZooKeeper is, and where in it the services are. */
export interface Location {
  readonly servers: readonly ServerAddress[]
  /** Curator's base path, without a slash at its end. */
  readonly base: string
  /** For ZooKeeper's scheme "digest". */
  readonly credentials?: { readonly user: string; readonly password: string }
}

const defaultPort = 2181
/** Spring Cloud ZooKeeper's `spring.cloud.zookeeper.discovery.root`. */
const defaultBase = '/services'

const shape = /^zookeeper:\/\/(?:([^/?#@]*)@)?([^/?#@]+)(\/[^?#]*)?(?:\?([^#]*))?$/
const hostPort = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?$/i
// What ZooKeeper refuses in a path, but for the slash.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are among it
const forbidden = /[\u0000-\u001f\u007f-\u009f\ud800-\uf8ff\ufff0-\uffff]/

/**
 * Takes `zookeeper://user:password@host1:2181,host2/services` apart. Throws `configuration`; the message never holds the
 * password.
 */
export function location(url: string): Location {
  const [, user, hosts, path = '', query = ''] = shape.exec(url) ?? []
  if (hosts === undefined)
    throw wrong(
      'it must look like zookeeper://host1:2181,host2:2181/services, with "@" and "/" in a password as %40 and %2F',
    )
  const [parameter] = new URLSearchParams(query).keys()
  if (parameter !== undefined) throw wrong(`"${parameter}" is no parameter of it; there are none`)
  const servers = hosts.split(',').map(address)
  const base = basePath(path)
  return user === undefined ? { servers, base } : { servers, base, credentials: credentials(user) }
}

function address(text: string): ServerAddress {
  const [, name, digits] = hostPort.exec(text) ?? []
  if (name === undefined) throw wrong(`"${text}" is not a host, or a host and a port`)
  const host = name.replace(/^\[(.*)\]$/, '$1')
  if (host !== name && !isIPv6(host)) throw wrong(`"${name}" is not an IPv6 address`)
  const port = digits === undefined ? defaultPort : Number(digits)
  if (port < 1 || port > 65_535) throw wrong(`"${text}" has a port that is none`)
  return { host, port }
}

function basePath(path: string): string {
  const base = decoded(path, 'the base path').replace(/\/+$/, '')
  if (base === '') return defaultBase
  const parts = base.slice(1).split('/')
  if (parts.some((part) => part === '' || part === '.' || part === '..') || forbidden.test(base))
    throw wrong('its path is not one that ZooKeeper allows')
  if (parts[0] === 'zookeeper') throw wrong('ZooKeeper keeps /zookeeper for itself')
  return base
}

function credentials(text: string): { user: string; password: string } {
  const at = text.indexOf(':')
  if (at < 1) throw wrong('before the "@" there must be user:password')
  const user = decoded(text.slice(0, at), 'the user')
  if (user.includes(':')) throw wrong('the user must not hold ":"')
  return { user, password: decoded(text.slice(at + 1), 'the password') }
}

function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw wrong(`${what} is not well-formed: write "%" as %25`)
  }
}

function wrong(problem: string): SeamarkError {
  return new SeamarkError('configuration', `The URL of ZooKeeper cannot be used: ${problem}.`)
}
