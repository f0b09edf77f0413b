import type { Finding, Zone } from './finding.ts'
import { types } from './record.ts'

/** Aliases of our own that are followed: as many as Consul's. */
const mostAliases = 3

/** The domains we answer for. The longest that fits counts. */
export class Zones {
  readonly #zones = new Map<string, Zone>()

  /** `domain` is in lower case, without a dot at its end. */
  add(domain: string, zone: Zone): void {
    this.#zones.set(domain, zone)
  }

  /** `undefined`: it is not ours. */
  find(labels: readonly string[], type: number, depth = 0): Finding | undefined {
    for (let length = 0; length < labels.length; length++) {
      const zone = this.#zones.get(labels.slice(length).join('.'))
      if (zone !== undefined) return zone.find(labels.slice(0, length), type, depth)
    }
    return undefined
  }

  /** The addresses of a host whose name is one of ours; `undefined`: it is not. */
  addresses(host: string, type: 'A' | 'AAAA', depth: number): readonly Buffer[] | undefined {
    const found = depth >= mostAliases ? none : this.find(host.split('.'), types[type], depth + 1)
    return found?.groups
      .flatMap(({ answers }) => answers)
      .flatMap((record) => (record.type === type ? [record.address] : []))
  }
}

const none: Pick<Finding, 'groups'> = { groups: [] }
