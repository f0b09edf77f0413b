import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { location } from './location.ts'

const folder = mkdtempSync(join(tmpdir(), 'seamark-postgres-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const plain = {
  host: 'db',
  port: 5_432,
  user: 'u',
  password: undefined,
  database: 'app',
  ssl: false,
  schema: 'seamark',
  listen: true,
}

describe('a URL of PostgreSQL', () => {
  it.each([
    ['postgres://u@db/app', {}],
    ['postgresql://u@db/app', {}],
    ['postgres://u:p@db:6432/app', { port: 6_432, password: 'p' }],
    [
      'postgres://u%40x:a%3Ab%2Fc%23%25@db/my%20app',
      { user: 'u@x', password: 'a:b/c#%', database: 'my app' },
    ],
    ['postgres://u@[::1]/app', { host: '::1' }],
    ['postgres://u@db/app?schema=registry_2', { schema: 'registry_2' }],
    ['postgres://u@db/app?listen=false', { listen: false }],
    ['postgres://u@db/app?sslmode=disable', {}],
    ['postgres://u@db/app?sslmode=require', { ssl: { rejectUnauthorized: false } }],
    ['postgres://u@db/app?sslmode=verify-full', { ssl: {} }],
  ])('%s is understood', (url, parts) => {
    expect(location(url)).toEqual({ ...plain, ...parts })
  })

  it.each([
    ['postgres:', /no host/],
    ['postgres://u@/app', /not a URL|no host/],
    ['mysql://u@db/app', /begins with/],
    ['postgres://db/app', /no user/],
    ['postgres://u@db', /no database/],
    ['postgres://u@db/', /no database/],
    ['postgres://u@db/a/b', /no database/],
    ['postgres://u@db1,db2:5432,db3/app', /not a URL|one host/],
    ['postgres://u@db/app#x', /%23/],
    ['postgres://u:%E0@db/app', /password in the URL is not well encoded/],
    ['postgres://u@db/app?scheme=x', /unknown parameter "scheme"/],
    ['postgres://u@db/app?schema=a&schema=b', /"schema" twice/],
    ['postgres://u@db/app?schema=', /schema must be/],
    ['postgres://u@db/app?schema=public', /must not be "public"/],
    ['postgres://u@db/app?schema=pg_x', /must not be "pg_x"/],
    ['postgres://u@db/app?schema=A', /schema must be/],
    ['postgres://u@db/app?schema=a"b', /schema must be/],
    [`postgres://u@db/app?schema=${'a'.repeat(49)}`, /schema must be/],
    ['postgres://u@db/app?sslmode=prefer', /sslmode must be one of/],
    ['postgres://u@db/app?sslmode=verify-ca', /needs sslrootcert/],
    ['postgres://u@db/app?sslmode=constructor', /sslmode must be one of/],
    ['postgres://u@db/app?sslmode=disable&sslrootcert=/x', /leave one of them out/],
    ['postgres://u@db/app?sslmode=require&sslrootcert=/nowhere', /cannot be read/],
    ['postgres://u@db/app?listen=no', /listen must be true or false/],
  ])('%s is refused', (url, message) => {
    expect(() => location(url)).toThrow(
      expect.objectContaining({ code: 'configuration', message: expect.stringMatching(message) }),
    )
  })

  it('checks the server by the certificate it names', () => {
    const file = join(folder, 'ca.pem')
    writeFileSync(file, 'certificate')
    const ssl = (parameters: string) => location(`postgres://u@db/app?sslrootcert=${file}${parameters}`).ssl
    expect(ssl('')).toEqual({ ca: 'certificate' })
    expect(ssl('&sslmode=verify-full')).toEqual({ ca: 'certificate' })
    for (const mode of ['require', 'verify-ca'])
      expect(ssl(`&sslmode=${mode}`)).toEqual({
        ca: 'certificate',
        checkServerIdentity: expect.any(Function),
      })
  })

  it('keeps its password out of messages', () => {
    for (const url of [
      'postgres://u:secret@db:x/app',
      'postgres://u:secret@db/app?x=1',
      'mysql://u:secret@db/a',
    ])
      expect(() => location(url)).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining('secret') }),
      )
  })
})
