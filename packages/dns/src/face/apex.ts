import type { Clock } from '@seamark/core'
import type { Finding } from './finding.ts'
import type { Group } from './message-writer.ts'
import { type Code, codes, type ResourceRecord, texts } from './record.ts'
import type { Ttls } from './ttls.ts'
import { type WireName, wireName } from './wire-name.ts'

/** Seconds between tries of secondary servers, of which there are none: Consul's numbers. */
const refresh = 3_600
const retry = 600
const expire = 86_400

/** The top of a domain, and what is said of names that are not there. */
export class Apex {
  readonly domain: string
  readonly name: WireName
  /** What the domain's server is called, if nobody knows better. */
  readonly server: WireName
  readonly ttls: Ttls
  readonly #mailbox: WireName
  readonly #clock: Clock

  /** `domain` is known to be one. */
  constructor(domain: string, ttls: Ttls, clock: Clock) {
    this.domain = domain
    this.name = wireName(domain)!
    this.server = wireName(`ns.${domain}`)!
    this.#mailbox = wireName(`hostmaster.${domain}`)!
    this.ttls = ttls
    this.#clock = clock
  }

  soa(): ResourceRecord {
    const serial = Math.floor(this.#clock.date() / 1_000) >>> 0
    const { server, ttls } = this
    return {
      owner: this.name,
      type: 'SOA',
      ttl: ttls.negative,
      server,
      mailbox: this.#mailbox,
      numbers: [serial, refresh, retry, expire, ttls.negative],
    }
  }

  /** The name is there, and has nothing of that type. */
  noData(holds?: () => boolean): Finding {
    return this.#none(codes.ok, holds)
  }

  noName(holds?: () => boolean): Finding {
    return this.#none(codes.noName, holds)
  }

  found(groups: readonly Group[], holds?: () => boolean): Finding {
    if (groups.length === 0) return this.noData(holds)
    return { code: codes.ok, groups, authority: [], ...(holds && { holds }) }
  }

  /** Of all there is of a name, as little as possible (RFC 8482, 4.2). */
  any(ttl: number, holds?: () => boolean): Finding {
    return this.found([group({ type: 'HINFO', ttl, texts: [...texts('RFC8482'), ...texts('')] })], holds)
  }

  #none(code: Code, holds?: () => boolean): Finding {
    return { code, groups: [], authority: [this.soa()], ...(holds && { holds }) }
  }
}

/** A record that stands for itself. */
export function group(record: ResourceRecord, extra: readonly ResourceRecord[] = []): Group {
  return { answers: [record], extra }
}
