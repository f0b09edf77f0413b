import { createHmac, createSecretKey, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isSeamarkError, type Notice, type RouteInput, type SeamarkError } from '@seamark/core'
import { type FakeClock, fakeClock } from '@seamark/core/testing'
import { CompactSign, EncryptJWT, type JWTPayload, UnsecuredJWT } from 'jose'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { inquiry } from '../../test/inquiry.ts'
import { ruleFor } from '../../test/route-list.ts'
import { encoded, pem, published, type SigningKey, signed, signingKey } from '../../test/tokens.ts'
import type { Identity, Inquiry, RouteTable, Rule } from '../ports.ts'
import { access, type ReloadableAccess } from './access.ts'
import { accessSetting } from './access-setting.ts'

const folder = mkdtempSync(join(tmpdir(), 'seamark-access-'))
afterAll(() => rmSync(folder, { recursive: true }))

const open: ReloadableAccess[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one[Symbol.asyncDispose]()
})

const rsa = signingKey('RS256', 'rsa')
const ec = signingKey('ES256', 'ec')
const edwards = signingKey('EdDSA', 'ed')
const secret = randomBytes(64).toString('base64url')
const shared = { algorithm: 'HS256', kid: undefined, privateKey: Buffer.from(secret) }

let files = 0
function file(text: string): string {
  const path = join(folder, `key-${files++}`)
  writeFileSync(path, text)
  return path
}

const jwksFile = async (...keys: readonly SigningKey[]) =>
  file(JSON.stringify({ keys: await Promise.all(keys.map(published)) }))

type Signing = Pick<SigningKey, 'algorithm' | 'kid' | 'privateKey'>

const ticketQuery = ruleFor('tickets', { roles: ['tickets-query', 'admin'] })
const everybody = ruleFor('shop')

interface Guarded {
  readonly access: ReloadableAccess
  readonly clock: FakeClock
  readonly routes: { table: RouteTable }
  readonly notices: readonly Notice[]
  /** Seconds since 1970. */
  now(): number
  /** Who asks, or why nobody may. */
  admit(token: string | undefined, rule?: Rule): Promise<Identity | undefined | SeamarkError>
  ask(rule: Rule, headers: Inquiry['headers']): Promise<Identity | undefined | SeamarkError>
  routed(...rules: readonly Rule[]): void
}

const tableOf = (rules: readonly Rule[]): RouteTable => ({
  rules,
  conflicts: [],
  match: () => ({ allow: undefined }),
})

function guarded(setting: Record<string, unknown> | undefined, ...rules: readonly Rule[]): Guarded {
  const clock = fakeClock()
  const notices: Notice[] = []
  const routes: { table: RouteTable } = { table: tableOf(rules) }
  const read = setting && accessSetting('access', setting, folder)
  const tested = access(read, { clock, notify: (notice) => notices.push(notice), routes })
  open.push(tested)
  const ask = async (rule: Rule, headers: Inquiry['headers']) => {
    try {
      return await tested.admit(rule, inquiry({ headers }))
    } catch (error) {
      if (!isSeamarkError(error)) throw error
      return error
    }
  }
  return {
    access: tested,
    clock,
    routes,
    notices,
    now: () => Math.floor(clock.date() / 1_000),
    ask,
    admit: (token, rule = ticketQuery) =>
      ask(rule, token === undefined ? {} : { authorization: `Bearer ${token}` }),
    routed(...rules) {
      routes.table = tableOf(rules)
      tested.reload(read)
    },
  }
}

/** With `undefined`, it says nothing of that. */
type Claimed = { readonly [K in keyof JWTPayload]?: unknown }

const claims = (now: number, more: Claimed = {}) =>
  ({
    sub: 'anna',
    iss: 'https://id.example',
    aud: 'shop',
    roles: ['tickets-query'],
    exp: now + 300,
    ...more,
  }) as JWTPayload

const withSecret = async () => ({ secret: { file: file(secret) } })
const withJwks = async () => ({ jwks: { file: await jwksFile(rsa, ec, edwards) } })
const withPem = (key: SigningKey) => async () => ({ publicKey: { file: file(pem(key)) } })

/** Which keys, and what signs with them. */
const ways: (readonly [string, () => Promise<Record<string, unknown>>, Signing])[] = [
  ...['HS256', 'HS384', 'HS512'].map(
    (algorithm) => ['a secret', withSecret, { ...shared, algorithm }] as const,
  ),
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map(
    (algorithm) => ['a public key', withPem(rsa), { ...rsa, algorithm }] as const,
  ),
  ...[ec, edwards, signingKey('ES384'), signingKey('ES512')].map(
    (key) => ['a public key', withPem(key), key] as const,
  ),
  ...[rsa, ec, edwards].map((key) => ['a JWKS', withJwks, key] as const),
]

