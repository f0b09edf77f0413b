import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { SeamarkError } from '@seamark/core'

/** Where the registry is, as a URL says it. */
export interface Location {
  readonly host: string
  readonly port: number
  readonly user: string
  /** `undefined`: the variable PGPASSWORD, or none. */
  readonly password: string | undefined
  readonly database: string
  readonly ssl: false | ConnectionOptions
  /** The PostgreSQL schema that holds the registry. */
  readonly schema: string
  /** Whether to LISTEN, or else to poll. */
  readonly listen: boolean
}

const form = 'postgres://user:password@host:5432/database?schema=seamark'
const known = ['schema', 'sslmode', 'sslrootcert', 'listen']

/**
 * What libpq calls `allow` and `prefer` goes on without encryption when a server, or somebody in between, asks for it;
 * node-postgres cannot do that, and we would not.
 */
const sslModes: Readonly<Record<string, (ca: string | undefined) => false | ConnectionOptions>> = {
  disable: () => false,
  // With a root certificate, libpq checks that it is the server's, too.
  require: (ca) => (ca === undefined ? { rejectUnauthorized: false } : anyHost(ca)),
  'verify-ca': anyHost,
  'verify-full': (ca) => (ca === undefined ? {} : { ca }),
}

/** The certificate must be good, whatever host it names: from an authority that everybody trusts, that says nothing. */
function anyHost(ca: string | undefined): ConnectionOptions {
  if (ca === undefined) throw wrong('sslmode=verify-ca needs sslrootcert: the file of your own authority.')
  return { ca, checkServerIdentity: () => undefined }
}

/** Reads a URL strictly: what it does not know, it refuses. Throws `configuration`, without the password. */
export function location(url: string): Location {
  if (!URL.canParse(url)) throw wrong(`This is not a URL of PostgreSQL; write ${form}, with one host.`)
  const { protocol, hostname, port, username, password, pathname, searchParams, hash } = new URL(url)
  if (protocol !== 'postgres:' && protocol !== 'postgresql:')
    throw wrong(`A URL of PostgreSQL begins with "postgres:" or "postgresql:", not with "${protocol}".`)
  if (hash !== '') throw wrong('The URL has a "#": in a password, write %23.')
  if (hostname === '') throw wrong(`The URL names no host; write ${form}.`)
  if (username === '') throw wrong(`The URL names no user; write ${form}.`)
  const database = decoded('database', pathname.slice(1))
  if (database === '' || pathname.slice(1).includes('/'))
    throw wrong(`The URL names no database; write ${form}.`)
  for (const name of new Set(searchParams.keys())) {
    if (!known.includes(name))
      throw wrong(`The URL has the unknown parameter "${name}"; known are ${known.join(', ')}.`)
    if (searchParams.getAll(name).length > 1) throw wrong(`The URL has the parameter "${name}" twice.`)
  }
  return {
    host: decoded('host', hostname.replace(/^\[(.*)\]$/, '$1')),
    port: port === '' ? 5_432 : Number(port),
    user: decoded('user', username),
    password: password === '' ? undefined : decoded('password', password),
    database,
    ssl: ssl(searchParams.get('sslmode'), searchParams.get('sslrootcert')),
    schema: schema(searchParams.get('schema') ?? 'seamark'),
    listen: flag('listen', searchParams.get('listen') ?? 'true'),
  }
}

function ssl(mode: string | null, rootCertificate: string | null): false | ConnectionOptions {
  const chosen = mode ?? (rootCertificate === null ? 'disable' : 'verify-full')
  const options = Object.hasOwn(sslModes, chosen) ? sslModes[chosen] : undefined
  if (options === undefined)
    throw wrong(`sslmode must be one of ${Object.keys(sslModes).join(', ')}, not "${chosen}".`)
  if (rootCertificate === null) return options(undefined)
  if (chosen === 'disable')
    throw wrong('sslrootcert says nothing with sslmode=disable: leave one of them out.')
  try {
    return options(readFileSync(rootCertificate, 'utf8'))
  } catch (cause) {
    throw wrong(`sslrootcert cannot be read (${(cause as Error).message}).`, cause)
  }
}

/** Plain names only: nobody has to quote them. The channel of notifications is named after it, in 63 bytes. */
function schema(name: string): string {
  if (!/^[a-z_][a-z0-9_]{0,47}$/.test(name))
    throw wrong(`schema must be up to 48 of a-z, 0-9 and "_", beginning with no digit, not "${name}".`)
  if (name.startsWith('pg_') || name === 'public' || name === 'information_schema')
    throw wrong(`schema must not be "${name}": the registry needs a schema of its own, such as "seamark".`)
  return name
}

function flag(name: string, value: string): boolean {
  if (value !== 'true' && value !== 'false') throw wrong(`${name} must be true or false, not "${value}".`)
  return value === 'true'
}

function decoded(part: string, text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw wrong(`The ${part} in the URL is not well encoded: write %25 for "%".`)
  }
}

function wrong(message: string, cause?: unknown): SeamarkError {
  return new SeamarkError('configuration', message, { cause })
}
