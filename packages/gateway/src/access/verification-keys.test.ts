import { generateKeyPairSync, type KeyObject, randomBytes, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { pem, published, signingKey } from '../../test/tokens.ts'
import { verificationKeys } from './verification-keys.ts'

const { secret, publicKey, jwks } = verificationKeys
const rsa = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']

describe('keys to verify with', () => {
  it.each([
    [32, ['HS256']],
    [47, ['HS256']],
    [48, ['HS256', 'HS384']],
    [64, ['HS256', 'HS384', 'HS512']],
  ])('are a secret of %i bytes for %j', (bytes, algorithms) => {
    expect(secret(Buffer.alloc(bytes, 'x')).algorithms).toEqual(algorithms)
    expect(secret(Buffer.from(`${'x'.repeat(bytes)}\r\n`)).algorithms).toEqual(algorithms)
  })

  it('are no secret that is too short, without what an editor put behind it', () => {
    expect(() => secret(Buffer.from(`${'x'.repeat(31)}\n`))).toThrow('has 31 bytes')
    expect(() => secret(Buffer.alloc(0))).toThrow('has 0 bytes')
    expect(() => secret(randomBytes(31))).toThrow('at least 32')
  })

  it.each([
    ['RS256', rsa],
    ['ES256', ['ES256']],
    ['ES384', ['ES384']],
    ['ES512', ['ES512']],
    ['EdDSA', ['EdDSA', 'Ed25519']],
  ])('are a public key as for %s for %j', (algorithm, algorithms) => {
    expect(publicKey(Buffer.from(pem(signingKey(algorithm)))).algorithms).toEqual(algorithms)
  })

  it('are of a certificate, too', () => {
    const certificate = readFileSync(
      new URL('../../../../test/servers/certificates/server.pem', import.meta.url),
    )
    const { asymmetricKeyType } = new X509Certificate(certificate).publicKey
    expect(publicKey(certificate).algorithms).toEqual(asymmetricKeyType === 'rsa' ? rsa : ['ES256'])
  })

  /** As a text in PEM. */
  const text = (key: KeyObject) =>
    key.export({ format: 'pem', type: key.type === 'private' ? 'pkcs8' : 'spki' }).toString()

  it.each([
    ['garbage', 'key', 'no public key'],
    ['a private key', text(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey), 'private key'],
    ['a weak RSA key', text(generateKeyPairSync('rsa', { modulusLength: 1_024 }).publicKey), '2048 bits'],
    ['an unknown curve', text(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey), 'none of'],
    ['a key for no signatures', text(generateKeyPairSync('x25519').publicKey), 'none of'],
  ])('are not %s', (_what, text, problem) => {
    expect(() => publicKey(Buffer.from(text))).toThrow(problem)
  })

  it('are those of a set that are public and fit', async () => {
    const good = await published(signingKey('ES256', 'a'))
    const set = {
      keys: [
        null,
        'x',
        { kty: 'oct', k: 'AAAA' },
        { ...good, d: 'AAAA' },
        { kty: 'EC' },
        { kty: 'PQ' },
        good,
      ],
    }
    const keys = jwks(Buffer.from(JSON.stringify(set)))
    expect(keys.algorithms).not.toContain('HS256')
    expect(await keys.keyFor({ alg: 'ES256', kid: 'a' }, {} as never)).toBeDefined()
  })

  it.each([
    ['{', 'no JSON'],
    ['[]', 'no list "keys"'],
    ['null', 'no list "keys"'],
    ['{"keys": {}}', 'no list "keys"'],
    ['{"keys": []}', 'no public key'],
    ['{"keys": [{"kty": "oct", "k": "AAAA"}]}', 'no public key'],
    [JSON.stringify({ keys: Array(101).fill({}) }), 'more than 100'],
  ])('are not in %s', (text, problem) => {
    expect(() => jwks(Buffer.from(text))).toThrow(problem)
  })
})
