import type { Clock } from '@seamark/core'
import type { Identity } from '../ports.ts'

interface Verified {
  readonly identity: Identity
  /** Milliseconds since 1970: until when the token holds. */
  readonly until: number
}

/** What an entry takes beside its token, roughly. */
const overhead = 512

/**
 * Tokens that were verified, until they expire, so that only the first request with one costs a signature. Only tokens that
 * hold get in, so that strangers cannot push others out. Those that were not used for longest go first, roughly: what was
 * used since the older half was the younger one moves on.
 *
 * That it looks texts up is no oracle: a map compares a token only with one of the same hash, and these are seeded.
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
    const young = this.#young.get(token)
    const verified = young ?? this.#old.get(token)
    if (verified === undefined) return undefined
    if (this.#clock.date() >= verified.until) {
      this.#old.delete(token)
      if (this.#young.delete(token)) this.#youngBytes -= size(token)
      return undefined
    }
    if (young === undefined) this.#add(token, verified)
    return verified.identity
  }

  set(token: string, identity: Identity, until: number): void {
    if (!this.#young.has(token)) this.#add(token, { identity, until })
  }

  clear(): void {
    this.#young.clear()
    this.#old.clear()
    this.#youngBytes = 0
  }

  #add(token: string, verified: Verified): void {
    if (this.#youngBytes + size(token) > this.#halfBytes) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngBytes = 0
    }
    this.#young.set(token, verified)
    this.#youngBytes += size(token)
  }
}

/** The header has about as many characters as the claims in the token that it is made of. */
function size(token: string): number {
  return token.length * 2 + overhead
}
