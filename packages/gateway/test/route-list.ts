import { type Entry, type HealthStatus, health, instance, type RouteInput, route } from '@seamark/core'
import type { Conflict, Routes, RouteTable, Rule } from '@seamark/gateway'

/** A rule for a service of the default namespace; it is named as the service. */
export function ruleFor(service: string, given: RouteInput = {}): Rule {
  return {
    name: service,
    route: route('route', { path: `/${service}`, ...given }),
    service: { namespace: 'default', service },
    filter: undefined,
    policy: {},
    origin: `1 instance of ${service}`,
  }
}

export function entryOf(service: string, id: string, status: HealthStatus = 'passing'): Entry {
  return {
    instance: instance({ namespace: 'default', service, id, address: '127.0.0.1', port: 3000 }),
    health: health(status === 'passing' ? [] : [{ id: 'check', status, output: '' }]),
    createdRevision: 1,
    modifiedRevision: 1,
  }
}

/** Routes that are what a test says they are. They match nothing: who needs that takes the real ones. */
export class RouteList implements Routes {
  #table: RouteTable
  readonly #entries: Readonly<Record<string, readonly Entry[]>>

  constructor(
    rules: readonly Rule[],
    entries: Readonly<Record<string, readonly Entry[]>> = {},
    conflicts: readonly Conflict[] = [],
  ) {
    this.#table = tableOf(rules, conflicts)
    this.#entries = entries
  }

  get table(): RouteTable {
    return this.#table
  }

  replace(...rules: readonly Rule[]): void {
    this.#table = tableOf(rules, [])
  }

  snapshot({ service }: Rule) {
    return { service, revision: 1, entries: this.#entries[service.service] ?? [], holders: [] }
  }

  subscribe(): Disposable {
    return { [Symbol.dispose]() {} }
  }

  async [Symbol.asyncDispose]() {}
}

function tableOf(rules: readonly Rule[], conflicts: readonly Conflict[]): RouteTable {
  return { rules, conflicts, match: () => ({ allow: undefined }) }
}
