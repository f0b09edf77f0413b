import { isSeamarkError } from '@seamark/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { accessSetting } from './access-setting.ts'

function wrong(value: unknown): string | undefined {
  try {
    accessSetting('access', value, '/etc/shop')
    return undefined
  } catch (error) {
    if (!isSeamarkError(error, 'invalid_field')) throw error
    return error.field
  }
}

describe('the access of a routes file', () => {
  it('completes what is left out, and finds files beside the routes file', () => {
    expect(accessSetting('access', { publicKey: { file: 'keys/id.pem' } }, '/etc/shop')).toEqual({
      keys: { kind: 'publicKey', place: 'file', at: '/etc/shop/keys/id.pem' },
      clockTolerance: 5_000,
      requireExpiry: true,
      roles: 'roles',
    })
  })

  it('takes everything there is', () => {
    const given = {
      jwks: { url: 'https://id.example/jwks.json' },
      issuer: 'https://id.example',
      audience: ['shop', 'tickets'],
      clockTolerance: '1m',
      requireExpiry: false,
      roles: 'realm_access.roles',
      cookie: 'session',
    }
    expect(accessSetting('access', given, '/')).toEqual({
      keys: { kind: 'jwks', place: 'url', at: 'https://id.example/jwks.json' },
      issuer: ['https://id.example'],
      audience: ['shop', 'tickets'],
      clockTolerance: 60_000,
      requireExpiry: false,
      roles: 'realm_access.roles',
      cookie: 'session',
    })
  })

  it.each<[unknown, unknown]>([
    [{ secret: { file: '/run/secret' } }, { kind: 'secret', place: 'file', at: '/run/secret' }],
    [{ secret: { variable: 'JWT_SECRET' } }, { kind: 'secret', place: 'variable', at: 'JWT_SECRET' }],
    [{ jwks: { file: 'a.json' } }, { kind: 'jwks', place: 'file', at: '/etc/shop/a.json' }],
    [{ jwks: { url: 'http://id:80' } }, { kind: 'jwks', place: 'url', at: 'http://id/' }],
  ])('finds keys with %j', (value, keys) => {
    expect(accessSetting('access', value, '/etc/shop').keys).toEqual(keys)
  })

  const key = { publicKey: { file: 'a' } }
  it.each<[unknown, string]>([
    [undefined, 'access'],
    [[], 'access'],
    [{}, 'access'],
    [{ ...key, jwks: { file: 'a' } }, 'access'],
    [{ ...key, algorithms: ['none'] }, 'access/algorithms'],
    [{ publicKey: 'a.pem' }, 'access/publicKey'],
    [{ publicKey: {} }, 'access/publicKey'],
    [{ publicKey: { url: 'https://id.example' } }, 'access/publicKey/url'],
    [{ publicKey: { file: '' } }, 'access/publicKey/file'],
    [{ publicKey: { file: 'a\0b' } }, 'access/publicKey/file'],
    [{ secret: { file: 'a', variable: 'B' } }, 'access/secret'],
    [{ secret: { variable: 'A B' } }, 'access/secret/variable'],
    [{ secret: { text: 'x' } }, 'access/secret/text'],
    [{ jwks: { url: 'id.example/jwks' } }, 'access/jwks/url'],
    [{ jwks: { url: 'file:///etc/passwd' } }, 'access/jwks/url'],
    [{ jwks: { url: 'https://user:pass@id.example' } }, 'access/jwks/url'],
    [{ ...key, issuer: '' }, 'access/issuer'],
    [{ ...key, issuer: [] }, 'access/issuer'],
    [{ ...key, audience: ['shop', 1] }, 'access/audience/1'],
    [{ ...key, clockTolerance: '11m' }, 'access/clockTolerance'],
    [{ ...key, clockTolerance: -1 }, 'access/clockTolerance'],
    [{ ...key, requireExpiry: 'no' }, 'access/requireExpiry'],
    [{ ...key, roles: ['roles'] }, 'access/roles'],
    [{ ...key, cookie: 'a b' }, 'access/cookie'],
  ])('refuses %j, and names the field', (value, field) => {
    expect(wrong(value)).toBe(field)
  })

  it('never repeats a secret that stands where it must not', () => {
    const secret = 'correct horse battery staple'
    expect(() => accessSetting('access', { secret }, '/')).toThrow(/^(?!.*horse).*must not stand here/)
  })

  it('refuses whatever else comes', () => {
    const names = ['secret', 'publicKey', 'jwks', 'issuer', 'roles']
    fc.assert(
      fc.property(
        fc.oneof(fc.jsonValue(), fc.dictionary(fc.constantFrom(...names), fc.jsonValue())),
        (value) => {
          expect(wrong(value)).toMatch(/^access/)
        },
      ),
    )
  })
})