describe('access', () => {
  it.each(ways.map(([keys, setting, key]) => ({ keys, setting, key, algorithm: key.algorithm })))(
    'knows who asks, with $keys and $algorithm',
    async ({ setting, key }) => {
      const { admit, now } = guarded(await setting())
      const token = await signed(key, claims(now()))
      const known = { subject: 'anna', roles: ['tickets-query'] }
      expect(await admit(token)).toMatchObject(known)
      expect(await admit(token, everybody)).toMatchObject(known)
      // One character of the signature is another one, and then one of the claims.
      const [header, body, signature] = token.split('.') as [string, string, string]
      const other = (text: string) => `${text[0] === 'A' ? 'B' : 'A'}${text.slice(1)}`
      expect(await admit([header, body, other(signature)].join('.'))).toMatchObject({
        code: 'unauthenticated',
      })
      const claimed = encoded({ ...claims(now()), roles: ['admin'] })
      expect(await admit([header, claimed, signature].join('.'))).toMatchObject({ code: 'unauthenticated' })
      expect(await admit([header, body, ''].join('.'))).toMatchObject({ code: 'unauthenticated' })
    },
  )

  it('says who asks in a header', async () => {
    const { admit, now } = guarded({ publicKey: { file: file(pem(ec)) } })
    const identity = (await admit(await signed(ec, claims(now(), { sub: 'Zoë' })))) as Identity
    expect(identity.header).toBe('{"sub":"Zo\\u00eb","roles":["tickets-query"],"iss":"https://id.example"}')
  })

  it('answers at once once it knows a token, until that expires', async () => {
    const { access, admit, clock, now } = guarded({ publicKey: { file: file(pem(ec)) } })
    const token = await signed(ec, claims(now()))
    const asked = inquiry({ headers: { authorization: `Bearer ${token}` } })
    expect(access.admit(ticketQuery, asked)).toBeInstanceOf(Promise)
    const first = await access.admit(ticketQuery, asked)
    expect(access.admit(ticketQuery, asked)).toBe(first)
    clock.jump(304_000)
    expect(access.admit(ticketQuery, asked)).toBe(first)
    clock.jump(2_000)
    expect(await admit(token)).toMatchObject({ code: 'unauthenticated', details: { reason: 'expired' } })
  })

  it('takes a token from the cookie that was named', async () => {
    const { ask, now } = guarded({ publicKey: { file: file(pem(ec)) }, cookie: 'session' })
    const token = await signed(ec, claims(now()))
    expect(await ask(ticketQuery, { cookie: `a=b; session=${token}` })).toMatchObject({ subject: 'anna' })
    expect(await ask(ticketQuery, { cookie: `other=${token}` })).toMatchObject({ code: 'unauthenticated' })
  })

  it('finds roles where it is told to', async () => {
    const { admit, now } = guarded({ publicKey: { file: file(pem(ec)) }, roles: 'realm_access.roles' })
    const token = await signed(ec, claims(now(), { roles: [], realm_access: { roles: ['admin'] } }))
    expect(await admit(token)).toMatchObject({ roles: ['admin'] })
  })

  describe('refuses', () => {
    it('whoever brings no token', async () => {
      const { admit, ask } = guarded({ publicKey: { file: file(pem(ec)) } })
      expect(await admit(undefined)).toMatchObject({ status: 401, details: { reason: 'missing' } })
      expect(await ask(ticketQuery, { authorization: 'Basic YTpi' })).toMatchObject({
        details: { reason: 'missing' },
      })
    })

    it('whoever has none of the roles', async () => {
      const { admit, now } = guarded({ publicKey: { file: file(pem(ec)) } })
      for (const roles of [[], ['tickets'], 'Tickets-Query', undefined])
        expect(await admit(await signed(ec, claims(now(), { roles })))).toMatchObject({
          status: 403,
          code: 'forbidden',
        })
      // Nor when the token is known.
      const token = await signed(ec, claims(now(), { roles: ['other'] }))
      expect(await admit(token, everybody)).toMatchObject({ roles: ['other'] })
      expect(await admit(token)).toMatchObject({ status: 403 })
    })

    it.each<[string, Claimed]>([
      ['has expired', { exp: -6 }],
      ['never expires', { exp: undefined }],
      ['is not valid yet', { nbf: 6 }],
      ['is of somebody else', { iss: 'https://evil.example' }],
      ['says nothing of who made it', { iss: undefined }],
      ['is for somebody else', { aud: 'bank' }],
      ['is for others', { aud: ['bank', 'post'] }],
      ['says nothing of whom it is for', { aud: undefined }],
      ['says more than fits into a header', { sub: 'x'.repeat(4_096) }],
      ['is too long', { more: 'x'.repeat(8_192) }],
    ])('a token that %s', async (_why, wrong) => {
      const { admit, now } = guarded({
        publicKey: { file: file(pem(ec)) },
        issuer: 'https://id.example',
        audience: ['shop', 'tickets'],
      })
      const dates = Object.fromEntries(
        Object.entries(wrong).map(([name, value]) => [
          name,
          typeof value === 'number' ? now() + value : value,
        ]),
      )
      expect(await admit(await signed(ec, claims(now())))).toMatchObject({ subject: 'anna' })
      const refused = await admit(await signed(ec, claims(now(), dates)))
      expect(refused).toMatchObject({ code: 'unauthenticated' })
      expect(refused).not.toMatchObject({ details: { reason: 'missing' } })
    })

    it('no token that is a little late or early, nor one without an end where that is allowed', async () => {
      const { admit, now } = guarded({ publicKey: { file: file(pem(ec)) }, requireExpiry: false })
      for (const more of [{ exp: now() - 4 }, { nbf: now() + 5 }, { exp: undefined }])
        expect(await admit(await signed(ec, claims(now(), more)))).toMatchObject({ subject: 'anna' })
    })

    it.each(['', 'x', 'a.b', 'a.b.c', '....', 'null', '\u0000', 'a.b.c.d.e', `${'a'.repeat(5_000)}.b.c`])(
      'what is no token: %j',
      async (token) => {
        const { ask } = guarded({ publicKey: { file: file(pem(ec)) } })
        expect(await ask(ticketQuery, { authorization: `Bearer ${token}` })).toMatchObject({
          code: 'unauthenticated',
        })
        expect(await ask(everybody, { authorization: `Bearer ${token}` })).toBeUndefined()
      },
    )
  })

  it('lets everybody in where no role is asked for, and knows only whom a token that holds is about', async () => {
    const { admit, ask, now } = guarded({ publicKey: { file: file(pem(ec)) } })
    expect(await admit(undefined, everybody)).toBeUndefined()
    expect(await ask(everybody, { authorization: 'Basic YTpi' })).toBeUndefined()
    expect(await admit(await signed(ec, claims(now() - 1_000)), everybody)).toBeUndefined()
    expect(await admit(await signed(signingKey('ES256'), claims(now())), everybody)).toBeUndefined()
  })

  it('keeps what the token says out of its errors', async () => {
    const { admit, now } = guarded({ publicKey: { file: file(pem(ec)) }, audience: 'shop' })
    const marked = { sub: 'MARK-sub', aud: 'MARK-aud', roles: ['MARK-role'] }
    const wrong = [
      await signed(ec, claims(now(), marked)),
      await signed(ec, claims(now(), { ...marked, aud: 'shop' })),
      await signed(ec, claims(now(), { ...marked, exp: 1 })),
      await signed(rsa, claims(now(), marked)),
    ]
    for (const token of wrong) {
      const error = (await admit(token)) as SeamarkError
      const shown = [error, error.cause].map(
        (one) => `${one} ${JSON.stringify(one, Object.getOwnPropertyNames(one ?? {}))}`,
      )
      expect(shown.join()).not.toMatch(/MARK/)
      expect(shown.join()).not.toContain(token.split('.')[2])
    }
  })
})

