import {
  affinity,
  type Balancer,
  type Choice,
  type Clock,
  candidates,
  type Duration,
  type Entry,
  invalidField,
  leastCost,
  milliseconds,
  roundRobin,
  type Selection,
  type Snapshot,
  select,
  slowStart,
  subset,
  weightedRandom,
  zoneAware,
} from '@seamark/core'
import { Condition } from './condition.ts'
import {
  OutlierDetection,
  type OutlierOptions,
  type OutlierSetting,
  outlierSetting,
} from './outlier-detection.ts'
import { checkedBudget, RetryBudget, type RetryBudgetOptions } from './retry-budget.ts'

const balancers = {
  'least-cost': leastCost,
  'round-robin': roundRobin,
  random: weightedRandom,
  affinity,
} as const

/** How requests are spread over a service's instances. */
export interface TrafficOptions {
  /**
   * `least-cost` sends to the better of two at random, by their latency times the requests under way; `round-robin`, `random`, all three by
   * weight; `affinity` sends equal keys to the same instance. Default `least-cost`.
   */
  readonly balancer?: keyof typeof balancers
  /** The caller's zone: requests stay in it while its instances can take them. Default: zones make no difference. */
  readonly zone?: string | undefined
  /** Talk only to so many instances of a larger service. Default: to all. */
  readonly subset?: number | undefined
  /** When less than this share of a service is healthy, health is not believed. Default 0.5, as Envoy; 0 always believes it. */
  readonly panic?: number
  /** For how long an instance that comes later gets less, from a tenth of its share on. Default 10 s; 0 turns it off. */
  readonly slowStart?: Duration
  /** Default as in `OutlierOptions`; `false` ejects nobody. */
  readonly outliers?: OutlierOptions | false
  readonly retryBudget?: RetryBudgetOptions
}

/** The same, checked, and with its defaults. */
export interface TrafficSetting {
  readonly balancer: Balancer
  readonly zone: string | undefined
  readonly subset: number | undefined
  readonly panic: number
  /** Milliseconds. */
  readonly slowStart: number
  readonly outliers: OutlierSetting | undefined
  readonly retryBudget: RetryBudgetOptions
}

/** Throws `invalid_field`. */
export function trafficSetting(options: TrafficOptions = {}): TrafficSetting {
  const { balancer = 'least-cost', zone, panic = 0.5, outliers = {}, retryBudget = {} } = options
  if (!Object.hasOwn(balancers, balancer))
    throw invalidField('balancer', `must be one of ${Object.keys(balancers).join(', ')}`)
  if (!(panic >= 0 && panic <= 1)) throw invalidField('panic', 'must be a share, from 0 to 1')
  if (options.subset !== undefined && (!Number.isInteger(options.subset) || options.subset < 1))
    throw invalidField('subset', 'must be a whole number of at least 1')
  return {
    balancer: balancers[balancer],
    zone,
    subset: options.subset,
    panic,
    slowStart: milliseconds('slowStart', options.slowStart ?? 10_000),
    outliers: outliers === false ? undefined : outlierSetting(outliers),
    retryBudget: checkedBudget(retryBudget),
  }
}

/** What a newcomer begins with. */
const coldest = 0.1
/** Prepared selections kept for one snapshot. */
const mostSelections = 100
/** Milliseconds that an instance may ask to be left alone for, at most. */
const longestRest = 60_000

/** What is asked of one choice. */
export interface Wish {
  readonly filter?: Omit<Selection, 'health'> | undefined
  /** Only instances of this scheme. */
  readonly scheme?: string | undefined
  readonly key?: string | undefined
  /** Those that were tried before. */
  readonly tried?: readonly Entry[] | undefined
}

type Choose = (choice: Choice) => Entry | undefined

export interface TrafficHost {
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  /** What this caller is called, among those that share a service out. */
  readonly caller: string
  /** The latest snapshot: the same object until something changes. */
  readonly snapshot: () => Snapshot
}

/**
 * The requests that one caller sends to one service: chooses who gets the next one, and learns from how the last ones went.
 */
export class Traffic {
  readonly budget: RetryBudget
  readonly #host: TrafficHost
  readonly #setting: TrafficSetting
  readonly #outliers: OutlierDetection | undefined
  /** By instance id. */
  readonly #conditions = new Map<string, Condition>()
  #byEntry = new WeakMap<Entry, Condition>()
  #snapshot: Snapshot | undefined
  #prepared = new Map<string, Choose>()
  #turn = 0
  /** Until when somebody is out, or cold: before that nobody needs to be asked. */
  #outUntil = Number.NEGATIVE_INFINITY
  #coldUntil = Number.NEGATIVE_INFINITY

