import {
  type Carrier,
  Deadlines,
  type Errand,
  type ExchangeSetting,
  Traffic,
  type TrafficSetting,
  trafficSetting,
} from '@seamark/client/traffic'
import {
  type Catalog,
  type Clock,
  displayName,
  SeamarkError,
  type ServiceKey,
  type Snapshot,
  serviceId,
} from '@seamark/core'
import type { GatewayBounds } from '../front/bounds.ts'
import type { Guard, Part, Routes, Rule } from '../ports.ts'

/** Where the requests of one rule go, and how. */
export interface Destination {
  readonly guard: Guard
  readonly setting: ExchangeSetting
  /** For requests whose body takes as long as it takes: then their time begins. */
  readonly streaming: ExchangeSetting
  /** The same object for the same part of the rule's instances. */
  errand(part: Part): Errand
}

export interface DestinationsHost {
  readonly clock: Clock
  readonly catalog: Catalog
  readonly carrier: Carrier
  readonly routes: Routes
  readonly guards: (rule: Rule) => Guard
  readonly bounds: Pick<GatewayBounds, 'answerTimeout' | 'tryTimeout' | 'retries'>
}

/** What is learned of the instances of one rule. It outlives changes of the rule that leave its guard. */
class Experience {
  /** As they are now. */
  rule: Rule
  guard: Guard
  /** What was looked up for the rule, until something changes. */
  #snapshot: Snapshot | undefined
  readonly #errands = new Map<Part, Errand>()
  readonly #host: DestinationsHost
  readonly #traffic: TrafficSetting

  constructor(rule: Rule, guard: Guard, host: DestinationsHost, traffic: TrafficSetting) {
    this.rule = rule
    this.guard = guard
    this.#host = host
    this.#traffic = traffic
  }

  errand(part: Part): Errand {
    let errand = this.#errands.get(part)
    if (errand === undefined) {
      const { clock } = this.#host
      const snapshot = () => {
        this.#snapshot ??= this.#host.routes.snapshot(this.rule)
        return part.of(this.#snapshot)
      }
      const traffic = new Traffic({ clock, random: Math.random, caller, snapshot }, this.#traffic)
      errand = errandOf(traffic, this.rule.service)
      this.#errands.set(part, errand)
    }
    return errand
  }

  /** The rule, or its service, may be another one. */
  refresh(): void {
    this.#snapshot = undefined
    for (const { traffic } of this.#errands.values()) traffic.refresh()
  }

  close(): void {
    for (const { traffic } of this.#errands.values()) traffic.close()
    this.#errands.clear()
  }
}

/** What the gateway is called among those that share a service out. */
const caller = 'gateway'

/** Where the requests of each rule go. */
export class Destinations {
  readonly #host: DestinationsHost
  readonly #traffic = trafficSetting()
  readonly #byRule = new WeakMap<Rule, Destination>()
  readonly #experiences = new Map<string, Experience>()
  /** For services that stand in for others. */
  readonly #substitutes = new Map<string, Errand>()
  readonly #timeouts = new Map<number, Deadlines>()
  readonly #subscription: Disposable
  readonly #news: Disposable

  constructor(host: DestinationsHost) {
    this.#host = host
    this.#subscription = host.routes.subscribe(({ rules }) => {
      const names = new Set(rules.map(nameOf))
      for (const [name, experience] of this.#experiences) {
        if (names.has(name)) continue
        experience.close()
        this.#experiences.delete(name)
      }
    })
    // Connections to instances that left are closed without waiting for a request.
    this.#news = host.catalog.subscribe(({ services }) => {
      const changed = new Set(services.map(serviceId))
      for (const experience of this.#experiences.values())
        if (changed.has(serviceId(experience.rule.service))) experience.refresh()
      for (const id of changed) this.#substitutes.get(id)?.traffic.refresh()
    })
  }

  of(rule: Rule): Destination {
    let destination = this.#byRule.get(rule)
    if (destination === undefined) {
      destination = this.#newDestination(rule)
      this.#byRule.set(rule, destination)
    }
    return destination
  }

  /** Another service in place of a rule's own, which goes by the rule's route. */
  service(key: ServiceKey, rule: Rule): Destination {
    const id = serviceId(key)
    const errand = this.#substitutes.get(id) ?? this.#newSubstitute(key)
    this.#substitutes.set(id, errand)
    return { ...this.of(rule), errand: () => errand }
  }

  close(): void {
    this.#subscription[Symbol.dispose]()
    this.#news[Symbol.dispose]()
    for (const experience of this.#experiences.values()) experience.close()
    for (const { traffic } of this.#substitutes.values()) traffic.close()
    for (const timeout of this.#timeouts.values()) timeout.close()
  }

  #newSubstitute(key: ServiceKey): Errand {
    const { clock, catalog } = this.#host
    const snapshot = () => catalog.snapshot(key)
    return errandOf(new Traffic({ clock, random: Math.random, caller, snapshot }, this.#traffic), key)
  }

  #newDestination(rule: Rule): Destination {
    const { guards, clock, carrier, bounds } = this.#host
    const name = nameOf(rule)
    const guard = guards(rule)
    let experience = this.#experiences.get(name)
    if (experience === undefined) {
      experience = new Experience(rule, guard, this.#host, this.#traffic)
      this.#experiences.set(name, experience)
    } else if (experience.guard !== guard) experience.close()
    experience.rule = rule
    experience.guard = guard
    experience.refresh()
    const known = experience
    const { retries = bounds.retries, timeout = bounds.answerTimeout } = rule.route
    const whole = this.#deadlines(timeout)
    // Without another try, there is nothing to save time for.
    const tryTimeout =
      retries > 0 && bounds.tryTimeout < timeout ? this.#deadlines(bounds.tryTimeout) : undefined
    const common = { clock, carrier, tries: retries + 1, hedge: undefined, ended: undefined }
    return {
      guard,
      setting: { ...common, timeout: whole, tryTimeout },
      streaming: { ...common, timeout: undefined, tryTimeout: whole },
      errand: (part) => known.errand(part),
    }
  }

  #deadlines(delay: number): Deadlines {
    let deadlines = this.#timeouts.get(delay)
    if (deadlines === undefined) {
      deadlines = new Deadlines(this.#host.clock, delay)
      this.#timeouts.set(delay, deadlines)
    }
    return deadlines
  }
}

function nameOf({ name, service }: Rule): string {
  return `${name} ${serviceId(service)}`
}

function errandOf(traffic: Traffic, service: ServiceKey): Errand {
  const name = displayName(service)
  return {
    traffic,
    authority: undefined,
    name,
    wish: {},
    absence: () => new SeamarkError('unavailable', 'The service has nobody who could answer now.'),
  }
}