describe('attacks with tokens', () => {
  const admin = (now: number) => claims(now, { roles: ['admin'] })
  const refused = { status: 401, details: { reason: 'invalid' } }

  const settings = [
    { keys: 'a secret', setting: withSecret },
    { keys: 'an RSA key', setting: withPem(rsa) },
    { keys: 'an EC key', setting: withPem(ec) },
    { keys: 'an Ed25519 key', setting: withPem(edwards) },
    { keys: 'a JWKS', setting: withJwks },
  ]

  it.each(settings)('without a signature fail with $keys', async ({ setting }) => {
    const { admit, now } = guarded(await setting())
    expect(await admit(new UnsecuredJWT(admin(now())).encode())).toMatchObject(refused)
    for (const alg of ['none', 'None', 'NONE', 'nOnE', '', null, 0, ['none'], undefined])
      for (const signature of ['', 'AAAA'])
        expect(
          await admit(`${encoded({ alg, typ: 'JWT' })}.${encoded(admin(now()))}.${signature}`),
        ).toMatchObject(refused)
  })

  it.each(settings)('that use a public key as a secret fail with $keys', async ({ setting }) => {
    const { admit, now } = guarded(await setting())
    for (const key of [rsa, ec, edwards]) {
      const jwk = await published(key)
      const guesses = [
        pem(key),
        pem(key).trim(),
        key.publicKey.export({ type: 'spki', format: 'der' }),
        JSON.stringify(jwk),
        String(jwk.n ?? jwk.x),
        Buffer.from(String(jwk.n ?? jwk.x), 'base64url'),
      ]
      for (const guess of guesses)
        for (const algorithm of ['HS256', 'HS384', 'HS512'])
          for (const kid of [key.kid, undefined]) {
            // By hand, as jose does not sign with keys that are too short.
            const body = `${encoded({ alg: algorithm, kid })}.${encoded(admin(now()))}`
            const hmac = createHmac(`sha${algorithm.slice(2)}`, createSecretKey(Buffer.from(guess as string)))
            expect(await admit(`${body}.${hmac.update(body).digest('base64url')}`)).toMatchObject(refused)
          }
    }
  })

  it.each(settings)('that bring their own key fail with $keys', async ({ setting }) => {
    const { admit, now } = guarded(await setting())
    const own = signingKey('ES256', 'ec')
    const jwk = await published(own)
    const headers = [
      { jwk },
      { jku: 'http://127.0.0.1:9/jwks.json' },
      { x5u: 'http://127.0.0.1:9/a.pem' },
      { x5c: [Buffer.from(pem(own)).toString('base64')] },
      { kid: '../../../../dev/null' },
      { kid: 'ec' },
    ]
    for (const header of headers)
      expect(await admit(await signed(own, admin(now()), header))).toMatchObject(refused)
  })

  it.each(settings)('that are signed with a key of the same kind fail with $keys', async ({ setting }) => {
    const { admit, now } = guarded(await setting())
    for (const algorithm of ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'])
      expect(await admit(await signed(signingKey(algorithm), admin(now())))).toMatchObject(refused)
    const other = { ...shared, privateKey: randomBytes(64) }
    expect(await admit(await signed(other, admin(now())))).toMatchObject(refused)
  })

  it('that mix the algorithms of two keys fail', async () => {
    const { admit, now } = guarded({ jwks: { file: await jwksFile(rsa, ec, edwards) } })
    // The right key under the name of another one.
    expect(await admit(await signed(ec, admin(now()), { kid: 'rsa' }))).toMatchObject(refused)
    const token = await signed(rsa, admin(now()))
    const [, body, signature] = token.split('.')
    expect(await admit(`${encoded({ alg: 'PS256', kid: 'rsa' })}.${body}.${signature}`)).toMatchObject(
      refused,
    )
    // The key says RS256, so that nothing else may be made of it.
    expect(await admit(await signed({ ...rsa, algorithm: 'PS256' }, admin(now())))).toMatchObject(refused)
  })

  it('with a hash that is longer than the secret fail', async () => {
    const { admit, now } = guarded({ secret: { file: file(secret.slice(0, 32)) } })
    const short = { ...shared, privateKey: Buffer.from(secret.slice(0, 32)) }
    expect(await admit(await signed(short, admin(now())))).toMatchObject({ roles: ['admin'] })
    expect(
      await admit(await signed({ ...short, privateKey: Buffer.from(secret) }, admin(now()))),
    ).toMatchObject(refused)
  })

  it('that ask for what is not understood fail', async () => {
    const { admit, now } = guarded({ publicKey: { file: file(pem(ec)) } })
    const header = { alg: 'ES256', crit: ['exp'], exp: 1 }
    const payload = Buffer.from(JSON.stringify(admin(now())))
    const critical = await new CompactSign(payload)
      .setProtectedHeader(header)
      .sign(ec.privateKey, { crit: { exp: true } })
    expect(await admit(critical)).toMatchObject(refused)
    const detached = await new CompactSign(payload)
      .setProtectedHeader({ alg: 'ES256', b64: false, crit: ['b64'] })
      .sign(ec.privateKey)
      .catch(() => 'a.b.c')
    expect(await admit(detached)).toMatchObject(refused)
  })

  it('that are encrypted fail', async () => {
    const { admit, now } = guarded({ secret: { file: file(secret.slice(0, 32)) } })
    const encrypted = await new EncryptJWT(admin(now()))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
      .encrypt(Buffer.from(secret.slice(0, 32)))
    expect(await admit(encrypted)).toMatchObject(refused)
  })

  it('with claims of other types fail, or say nothing', async () => {
    const { admit, now } = guarded({ publicKey: { file: file(pem(ec)) }, audience: 'shop' })
    const raw = async (text: string) =>
      admit(await new CompactSign(Buffer.from(text)).setProtectedHeader({ alg: 'ES256' }).sign(ec.privateKey))
    for (const text of ['null', '[]', '"admin"', '1', '{', ''])
      expect(await raw(text)).toMatchObject({ status: 401 })
    for (const exp of ['"2099-01-01"', 'true', 'null', '{}'])
      expect(await raw(`{"aud":"shop","exp":${exp},"roles":["admin"]}`)).toMatchObject({ status: 401 })
    const object = `{"aud":"shop","exp":${now() + 60},"roles":{"admin":true,"includes":"admin"}}`
    expect(await raw(object)).toMatchObject({ status: 403 })
  })

  it('cannot push out whoever is known', async () => {
    const { access, admit, now } = guarded({ publicKey: { file: file(pem(ec)) } })
    const token = await signed(ec, claims(now()))
    await admit(token)
    const [header, body] = token.split('.')
    for (let n = 0; n < 200; n++) await admit(`${header}.${body}.${n}${'A'.repeat(4_000)}`)
    const known = access.admit(ticketQuery, inquiry({ headers: { authorization: `Bearer ${token}` } }))
    expect(known).not.toBeInstanceOf(Promise)
  })
})

describe('access that is not set up', () => {
  it('lets in who asks for what everybody may see, and nobody else', async () => {
    const { admit, now } = guarded(undefined)
    const token = await signed(ec, claims(now()))
    expect(await admit(token, everybody)).toBeUndefined()
    for (const one of [token, undefined])
      expect(await admit(one)).toMatchObject({ status: 403, code: 'not_allowed' })
  })

  it('tells of each rule that it lets nobody through, once', () => {
    const { notices, routed } = guarded(undefined, everybody, ticketQuery)
    const told = () => notices.map(({ event, details }) => `${event} ${details?.rule}`)
    expect(told()).toEqual(['access_missing tickets'])
    const other = ruleFor('orders', { roles: ['a'] } satisfies RouteInput)
    routed(ticketQuery, other)
    routed(ticketQuery, other)
    expect(told()).toEqual(['access_missing tickets', 'access_missing orders'])
    routed()
    routed(ticketQuery)
    expect(told()).toHaveLength(3)
  })
})

describe('a reload of access', () => {
  const setting = (key: SigningKey) =>
    accessSetting('access', { publicKey: { file: file(pem(key)) } }, folder)

  it('takes effect with the next request', async () => {
    const { access, admit, notices, now } = guarded(undefined, ticketQuery)
    const tokens = { ec: await signed(ec, claims(now())), rsa: await signed(rsa, claims(now())) }
    access.reload(setting(ec))
    expect(await admit(tokens.ec)).toMatchObject({ subject: 'anna' })
    access.reload(setting(rsa))
    expect(await admit(tokens.ec)).toMatchObject({ code: 'unauthenticated' })
    expect(await admit(tokens.rsa)).toMatchObject({ subject: 'anna' })
    access.reload(undefined)
    expect(await admit(tokens.rsa)).toMatchObject({ code: 'not_allowed' })
    expect(notices.map(({ event }) => event)).toEqual(['access_missing', 'access_missing'])
  })

  it('tells of no rule that came together with the access that it needs', () => {
    const { access, notices, routes } = guarded(undefined)
    routes.table = tableOf([ticketQuery])
    access.reload(setting(ec))
    expect(notices).toEqual([])
  })

  it('changes nothing when the keys cannot be used, or when nothing changed', async () => {
    const { access, now } = guarded(undefined, ticketQuery)
    const good = setting(ec)
    access.reload(good)
    const asked = inquiry({ headers: { authorization: `Bearer ${await signed(ec, claims(now()))}` } })
    const known = await access.admit(ticketQuery, asked)
    const missing = { ...good, keys: { ...good.keys, at: join(folder, 'missing') } }
    expect(() => access.reload(missing)).toThrow(/missing cannot be read/)
    access.reload({ ...good })
    expect(access.admit(ticketQuery, asked)).toBe(known)
  })
})
