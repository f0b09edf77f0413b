import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { exportJWK, type JWK, type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose'

/** What an issuer signs with. */
export interface SigningKey {
  readonly algorithm: string
  readonly kid: string | undefined
  readonly privateKey: KeyObject | Uint8Array
  readonly publicKey: KeyObject
}

const curves: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }

export function signingKey(algorithm: string, kid?: string): SigningKey {
  const pair = /^[RP]S/.test(algorithm)
    ? generateKeyPairSync('rsa', { modulusLength: 2_048 })
    : algorithm.startsWith('ES')
      ? generateKeyPairSync('ec', { namedCurve: curves[algorithm]! })
      : generateKeyPairSync('ed25519')
  return { algorithm, kid, ...pair }
}

/** As it is published. */
export async function published({ publicKey, algorithm, kid }: SigningKey): Promise<JWK> {
  return { ...(await exportJWK(publicKey)), alg: algorithm, use: 'sig', ...(kid !== undefined && { kid }) }
}

export function pem({ publicKey }: SigningKey): string {
  return publicKey.export({ type: 'spki', format: 'pem' }).toString()
}

/** A token of that key; `exp` and what else is given go into it as they are. */
export function signed(
  { algorithm, kid, privateKey }: Pick<SigningKey, 'algorithm' | 'kid' | 'privateKey'>,
  claims: JWTPayload,
  header: Partial<JWTHeaderParameters> = {},
): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: algorithm, ...(kid !== undefined && { kid }), ...header })
    .sign(privateKey)
}

/** A part of a token. */
export function encoded(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
