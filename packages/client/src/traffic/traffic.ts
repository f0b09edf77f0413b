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
import { endpoint } from '../endpoint.ts'
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
  if (zone !== undefined && (typeof zone !== 'string' || zone === ''))
    throw invalidField('zone', 'must be the name of a zone')
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
  /** The same object for equal wishes, as far as possible: then its preparation is found faster. It must not change. */
  readonly filter?: Filter | undefined
  /** Only instances with TLS. */
  readonly secure?: boolean | undefined
  /** What the request is about, for `affinity`. */
  readonly key?: string | undefined
  /** Those that were tried before. */
  readonly tried?: readonly Entry[] | undefined
}

type Filter = Omit<Selection, 'health'>
type Choose = (choice: Choice) => Entry | undefined

const everybody: Filter = {}
const anybody: Wish = {}

export interface TrafficHost {
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  /** What this caller is called, among those that share a service out. */
  readonly caller: string
  /** The latest snapshot: the same object until something changes. */
  readonly snapshot: () => Snapshot
}

/** What is chosen from in one snapshot, prepared when it is first wanted. */
class Prepared {
  readonly #prepare: (filter: Filter, secure: boolean) => Choose
  readonly #byFilter = new WeakMap<Filter, Choose>()
  readonly #secureByFilter = new WeakMap<Filter, Choose>()
  readonly #byName = new Map<string, Choose>()

  constructor(prepare: (filter: Filter, secure: boolean) => Choose) {
    this.#prepare = prepare
  }

  find({ filter = everybody, secure = false }: Wish): Choose {
    const known = secure ? this.#secureByFilter : this.#byFilter
    let choose = known.get(filter)
    if (choose === undefined) {
      const name = `${secure} ${JSON.stringify(filter)}`
      choose = this.#byName.get(name) ?? this.#prepare(filter, secure)
      if (this.#byName.size >= mostSelections) this.#byName.clear()
      this.#byName.set(name, choose)
      known.set(filter, choose)
    }
    return choose
  }
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
  #prepared: Prepared
  #turn = 0
  /** Until when somebody is out, or cold: before that nobody needs to be asked. */
  #outUntil = Number.NEGATIVE_INFINITY
  #coldUntil = Number.NEGATIVE_INFINITY
  /** When the choice is made. */
  #now = 0
  readonly #cost = (entry: Entry) => this.condition(entry).cost(this.#now)
  readonly #warmth = (entry: Entry) => {
    const age = this.#now - this.condition(entry).since
    return Math.min(1, Math.max(coldest, age / this.#setting.slowStart))
  }

  constructor(host: TrafficHost, setting: TrafficSetting) {
    this.#host = host
    this.#setting = setting
    this.#outliers =
      setting.outliers === undefined
        ? undefined
        : new OutlierDetection(host.clock, () => this.#conditions.values(), setting.outliers)
    this.budget = new RetryBudget(host.clock, setting.retryBudget)
    this.#prepared = this.#newlyPrepared()
  }

  /**
   * Who gets the next request: an instance that is reached over HTTP. Those that are ejected do only when nobody else is left;
   * those tried before never do.
   */
  choose(wish: Wish = anybody, now = this.#host.clock.now()): Entry | undefined {
    this.refresh()
    const choose = this.#prepared.find(wish)
    const { tried, key } = wish
    this.#now = now
    const random = this.#host.random()
    const turn = this.#turn++
    const isWarm = now >= this.#coldUntil
    const base: Choice =
      key === undefined && isWarm
        ? { random, turn, cost: this.#cost }
        : {
            ...{ random, turn, cost: this.#cost },
            ...(key !== undefined && { key }),
            ...(!isWarm && { warmth: this.#warmth }),
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

  /** The instance answered, or did not, after `latency` ms; it is `now`. */
  observe(condition: Condition, success: boolean, latency: number, now = this.#host.clock.now()): void {
    condition.observe(latency, success, now)
    if (this.#outliers?.observe(condition, success, now)) this.#out()
  }

  /** The instance asks to be left alone, for so many ms. */
  rest(condition: Condition, duration: number): void {
    const until = this.#host.clock.now() + Math.min(duration, longestRest)
    condition.outUntil = Math.max(condition.outUntil, until)
    this.#out()
  }

  /**
   * Takes note of the latest snapshot, as each choice does. Call it when there is one, so that connections to instances that left are
   * closed without waiting for the next request.
   */
  refresh(): void {
    const snapshot = this.#host.snapshot()
    if (snapshot !== this.#snapshot) this.#update(snapshot)
  }

  /** Releases its connections. */
  close(): void {
    for (const condition of this.#conditions.values()) release(condition)
  }

  #out(): void {
    for (const { outUntil } of this.#conditions.values()) this.#outUntil = Math.max(this.#outUntil, outUntil)
  }

  #newlyPrepared(): Prepared {
    return new Prepared((filter, secure) => {
      const entries = this.#snapshot?.entries ?? []
      const fitting = select(entries, filter).filter(
        ({ instance: { scheme } }) => scheme === 'https' || (scheme === 'http' && !secure),
      )
      const { balancer, zone, panic, subset: size } = this.#setting
      const part = size === undefined ? fitting : subset(fitting, size, this.#host.caller)
      const near = zone === undefined ? balancer : zoneAware(balancer, { zone, registered: part })
      return slowStart(near)(candidates(part, panic))
    })
  }

  #update(snapshot: Snapshot): void {
    const now = this.#host.clock.now()
    // Whoever is there from the beginning is no newcomer.
    const since = this.#snapshot === undefined ? Number.NEGATIVE_INFINITY : now
    const present = new Map<string, Entry>()
    for (const entry of snapshot.entries) {
      const { id } = entry.instance
      present.set(id, entry)
      if (this.#conditions.has(id)) continue
      this.#conditions.set(id, new Condition(since))
      this.#coldUntil = Math.max(this.#coldUntil, since + this.#setting.slowStart)
    }
    for (const [id, condition] of this.#conditions) {
      const entry = present.get(id)
      const { connections } = condition
      if (connections !== undefined && (entry === undefined || connections.origin !== endpoint(entry).origin))
        release(condition)
      if (entry === undefined && condition.pending === 0) this.#conditions.delete(id)
    }
    this.#byEntry = new WeakMap()
    this.#snapshot = snapshot
    this.#prepared = this.#newlyPrepared()
  }
}

function release(condition: Condition): void {
  condition.connections?.release()
  condition.connections = undefined
}

function isIn(tried: readonly Entry[]): (entry: Entry) => boolean {
  if (tried.length === 1) {
    const [only] = tried
    return ({ instance }) => instance.id === only!.instance.id
  }
  const ids = new Set(tried.map(({ instance }) => instance.id))
  return ({ instance }) => ids.has(instance.id)
}
