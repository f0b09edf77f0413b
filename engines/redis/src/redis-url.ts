import { readFileSync } from 'node:fs'
import { SeamarkError } from '@seamark/core'

export interface Host {
  readonly host: string
  readonly port: number
}

/** What a URL says: where a registry is, and how to get in. */
export interface RedisAddress {
  /** Servers to try in turn, or sentinels to ask. */
  readonly hosts: readonly Host[]
  /** The name under which the sentinels know the master; without it, the hosts are servers. */
  readonly master?: string
  readonly username?: string
  readonly password?: string
  /** For sentinels that ask for their own. */
  readonly sentinelUsername?: string
  readonly sentinelPassword?: string
  readonly db: number
  /** The registry's keys begin with it, in braces. */
  readonly prefix: string
  readonly tls?: Tls
}

export interface Tls {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
}

interface Scheme {
  readonly tls: boolean
  readonly sentinel: boolean
  /** Redis' own defaults. */
  readonly port: number
}

const schemes: Readonly<Record<string, Scheme>> = {
  redis: { tls: false, sentinel: false, port: 6_379 },
  rediss: { tls: true, sentinel: false, port: 6_379 },
  'redis-sentinel': { tls: false, sentinel: true, port: 26_379 },
  'rediss-sentinel': { tls: true, sentinel: true, port: 26_379 },
}

/** The parameters of a URL, with those that only one kind of URL has. */
const parameters: Readonly<Record<string, keyof Pick<Scheme, 'tls' | 'sentinel'> | undefined>> = {
  prefix: undefined,
  ca: 'tls',
  cert: 'tls',
  key: 'tls',
  sentinelUser: 'sentinel',
  sentinelPassword: 'sentinel',
}

const defaultPrefix = 'seamark'
const prefixRule = /^[A-Za-z0-9._:-]{1,128}$/

/**
 * Reads `redis://[user:password@]host[:port][,…][/db][?prefix=…]` (`rediss:` over TLS), or
 * `redis-sentinel://[user:password@]host[:port],…/master[/db]`. Throws `configuration`, without any password in it.
 */
export function redisUrl(url: string): RedisAddress {
  // An "@" further behind means that the user or the password was not encoded: no part of it may be shown.
  const [, name = '', user, hosts = '', path = '', query] =
    /^([a-z-]+):\/\/(?:([^@/?#]*)@)?([^@/?#]+)(?:\/([^@?#]*))?(?:\?([^@#]*))?$/.exec(url) ?? []
  const scheme = Object.hasOwn(schemes, name) ? schemes[name] : undefined
  if (scheme === undefined)
    throw wrong(
      'The URL is none of a Redis: write redis://host:6379, rediss://host:6379 (TLS) or redis-sentinel://host:26379/master; %40, %2F, %3A, %3F and %23 stand for @, /, :, ? and # in a user or password.',
    )
  const { master, db } = place(scheme, path)
  const { prefix = defaultPrefix, sentinelUser, sentinelPassword, ...files } = options(scheme, query)
  if (!prefixRule.test(prefix))
    throw wrong(
      `The prefix ${JSON.stringify(prefix)} must be 1 to 128 of A-Z, a-z, 0-9, ".", "_", ":" and "-".`,
    )
  const [username, password] = credentials(user)
  return {
    hosts: hosts.split(',').map((host) => hostAndPort(host, scheme.port)),
    ...(master !== undefined && { master }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(sentinelUser !== undefined && { sentinelUsername: sentinelUser }),
    ...(sentinelPassword !== undefined && { sentinelPassword }),
    db,
    prefix,
    ...(scheme.tls && { tls: tls(files) }),
  }
}

function credentials(user: string | undefined): readonly (string | undefined)[] {
  if (user === undefined) return []
  const at = user.indexOf(':')
  const username = decoded('user', at === -1 ? user : user.slice(0, at))
  const password = at === -1 ? '' : decoded('password', user.slice(at + 1))
  if (password === '')
    throw wrong(
      'The URL has a user, and no password: write redis://user:password@host, or redis://:password@host.',
    )
  return username === '' ? [undefined, password] : [username, password]
}

function hostAndPort(text: string, port: number): Host {
  const [, bracketed, plain, digits] =
    /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  const host = bracketed ?? plain
  const number = digits === undefined ? port : Number(digits)
  if (host === undefined || number < 1 || number > 65_535)
    throw wrong(
      `${JSON.stringify(text)} must be a host and a port, such as "localhost:${port}" or "[::1]:${port}".`,
    )
  return { host, port: number }
}

/** What the path names: `/db`, or behind sentinels `/master/db`. */
function place({ sentinel }: Scheme, path: string): { master?: string; db: number } {
  const parts = path === '' ? [] : path.split('/').map((part) => decoded('path', part))
  const master = sentinel ? parts.shift() : undefined
  if (sentinel && !master)
    throw wrong(
      'The URL names no master: write redis-sentinel://host:26379/master, with the name that the sentinels know it by.',
    )
  const [db = '0', ...rest] = parts
  if (!/^\d{1,5}$/.test(db) || rest.length > 0)
    throw wrong(
      `The path "/${path}" must ${sentinel ? 'be a master and, perhaps, ' : 'name '}the number of a database, such as ${sentinel ? '"/mymaster/0"' : '"/0"'}.`,
    )
  return { ...(master !== undefined && { master }), db: Number(db) }
}

function options(scheme: Scheme, query = ''): Partial<Record<string, string>> {
  const given: Record<string, string> = {}
  for (const pair of query === '' ? [] : query.split('&')) {
    const at = pair.indexOf('=')
    const name = decoded('parameter', at === -1 ? pair : pair.slice(0, at))
    if (!Object.hasOwn(parameters, name))
      throw wrong(
        `The URL has the parameter ${JSON.stringify(name)}; known are ${Object.keys(parameters).join(', ')}.`,
      )
    const only = parameters[name]
    if (only !== undefined && !scheme[only])
      throw wrong(
        `The parameter ${name} is for ${only === 'tls' ? 'rediss:// and rediss-sentinel://' : 'redis-sentinel:// and rediss-sentinel://'} only.`,
      )
    if (Object.hasOwn(given, name)) throw wrong(`The URL has the parameter ${name} twice.`)
    if (at === -1 || at === pair.length - 1) throw wrong(`The parameter ${name} has no value.`)
    given[name] = decoded(name, pair.slice(at + 1))
  }
  return given
}

function tls(files: Partial<Record<string, string>>): Tls {
  if ((files.cert === undefined) !== (files.key === undefined))
    throw wrong('The parameters cert and key go together.')
  return Object.fromEntries(
    Object.entries(files).map(([name, path]) => {
      try {
        return [name, readFileSync(path!)]
      } catch (cause) {
        throw wrong(`The file ${JSON.stringify(path)} of the parameter ${name} cannot be read.`, cause)
      }
    }),
  )
}

function decoded(what: string, text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw wrong(`The ${what} in the URL is not percent-encoded well: %25 stands for %.`, cause)
  }
}

function wrong(message: string, cause?: unknown): SeamarkError {
  return new SeamarkError('configuration', message, cause === undefined ? {} : { cause })
}
