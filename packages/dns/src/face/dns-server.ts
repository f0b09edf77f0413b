import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { isIP, isIPv6 } from 'node:net'
import { type Catalog, type Clock, type Notice, type Notify, SeamarkError, systemClock } from '@seamark/core'
import { resolverAddress } from '../dns-url.ts'
import type { ResolverAddress } from '../resolver.ts'
import { AddressIndex } from './address-index.ts'
import { Apex } from './apex.ts'
import { type Bounds, bounds, type defaultBounds } from './bounds.ts'
import { CatalogNames } from './catalog-names.ts'
import { ConsulZone } from './consul-zone.ts'
import type { Names } from './names.ts'
import { NamespaceZone } from './namespace-zone.ts'
import { RateLimit } from './rate-limit.ts'
import { Recursors } from './recursors.ts'
import { Responder, type Response } from './responder.ts'
import { ReverseZone } from './reverse-zone.ts'
import { ServiceIndex } from './service-index.ts'
import { ServiceRecords } from './service-records.ts'
import { TcpListener } from './tcp-listener.ts'
import { type TtlOptions, type Ttls, ttls } from './ttls.ts'
import { asciiLower, wireName } from './wire-name.ts'
import { Zones } from './zones.ts'

export interface DnsServerOptions extends TtlOptions {
  readonly catalog: Catalog
  /** What Consul's names say beyond the catalog. Default: what the catalog says of nodes, and no prepared queries. */
  readonly names?: Names | undefined
  /** The address to listen on, over UDP and TCP. Default `127.0.0.1`. */
  readonly host?: string | undefined
  /** 0 takes a free one. Default 8600, as Consul. */
  readonly port?: number | undefined
  /** Where Consul's names end. Default `consul.` */
  readonly domain?: string | undefined
  /** Where they end as well. Default nowhere else. */
  readonly altDomain?: string | undefined
  /** Where the names of the kind `service.namespace` end. The first is what PTR records lead to. Default `seamark.` */
  readonly namespaceDomains?: readonly string[] | undefined
  /** What Consul's names may say before their domain. Default `dc1`; with `names`, theirs. */
  readonly datacenter?: string | undefined
  /**
   * DNS servers that are asked about all other names, in this order: `10.0.0.2`, `10.0.0.2:5353`, `[::1]:53`. Default none:
   * other names are refused.
   */
  readonly recursors?: readonly string[] | undefined
  /** Whether instances with a warning are left out. Default false, as Consul. */
  readonly onlyPassing?: boolean | undefined
  /** Answers in a datagram for one who says nothing of its size, at most 8. Default 3, as Consul. */
  readonly udpAnswerLimit?: number | undefined
  /** Addresses in one answer, chosen at random; 0 is all. Default 0, as Consul. */
  readonly aRecordLimit?: number | undefined
  /** Datagrams per second to one network (24 bits of IPv4, 56 of IPv6); 0 is without end. Default 1,000. */
  readonly responseRate?: number | undefined
  /** Networks without that limit. Default `127.0.0.0/8` and `::1`. */
  readonly responseRateExempt?: readonly string[] | undefined
  readonly bounds?: { readonly [Name in keyof typeof defaultBounds]?: number | undefined } | undefined
  /** Default the system's. */
  readonly clock?: Clock | undefined
  /** Default: nobody is told. */
  readonly notify?: Notify | undefined
}

/** A DNS server that listens. Disposing of it closes it. */
export interface DnsServer extends AsyncDisposable {
  /** The IP address it listens on. */
  readonly address: string
  readonly port: number
}

/** Answers in a datagram without EDNS that Consul gives at most. */
const mostAnswers = 8
/** Ports that are tried where any will do: one that is free for TCP need not be for UDP. */
const tries = 16
/** Milliseconds between two notices that say the same. */
const noticeInterval = 60_000

/** Answers for the services of a catalog over DNS. Resolves once it listens; until the catalog is warm, it says SERVFAIL. Throws `configuration`. */
export async function dnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const face = new Face(options)
  await face.listen()
  return face
}

class Face implements DnsServer {
  readonly #catalog: Catalog
  readonly #clock: Clock
  readonly #notify: Notify
  readonly #bounds: Bounds
  readonly #ttls: Ttls
  readonly #consulDomains: readonly string[]
  readonly #namespaceDomains: readonly string[]
  readonly #options: DnsServerOptions
  readonly #limit: RateLimit
  readonly #recursors: Recursors | undefined
  readonly #responder: Responder
  readonly #domains: ReadonlySet<string>
  readonly #datacenter: string
  readonly #closing = new AbortController()
  #zones: Zones | undefined
  #subscription: Disposable | undefined
  #udp: Socket | undefined
  #tcp: TcpListener | undefined
  /** When each event was last told of. */
  readonly #noticedAt = new Map<string, number>()
  address = ''
  port: number

