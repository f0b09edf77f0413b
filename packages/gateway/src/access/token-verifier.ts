import type { Clock, SeamarkError } from '@seamark/core'
import { errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose'
import type { Identity } from '../ports.ts'
import type { AccessSetting } from './access-setting.ts'
import { unauthenticated } from './challenge.ts'
import { identity } from './identity.ts'
import { Keyring, type KeyringHost } from './keyring.ts'
import type { VerificationKeys } from './verification-keys.ts'
import { VerifiedTokens } from './verified-tokens.ts'

/** Characters of a token; browsers keep cookies of about half as many. */
const mostCharacters = 8_192
/** Bytes of tokens that were verified. */
const cacheBytes = 33_554_432

/** Tells who a token is about, if it holds. */
export class TokenVerifier implements AsyncDisposable {
  readonly #clock: Clock
  readonly #setting: AccessSetting
  readonly #keyring: Keyring
  readonly #verified: VerifiedTokens
  /** With which the tokens were verified that are kept. */
  #keys: VerificationKeys | undefined
  /** Several requests with a new token cost one signature. */
  readonly #underway = new Map<string, Promise<Identity>>()

  /** Throws `configuration`. */
  constructor(setting: AccessSetting, host: KeyringHost) {
    this.#setting = setting
    this.#clock = host.clock
    this.#verified = new VerifiedTokens(host.clock, cacheBytes)
    this.#keyring = new Keyring(setting.keys, host)
  }

  /** Throws `unauthenticated` and `keys_unavailable`. Answers at once for a token that was verified before. */
  verify(token: string): Identity | Promise<Identity> {
    this.#followKeys()
    const known = this.#verified.get(token) ?? this.#underway.get(token)
    if (known !== undefined) return known
    const verifying = this.#verify(token).finally(() => this.#underway.delete(token))
    this.#underway.set(token, verifying)
    return verifying
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#keyring[Symbol.asyncDispose]()
  }

  /** What was signed with a key that is no more must not outlive it. */
  #followKeys(): void {
    const { keys } = this.#keyring
    if (keys === this.#keys) return
    this.#verified.clear()
    this.#keys = keys
  }

  async #verify(token: string): Promise<Identity> {
    if (token.length > mostCharacters)
      throw unauthenticated('invalid', `The token has more than ${mostCharacters} characters.`)
    const keys = await this.#keyring.ready()
    const { claims, keys: used } = await this.#claims(token, keys)
    const found = identity(claims, this.#setting.roles)
    if (found === undefined) throw unauthenticated('invalid', 'The token says more than can be passed on.')
    const { clockTolerance } = this.#setting
    const until = claims.exp === undefined ? Number.POSITIVE_INFINITY : claims.exp * 1_000 + clockTolerance
    this.#followKeys()
    // Others may have come in the meantime.
    if (used === this.#keys) this.#verified.set(token, found, until)
    return found
  }

  async #claims(
    token: string,
    keys: VerificationKeys,
  ): Promise<{ readonly claims: JWTPayload; readonly keys: VerificationKeys }> {
    try {
      return { claims: await this.#signed(token, keys), keys }
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw refusal(error)
    }
    const renewed = await this.#keyring.renewed(keys)
    if (renewed === undefined)
      throw unauthenticated('invalid', 'The token was made with a key that is not known.')
    try {
      return { claims: await this.#signed(token, renewed), keys: renewed }
    } catch (error) {
      throw refusal(error)
    }
  }

  /** What the token says, if one of the keys fits. Throws jose's errors. */
  async #signed(token: string, { algorithms, keyFor }: VerificationKeys): Promise<JWTPayload> {
    const { issuer, audience, clockTolerance, requireExpiry } = this.#setting
    const options: JWTVerifyOptions = {
      algorithms: [...algorithms],
      clockTolerance: clockTolerance / 1_000,
      currentDate: new Date(this.#clock.date()),
      ...(issuer !== undefined && { issuer: [...issuer] }),
      ...(audience !== undefined && { audience: [...audience] }),
      ...(requireExpiry && { requiredClaims: ['exp'] }),
    }
    try {
      return (await jwtVerify(token, keyFor, options)).payload
    } catch (error) {
      // The token names no key, and there are several that could have made it.
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
      for await (const key of error) {
        try {
          return (await jwtVerify(token, key, options)).payload
        } catch (mismatch) {
          if (!(mismatch instanceof errors.JWSSignatureVerificationFailed)) throw mismatch
        }
      }
      throw new errors.JWSSignatureVerificationFailed()
    }
  }
}

/** Without what holds all that the token says as its cause: a log is no place for that. */
function refusal(error: unknown): SeamarkError {
  if (error instanceof errors.JWTExpired) return unauthenticated('expired', 'The token has expired.')
  if (error instanceof errors.JWTClaimValidationFailed)
    return unauthenticated('invalid', `The token's claim "${error.claim}" is missing, or not as it must be.`)
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return unauthenticated('invalid', 'The signature of the token is not right.')
  if (error instanceof errors.JOSEAlgNotAllowed)
    return unauthenticated('invalid', 'The token was made with an algorithm that is not accepted.')
  return unauthenticated('invalid', 'The token is none that can be read.', error)
}
