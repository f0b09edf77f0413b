import { type Clock, type Notify, SeamarkError } from '@seamark/core'
import { cookieValues } from '../access/cookie.ts'
import type { Fallback, Guard, Inquiry, Outcome, Part, Pass, Rule } from '../ports.ts'
import { CircuitBreaker, type CircuitState, type Epoch } from './circuit-breaker.ts'
import { fallback } from './fallback.ts'
import { all, type Parts, parts } from './parts.ts'
import type { Canary } from './policy.ts'
import { RateLimiter } from './rate-limiter.ts'

export interface GuardHost {
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  /** Hears of `circuit_opened` and `circuit_closed`. */
  readonly notify: Notify
}

/** Of requests that are neither counted nor judged. */
const freePass: Pass = { settle() {}, leave() {} }

/** Lets a rule's requests in as its policy says. */
export function guard(rule: Rule, host: GuardHost): Guard {
  return new PolicyGuard(rule, host)
}

class PolicyGuard implements Guard {
  readonly fallback: Fallback | undefined
  readonly #rule: Rule
  readonly #host: GuardHost
  readonly #rate: RateLimiter | undefined
  readonly #circuit: CircuitBreaker | undefined
  readonly #most: number | undefined
  readonly #parts: Parts | undefined
  #underway = 0

  constructor(rule: Rule, host: GuardHost) {
    const { concurrency, rate, circuit, fallback: instead, canary } = rule.policy
    this.#rule = rule
    this.#host = host
    this.#most = concurrency
    this.#rate = rate && new RateLimiter(rate, host)
    this.#circuit = circuit && new CircuitBreaker(circuit, host.clock, (state) => this.#tell(state))
    this.#parts = canary && parts(canary.select)
    this.fallback = instead && fallback(instead, rule.service.namespace, host.clock)
  }

  enter(inquiry: Inquiry): Pass {
    const wait = this.#rate?.enter(inquiry.client) ?? 0
    if (wait > 0)
      throw new SeamarkError('too_many', 'Too many requests: this route takes them more slowly.', {
        details: { retryAfter: seconds(wait) },
      })
    if (this.#most !== undefined && this.#underway >= this.#most)
      throw overloaded('concurrency', 'As many requests as this route takes at once are under way.', 1)
    // The last to be asked: whoever it lets in may be the one that tries the service.
    const rest = this.#circuit?.enter() ?? 0
    if (rest > 0)
      throw overloaded('circuit', 'The service behind this route fails, and is left alone.', seconds(rest))
    if (this.#most === undefined && this.#circuit === undefined) return freePass
    this.#underway++
    return new CountedPass(this, this.#circuit?.epoch ?? 0)
  }

  settled(epoch: Epoch, outcome: Outcome): void {
    this.#circuit?.settle(epoch, outcome)
  }

  left(): void {
    this.#underway--
  }

  part(inquiry: Inquiry): Part {
    const { canary } = this.#rule.policy
    if (this.#parts === undefined || canary === undefined) return all
    const isPinned = pinned(canary, inquiry)
    return (isPinned ?? this.#host.random() < canary.share) ? this.#parts.canary : this.#parts.rest
  }

  #tell(state: CircuitState): void {
    if (state === 'half-open') return
    const { name } = this.#rule
    this.#host.notify(
      state === 'open'
        ? {
            level: 'warn',
            event: 'circuit_opened',
            message: `Too many requests of ${name} failed: it is left alone, but for one that tries now and then.`,
            details: { rule: name },
          }
        : {
            level: 'info',
            event: 'circuit_closed',
            message: `A request of ${name} succeeded: all are let in again.`,
            details: { rule: name },
          },
    )
  }
}

class CountedPass implements Pass {
  readonly #guard: PolicyGuard
  readonly #epoch: Epoch
  #isSettled = false
  #hasLeft = false

  constructor(owner: PolicyGuard, epoch: Epoch) {
    this.#guard = owner
    this.#epoch = epoch
  }

  settle(outcome: Outcome): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.#guard.settled(this.#epoch, outcome)
  }

  leave(): void {
    if (this.#hasLeft) return
    this.#hasLeft = true
    this.settle('cancelled')
    this.#guard.left()
  }
}

/** Whether the request asks for the canary, or not to be its; `undefined` when it says nothing. The header comes first. */
function pinned({ header, cookie }: Canary, { headers }: Inquiry): boolean | undefined {
  const said = header && headers[header.name]
  if (said !== undefined) return said === header!.value
  const values = cookie === undefined ? [] : cookieValues(headers.cookie, cookie.name)
  return values.length === 0 ? undefined : values.includes(cookie!.value)
}

function overloaded(reason: 'concurrency' | 'circuit', message: string, retryAfter: number): SeamarkError {
  return new SeamarkError('overloaded', message, { details: { reason, retryAfter } })
}

/** At least one, as whoever is told 0 comes back at once. */
function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1_000))
}
