import { type Clock, type Duration, invalidField, milliseconds } from '@seamark/core'
import type { Condition } from './condition.ts'

export interface OutlierOptions {
  /** Failures in a row that it takes. Default 5, as Envoy. */
  readonly failures?: number
  /** For how long an instance is ejected the first time; the second time for twice as long, and so on. Default 30 s, as Envoy. */
  readonly ejection?: Duration
  /** At most. Default 5 minutes, as Envoy. */
  readonly longestEjection?: Duration
  /** The share of a service that may be ejected at a time; one instance always may. Default 0.1, as Envoy. */
  readonly share?: number
}

/** The same, checked, with its defaults and in ms. */
export type OutlierSetting = { readonly [Name in keyof OutlierOptions]-?: number }

/** Throws `invalid_field`. */
export function outlierSetting(options: OutlierOptions): OutlierSetting {
  const { failures = 5, ejection = 30_000, longestEjection = 300_000, share = 0.1 } = options
  if (!Number.isInteger(failures) || failures < 1)
    throw invalidField('outliers/failures', 'must be a whole number of at least 1')
  if (!(share >= 0 && share <= 1)) throw invalidField('outliers/share', 'must be a share, from 0 to 1')
  return {
    failures,
    share,
    ejection: milliseconds('outliers/ejection', ejection),
    longestEjection: milliseconds('outliers/longestEjection', longestEjection),
  }
}

/** Milliseconds between two comparisons of success rates, and for which an ejection is remembered: Envoy's. */
const interval = 10_000
/** Instances with so many requests each that it takes to compare, and how far below the mean is too far: Envoy's. */
const comparison = { instances: 5, requests: 100, deviations: 1.9 }

/** Ejects instances that fail while others do not. */
export class OutlierDetection {
  readonly #setting: OutlierSetting
  readonly #conditions: () => Iterable<Condition>
  #comparedAt: number

  constructor(clock: Clock, conditions: () => Iterable<Condition>, setting: OutlierSetting) {
    this.#conditions = conditions
    this.#setting = setting
    this.#comparedAt = clock.now()
  }

  /** A request came to its end now. Answers whether the instance is ejected because of it. */
  observe(condition: Condition, success: boolean, now: number): boolean {
    condition.requests++
    if (success) {
      condition.successes++
      condition.failures = 0
    } else condition.failures++
    const ejected = condition.failures >= this.#setting.failures && this.#eject(condition, now)
    if (now - this.#comparedAt >= interval) return this.#compare(now) || ejected
    return ejected
  }

  #eject(condition: Condition, now: number): boolean {
    if (condition.outUntil > now || !this.#isBearable(now)) return false
    const past = Math.floor((now - condition.outUntil) / interval)
    condition.ejections = Math.max(0, condition.ejections - past) + 1
    condition.outUntil =
      now + Math.min(this.#setting.ejection * condition.ejections, this.#setting.longestEjection)
    // Back from it, one more failure is enough.
    condition.failures = this.#setting.failures - 1
    return true
  }

  /** Whether one more may go. */
  #isBearable(now: number): boolean {
    let all = 0
    let out = 0
    for (const { outUntil } of this.#conditions()) {
      all++
      if (outUntil > now) out++
    }
    return out + 1 <= Math.max(1, Math.floor(all * this.#setting.share))
  }

  /** Ejects those whose success rate is far below that of the others. */
  #compare(now: number): boolean {
    this.#comparedAt = now
    const rates: { readonly condition: Condition; readonly rate: number }[] = []
    for (const condition of this.#conditions()) {
      const { successes, requests } = condition
      if (requests >= comparison.requests) rates.push({ condition, rate: successes / requests })
      condition.successes = 0
      condition.requests = 0
    }
    if (rates.length < comparison.instances) return false
    const mean = rates.reduce((sum, { rate }) => sum + rate, 0) / rates.length
    const variance = rates.reduce((sum, { rate }) => sum + (rate - mean) ** 2, 0) / rates.length
    const least = mean - comparison.deviations * Math.sqrt(variance)
    let any = false
    for (const { condition, rate } of rates) if (rate < least) any = this.#eject(condition, now) || any
    return any
  }
}
