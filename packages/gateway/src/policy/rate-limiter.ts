import type { Clock } from '@seamark/core'
import { clientNetwork } from './client-network.ts'
import type { RateLimit } from './policy.ts'

/** When all that was let in so far is paid off: the "theoretical arrival time" of GCRA. */
interface Account {
  paidAt: number
}

/** Milliseconds that sums of fractions may be off. */
const rounding = 0.001

/** Accounts that are shared by clients for which there is no room: a power of two. */
const sharedAccounts = 1_024

/**
 * Lets requests in at a steady rate, and some at once after a pause: GCRA (ITU-T I.371), so that a client costs one number, and no timer.
 *
 * A client that is not known is one that owes nothing, so whoever owes nothing can be forgotten: those that were not let in
 * for as long as a full burst takes to be paid off go together, as the older of two halves. Nobody else is forgotten, however many come: when
 * there is no room, newcomers share accounts. So nobody gets rid of a debt by coming with many addresses.
 */
export class RateLimiter {
  readonly #clock: Clock
  /** Milliseconds that one request takes to be paid off. */
  readonly #cost: number
  /** Milliseconds of debt with which one more is let in. */
  readonly #credit: number
  readonly #mostClients: number
  readonly #everybody: Account | undefined
  #young = new Map<string, Account>()
  #old = new Map<string, Account>()
  #turnedAt: number
  #shared: Account[] | undefined
  /** Makes who shares with whom unknown to those outside. */
  readonly #seed: number

  constructor(
    { requests, per, burst, by }: RateLimit,
    { clock, random }: { readonly clock: Clock; readonly random: () => number },
    mostClients = 100_000,
  ) {
    this.#clock = clock
    this.#cost = per / requests
    this.#credit = this.#cost * (burst - 1) + rounding
    this.#mostClients = mostClients
    this.#everybody = by === 'rule' ? { paidAt: Number.NEGATIVE_INFINITY } : undefined
    this.#turnedAt = clock.now()
    this.#seed = Math.floor(random() * 2 ** 32)
  }

  /** 0: it may enter, and owes for it. Otherwise the milliseconds after which it may. */
  enter(address: string): number {
    const now = this.#clock.now()
    const account = this.#everybody ?? this.#accountOf(clientNetwork(address), now)
    const debt = Math.max(0, account.paidAt - now)
    if (debt > this.#credit) return debt - this.#credit
    account.paidAt = now + debt + this.#cost
    return 0
  }

  /** How many clients are known. */
  get clients(): number {
    return this.#young.size + this.#old.size
  }

  #accountOf(client: string, now: number): Account {
    // As long as it takes until whoever was let in before owes nothing.
    const turn = this.#credit + this.#cost
    if (now - this.#turnedAt >= turn) {
      this.#old = now - this.#turnedAt >= 2 * turn ? new Map() : this.#young
      this.#young = new Map()
      this.#turnedAt = now
    }
    const young = this.#young.get(client)
    if (young !== undefined) return young
    const old = this.#old.get(client)
    if (old === undefined && this.clients >= this.#mostClients) return this.#sharedAccount(client)
    const account = old ?? { paidAt: now }
    if (old !== undefined) this.#old.delete(client)
    this.#young.set(client, account)
    return account
  }

  #sharedAccount(client: string): Account {
    this.#shared ??= Array.from({ length: sharedAccounts }, () => ({ paidAt: Number.NEGATIVE_INFINITY }))
    // FNV-1a.
    let hash = this.#seed
    for (let index = 0; index < client.length; index++)
      hash = Math.imul(hash ^ client.charCodeAt(index), 0x01000193)
    return this.#shared[(hash ^ (hash >>> 16)) & (sharedAccounts - 1)]!
  }
}