  constructor(host: TrafficHost, setting: TrafficSetting) {
    this.#host = host
    this.#setting = setting
    this.#outliers =
      setting.outliers === undefined
        ? undefined
        : new OutlierDetection(host.clock, () => this.#conditions.values(), setting.outliers)
    this.budget = new RetryBudget(host.clock, setting.retryBudget)
  }

  /** Who gets the next request. Those that are ejected do only when nobody else is left; those tried before never do. */
  choose(wish: Wish = {}): Entry | undefined {
    const choose = this.#prepare(wish)
    const { tried, key } = wish
    const now = this.#host.clock.now()
    const base: Choice = {
      random: this.#host.random(),
      turn: this.#turn++,
      cost: (entry) => this.condition(entry).cost(now),
      ...(key !== undefined && { key }),
      ...(now < this.#coldUntil && { warmth: (entry) => this.#warmth(entry, now) }),
    }
    const wasTried = tried === undefined || tried.length === 0 ? undefined : isIn(tried)
    if (now < this.#outUntil) {
      const isOut = (entry: Entry) => this.condition(entry).outUntil > now || wasTried?.(entry) === true
      const found = choose({ ...base, avoid: isOut })
      if (found !== undefined) return found
    }
    return choose(wasTried === undefined ? base : { ...base, avoid: wasTried })
  }

  /** How an instance fares. */
  condition(entry: Entry): Condition {
    let condition = this.#byEntry.get(entry)
    if (condition === undefined) {
      const { id } = entry.instance
      condition = this.#conditions.get(id) ?? new Condition(this.#host.clock.now())
      this.#conditions.set(id, condition)
      this.#byEntry.set(entry, condition)
    }
    return condition
  }

  /** The instance answered, or did not, after `latency` ms. */
  observe(condition: Condition, success: boolean, latency: number): void {
    const now = this.#host.clock.now()
    condition.observe(latency, now)
    if (this.#outliers?.observe(condition, success)) this.#out()
  }

  /** The instance asks to be left alone, for so many ms. */
  rest(condition: Condition, duration: number): void {
    const until = this.#host.clock.now() + Math.min(duration, longestRest)
    condition.outUntil = Math.max(condition.outUntil, until)
    this.#out()
  }

  #out(): void {
    for (const { outUntil } of this.#conditions.values()) this.#outUntil = Math.max(this.#outUntil, outUntil)
  }

  #warmth(entry: Entry, now: number): number {
    return Math.min(1, Math.max(coldest, (now - this.condition(entry).since) / this.#setting.slowStart))
  }

  #prepare({ filter, scheme }: Wish): Choose {
    const snapshot = this.#host.snapshot()
    if (snapshot !== this.#snapshot) this.#update(snapshot)
    const name = filter === undefined ? (scheme ?? '') : `${scheme ?? ''} ${JSON.stringify(filter)}`
    let prepared = this.#prepared.get(name)
    if (prepared === undefined) {
      const fitting = select(snapshot.entries, filter ?? {}).filter(
        ({ instance }) => scheme === undefined || instance.scheme === scheme,
      )
      const { balancer, zone, panic, subset: size } = this.#setting
      const part = size === undefined ? fitting : subset(fitting, size, this.#host.caller)
      const near = zone === undefined ? balancer : zoneAware(balancer, { zone, registered: part })
      prepared = slowStart(near)(candidates(part, panic))
      if (this.#prepared.size >= mostSelections) this.#prepared.clear()
      this.#prepared.set(name, prepared)
    }
    return prepared
  }

  #update(snapshot: Snapshot): void {
    const now = this.#host.clock.now()
    // Whoever is there from the beginning is no newcomer.
    const since = this.#snapshot === undefined ? Number.NEGATIVE_INFINITY : now
    const present = new Set<string>()
    for (const { instance } of snapshot.entries) {
      present.add(instance.id)
      if (this.#conditions.has(instance.id)) continue
      this.#conditions.set(instance.id, new Condition(since))
      this.#coldUntil = Math.max(this.#coldUntil, since + this.#setting.slowStart)
    }
    for (const [id, { pending }] of this.#conditions)
      if (!present.has(id) && pending === 0) this.#conditions.delete(id)
    this.#byEntry = new WeakMap()
    this.#snapshot = snapshot
    this.#prepared = new Map()
  }
}

function isIn(tried: readonly Entry[]): (entry: Entry) => boolean {
  if (tried.length === 1) {
    const [only] = tried
    return ({ instance }) => instance.id === only!.instance.id
  }
  const ids = new Set(tried.map(({ instance }) => instance.id))
  return ({ instance }) => ids.has(instance.id)
}
