import { createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { createLocalJWKSet, type JWK, type JWTVerifyGetKey } from 'jose'
import type { KeySetting } from './access-setting.ts'

/** What tokens are verified with. */
export interface VerificationKeys {
  /**
   * Those that fit the keys, and no other: a token that says it was made with another is refused before any key is tried. So nobody
   * can use a public key as if it were a shared secret, nor "none".
   */
  readonly algorithms: readonly string[]
  readonly keyFor: JWTVerifyGetKey
}

/** Keys of a set; the rest would only slow down whoever looks for one. */
const mostKeys = 100

/** RFC 7518, 3.2: a secret has at least as many bits as the hash. */
const secretAlgorithms: readonly (readonly [bytes: number, algorithm: string])[] = [
  [32, 'HS256'],
  [48, 'HS384'],
  [64, 'HS512'],
]

const rsa = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
const edwards = ['EdDSA', 'Ed25519']
const curves: Readonly<Record<string, readonly string[]>> = {
  prime256v1: ['ES256'],
  secp384r1: ['ES384'],
  secp521r1: ['ES512'],
}

/** Reads keys. Throws an `Error` whose message follows the name of where they were, such as "is no PEM". */
export const verificationKeys: Readonly<Record<KeySetting['kind'], (bytes: Buffer) => VerificationKeys>> = {
  secret(bytes) {
    // Editors, and `echo`, put a line's end there.
    const end = /\r?\n$/.exec(bytes.subarray(-2).toString('latin1'))?.[0].length ?? 0
    const secret = bytes.subarray(0, bytes.length - end)
    const algorithms = secretAlgorithms.filter(([least]) => secret.length >= least).map(([, name]) => name)
    if (algorithms.length === 0)
      throw new Error(`has ${secret.length} bytes: a secret must have at least 32, made at random`)
    return { algorithms, keyFor: always(createSecretKey(secret)) }
  },

  publicKey(bytes) {
    const pem = bytes.toString('latin1')
    if (pem.includes('PRIVATE KEY'))
      throw new Error('holds a private key: the gateway must have nothing but the public one')
    let key: KeyObject
    try {
      key = createPublicKey(pem)
    } catch (cause) {
      throw new Error('holds no public key and no certificate in PEM', { cause })
    }
    return { algorithms: algorithmsOf(key), keyFor: always(key) }
  },

  jwks(bytes) {
    let set: unknown
    try {
      set = JSON.parse(bytes.toString('utf8'))
    } catch {
      throw new Error('is no JSON')
    }
    const given = typeof set === 'object' && set !== null && 'keys' in set ? set.keys : undefined
    if (!Array.isArray(given)) throw new Error('is no JWKS: it has no list "keys"')
    if (given.length > mostKeys) throw new Error(`has more than ${mostKeys} keys`)
    const usable = given.filter(isUsable)
    if (usable.length === 0) throw new Error('has no public key that signatures can be verified with')
    // Of these, jose takes only one whose type and curve fit the token's algorithm, and never one for HS256.
    return {
      algorithms: [...rsa, ...Object.values(curves).flat(), ...edwards],
      keyFor: createLocalJWKSet({ keys: usable }),
    }
  },
}

function always(key: KeyObject): JWTVerifyGetKey {
  const found = Promise.resolve(key)
  return () => found
}

function isUsable(jwk: unknown): jwk is JWK {
  if (typeof jwk !== 'object' || jwk === null || 'd' in jwk || 'k' in jwk) return false
  try {
    algorithmsOf(createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' }))
    return true
  } catch {
    return false
  }
}

function algorithmsOf({
  asymmetricKeyType: type,
  asymmetricKeyDetails: details,
}: KeyObject): readonly string[] {
  if (type === 'rsa') {
    // RFC 7518, 3.3.
    if ((details?.modulusLength ?? 0) < 2_048) throw new Error('holds an RSA key of less than 2048 bits')
    return rsa
  }
  if (type === 'ed25519') return edwards
  const fitting = type === 'ec' ? curves[details?.namedCurve ?? ''] : undefined
  if (fitting === undefined)
    throw new Error('holds a key that is none of RSA, Ed25519, and EC on P-256, P-384 or P-521')
  return fitting
}