  constructor(options: DnsServerOptions) {
    const { catalog, clock = systemClock, notify = () => {}, port = 8600, recursors = [] } = options
    const { domain = 'consul.', altDomain, namespaceDomains = ['seamark.'] } = options
    const {
      responseRate = 1_000,
      responseRateExempt = ['127.0.0.0/8', '::1/128'],
      udpAnswerLimit = 3,
    } = options
    this.#options = options
    this.#catalog = catalog
    this.#clock = clock
    this.#notify = notify
    this.port = whole('port', port, 0, 65_535)
    whole('aRecordLimit', options.aRecordLimit ?? 0, 0, Number.MAX_SAFE_INTEGER)
    this.#bounds = bounds(options.bounds ?? {})
    this.#ttls = ttls(options)
    this.#consulDomains = [domain, ...(altDomain === undefined ? [] : [altDomain])].map(domainName)
    this.#namespaceDomains = namespaceDomains.map(domainName)
    const all = [...this.#consulDomains, ...this.#namespaceDomains, 'in-addr.arpa', 'ip6.arpa']
    const twice = all.find((domain, index) => all.indexOf(domain) !== index)
    if (twice !== undefined) throw wrong(`The domain "${twice}." is there twice.`)
    this.#domains = new Set(all)
    const datacenter = options.names?.datacenter ?? options.datacenter ?? 'dc1'
    if (wireName(datacenter)?.starts.length !== 1)
      throw wrong(`The datacenter "${datacenter}" is no label of DNS: at most 63 characters, without dots.`)
    this.#datacenter = asciiLower(datacenter)
    this.#limit = new RateLimit({
      clock,
      perSecond: whole('responseRate', responseRate, 0, 1_000_000_000),
      exempt: responseRateExempt,
    })
    const { recursorTimeout, recursions, datagramBytes, answerBytes } = this.#bounds
    this.#recursors =
      recursors.length === 0
        ? undefined
        : new Recursors(recursors.map(recursor), { clock, timeout: recursorTimeout, most: recursions })
    this.#responder = new Responder({
      zones: () => this.#zones,
      isOurs: (labels) => labels.some((_, index) => this.#domains.has(labels.slice(index).join('.'))),
      recursors: this.#recursors,
      datagramBytes,
      udpAnswerLimit: Math.min(mostAnswers, whole('udpAnswerLimit', udpAnswerLimit, 1, 65_535)),
      answerBytes,
    })
  }

  async listen(): Promise<void> {
    const { host = '127.0.0.1' } = this.#options
    const wanted = this.port
    try {
      this.address = isIP(host) === 0 ? (await lookup(host)).address : host
      for (let left = wanted === 0 ? tries : 1; ; left--) {
        try {
          return await this.#bind(wanted)
        } catch (error) {
          await this.#close()
          if (left <= 1 || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
        }
      }
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      const why = code === 'EADDRINUSE' ? 'another process listens there' : message
      throw wrong(`DNS cannot listen on ${host}:${wanted}: ${why}.`, error)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    this.#subscription?.[Symbol.dispose]()
    this.#recursors?.[Symbol.dispose]()
    await this.#close()
  }

  async #bind(port: number): Promise<void> {
    const { connections, idleTimeout, queryBytes } = this.#bounds
    const respond = (message: Buffer) => this.#respond(message, 'tcp')
    this.#tcp = new TcpListener({ respond, clock: this.#clock, connections, idleTimeout, queryBytes })
    this.port = await this.#tcp.listen(this.address, port)
    this.#udp = createSocket({
      type: isIPv6(this.address) ? 'udp6' : 'udp4',
      // Addresses are all we send to: nothing is to be looked up.
      lookup: (address, _, callback) => callback(null, address, isIP(address)),
    })
    const listening = once(this.#udp, 'listening')
    this.#udp.bind({ port: this.port, address: this.address, exclusive: true })
    await listening
    this.#udp.on('error', (error) => this.#complain(error))
    this.#udp.on('message', (message, from) => this.#receive(message, from))
    void this.#warm()
  }

  async #close(): Promise<void> {
    const [udp, tcp] = [this.#udp, this.#tcp]
    this.#udp = undefined
    this.#tcp = undefined
    if (udp !== undefined) await new Promise<void>((resolve) => udp.close(resolve))
    await tcp?.close()
  }

  async #warm(): Promise<void> {
    try {
      await this.#catalog.warm(this.#closing.signal)
    } catch {
      // Closed, it or we: there is nobody to answer any more.
      return
    }
    if (!this.#closing.signal.aborted) this.#open()
  }

  #open(): void {
    const catalog = this.#catalog
    const { onlyPassing = false, aRecordLimit = 0 } = this.#options
    const services = new ServiceIndex(catalog)
    const addresses = new AddressIndex(catalog)
    const own = this.#options.names === undefined ? new CatalogNames(catalog, this.#datacenter) : undefined
    const names = this.#options.names ?? own!
    const zones = new Zones()
    const records = new ServiceRecords(names, { onlyPassing, limit: aRecordLimit }, (host, type, depth) =>
      zones.addresses(host, type, depth),
    )
    const address = this.address === '0.0.0.0' || this.address === '::' ? undefined : this.address
    const common = { catalog, services, names, records, address }
    const apex = (domain: string) => new Apex(domain, this.#ttls, this.#clock)
    for (const domain of this.#consulDomains)
      zones.add(domain, new ConsulZone({ ...common, apex: apex(domain) }))
    for (const domain of this.#namespaceDomains)
      zones.add(domain, new NamespaceZone({ ...common, apex: apex(domain) }))
    const reverse = {
      apex: apex(this.#consulDomains[0]!),
      catalog,
      addresses,
      names,
      namespaceDomain: this.#namespaceDomains[0],
    }
    zones.add('in-addr.arpa', new ReverseZone({ ...reverse, version: 4 }))
    zones.add('ip6.arpa', new ReverseZone({ ...reverse, version: 6 }))
    this.#subscription = catalog.subscribe((update) => {
      services.update(update.services)
      addresses.update(update)
      own?.update(update.services)
    })
    this.#zones = zones
  }

  #receive(message: Buffer, from: RemoteInfo): void {
    // Nobody asks from there, and an answer would have nowhere to go.
    if (from.port === 0) return
    const leave = this.#limit.of(from.address)
    if (leave !== 'answer') this.#limited(from.address)
    if (leave === 'drop') return
    const response = leave === 'answer' ? this.#respond(message, 'udp') : this.#responder.truncated(message)
    if (response === undefined) return
    if (Buffer.isBuffer(response)) this.#udp?.send(response, from.port, from.address)
    else
      response.then(
        (answer) => answer && this.#udp?.send(answer, from.port, from.address),
        (error) => this.#complain(error),
      )
  }

  /** A bug of ours must not take the server with it. */
  #respond(message: Buffer, transport: 'udp' | 'tcp'): Response {
    try {
      return this.#responder.respond(message, transport)
    } catch (error) {
      this.#complain(error)
      return this.#responder.failed(message)
    }
  }

  #complain(error: unknown): void {
    this.#tell({
      level: 'error',
      event: 'dns_failed',
      message: 'DNS could not answer a question; further ones are not told of for a minute.',
      details: { error },
    })
  }

  #limited(address: string): void {
    this.#tell({
      level: 'warn',
      event: 'dns_rate_limited',
      message: `DNS does not answer all that is asked from ${address}, which is more than its rate limit; further ones are not told of for a minute.`,
      details: { address },
    })
  }

  #tell(notice: Notice): void {
    const now = this.#clock.now()
    if (now - (this.#noticedAt.get(notice.event) ?? Number.NEGATIVE_INFINITY) < noticeInterval) return
    this.#noticedAt.set(notice.event, now)
    this.#notify(notice)
  }
}

function domainName(domain: string): string {
  const name = asciiLower(domain).replace(/^\.|\.$/g, '')
  // What stands before it needs room, too.
  if (name === '' || name.length > 128 || wireName(name) === undefined)
    throw wrong(`"${domain}" is no domain: write labels joined by dots, at most 128 characters.`)
  return name
}

function recursor(text: string): ResolverAddress {
  const address = resolverAddress(text)
  if (isIP(address.host) === 0)
    throw wrong(`"${text}" is no recursor: write its IP address, and a port if it is not 53.`)
  return address
}

function whole(field: string, value: number, least: number, most: number): number {
  if (!Number.isSafeInteger(value) || value < least || value > most)
    throw wrong(`${field} must be a whole number from ${least} to ${most}.`)
  return value
}

function wrong(message: string, cause?: unknown): SeamarkError {
  return new SeamarkError('configuration', message, { cause })
}
