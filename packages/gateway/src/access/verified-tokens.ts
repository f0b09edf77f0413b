import type { Clock } from '@seamark/core'
import type { Identity } from '../ports.ts'

interface Verified {
  readonly token: string
  readonly identity: Identity
  /** Milliseconds since 1970: until when the token holds. */
  readonly until: number
}

/** What an entry takes beside its token, roughly. */
const overhead = 512

/** Characters at the end of a token, of its signature, that it is found by: to hash all of it takes longer than all the rest. */
const tail = 32

/**
 * Tokens that were verified, until they expire, so that only the first request with one costs a signature. Only tokens that
 * hold get in, so that strangers cannot push others out. Those that were not used for longest go first, roughly: what was
 * used since the older half was the younger one moves on.
 *
 * How long it takes to compare tells nobody anything: a token is compared only with one that has the same end of a signature.
 */
export class VerifiedTokens {
  readonly #clock: Clock
  readonly #halfBytes: number
  #young = new Map<string, Verified>()
  #old = new Map<string, Verified>()
  #youngBytes = 0

  /** Keeps `bytes` at most. */
  constructor(clock: Clock, bytes: number) {
    this.#clock = clock
    this.#halfBytes = bytes / 2
  }

  get(token: string): Identity | undefined {
    const key = token.slice(-tail)
    const young = this.#young.get(key)
    const verified = young ?? this.#old.get(key)
    if (verified === undefined || verified.token !== token) return undefined
    if (this.#clock.date() >= verified.until) {
      this.#old.delete(key)
      if (this.#young.delete(key)) this.#youngBytes -= size(token)
      return undefined
    }
    if (young === undefined) this.#add(key, verified)
    return verified.identity
  }

  set(token: string, identity: Identity, until: number): void {
    const key = token.slice(-tail)
    if (!this.#young.has(key)) this.#add(key, { token, identity, until })
  }

  clear(): void {
    this.#young.clear()
    this.#old.clear()
    this.#youngBytes = 0
  }

  #add(key: string, verified: Verified): void {
    const bytes = size(verified.token)
    if (this.#youngBytes + bytes > this.#halfBytes) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngBytes = 0
    }
    this.#young.set(key, verified)
    this.#youngBytes += bytes
  }
}

/** The header has about as many characters as the claims in the token that it is made of. */
function size(token: string): number {
  return token.length * 2 + overhead
}
