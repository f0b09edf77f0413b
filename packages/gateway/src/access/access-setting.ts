import { resolve } from 'node:path'
import { invalidField } from '@seamark/core'
import { type Check, duration, list, record, text, token } from '../policy/fields.ts'

/** How tokens are verified, and what of them is believed. */
export interface AccessSetting {
  readonly keys: KeySetting
  /** Who may have issued the token: one of these. Default anybody who has the key. */
  readonly issuer?: readonly string[]
  /** Whom the token must be for: one of these. Default anybody. */
  readonly audience?: readonly string[]
  /** Milliseconds by which clocks may differ. Default 5 s. */
  readonly clockTolerance: number
  /** Whether tokens without an end are refused. Default true. */
  readonly requireExpiry: boolean
  /** The claim that holds the roles: its name, or a path such as `realm_access.roles`. Default `roles`. */
  readonly roles: string
  /** A cookie that holds the token when the header `authorization` does not. Default none. */
  readonly cookie?: string
}

/** What the keys are, and where. */
export interface KeySetting {
  readonly kind: 'secret' | 'publicKey' | 'jwks'
  readonly place: 'file' | 'variable' | 'url'
  /** An absolute path, the name of a variable of the environment, or a URL. */
  readonly at: string
}

type Kind = KeySetting['kind']
type Place = KeySetting['place']

/** As people write it: with one of the kinds of keys, which says its one place. */
type Input = Omit<AccessSetting, 'keys'> & { readonly [K in Kind]?: KeySetting }

const kinds = ['secret', 'publicKey', 'jwks'] as const

/**
 * Reads the setting of a routes file; `folder` is what paths in it are relative to. The result is frozen. Throws
 * `invalid_field`, with the path below `field`. Whether files and variables are there is found out by whoever uses it.
 */
export function accessSetting(field: string, value: unknown, folder: string): AccessSetting {
  const { secret, publicKey, jwks, ...rest } = input(folder)(field, value)
  const given = [secret, publicKey, jwks].filter((keys) => keys !== undefined)
  if (given.length !== 1) throw invalidField(field, `must have exactly one of ${kinds.join(', ')}`)
  return Object.freeze({ ...rest, keys: given[0]! })
}

function input(folder: string): Check<Input> {
  const file: Check<string> = (field, value) => resolve(folder, text(4_096)(field, value))
  return record<Input>(
    'the access',
    {
      secret: (field, value) => {
        if (typeof value === 'string')
          throw invalidField(field, 'must not stand here: name a file, or a variable of the environment')
        return keys('secret', { file, variable })(field, value)
      },
      publicKey: keys('publicKey', { file }),
      jwks: keys('jwks', { file, url }),
      issuer: oneOrMore,
      audience: oneOrMore,
      clockTolerance: duration(0, 600_000),
      requireExpiry: (field, value) => {
        if (typeof value !== 'boolean') throw invalidField(field, 'must be true or false')
        return value
      },
      roles: text(256),
      cookie: token,
    },
    { defaults: { clockTolerance: 5_000, requireExpiry: true, roles: 'roles' } },
  )
}

function keys(kind: Kind, places: Partial<Record<Place, Check<string>>>): Check<KeySetting> {
  const read = record<Partial<Record<string, string>>>(`a ${kind}`, places as Record<string, Check<string>>)
  return (field, value) => {
    const given = Object.entries(read(field, value))
    const [only] = given
    if (only === undefined || given.length > 1)
      throw invalidField(field, `must have exactly one of ${Object.keys(places).join(', ')}`)
    const [place, at] = only
    return Object.freeze({ kind, place: place as Place, at: at! })
  }
}

const variable: Check<string> = (field, value) => {
  if (typeof value !== 'string' || !/^[A-Za-z_][A-Za-z0-9_]{0,255}$/.test(value))
    throw invalidField(field, 'must be the name of a variable of the environment')
  return value
}

const url: Check<string> = (field, value) => {
  const read = text(2_048)(field, value)
  const parsed = URL.canParse(read) ? new URL(read) : undefined
  if (parsed === undefined || !['http:', 'https:'].includes(parsed.protocol))
    throw invalidField(field, 'must be a URL that begins with "https://" or "http://"')
  if (parsed.username !== '' || parsed.password !== '')
    throw invalidField(field, 'must hold no user and no password')
  return parsed.href
}

const oneOrMore: Check<readonly string[]> = (field, value) => {
  const one = text(1_024)
  return typeof value === 'string' ? Object.freeze([one(field, value)]) : list(16, one)(field, value)
}
