import { getServers } from 'node:dns'
import {
  type Clock,
  type Duration,
  instance,
  limits,
  milliseconds,
  type Notify,
  SeamarkError,
  type Source,
  systemClock,
} from '@seamark/core'
import { dnsUrl, resolverAddress } from './dns-url.ts'
import { lookup } from './lookup.ts'
import { naming } from './name.ts'
import { PolledSource } from './polled-source.ts'
import { Resolver } from './resolver.ts'

export interface DnsSourceOptions {
  /**
   * The name of a service in DNS: what comes behind `{service}.{namespace}`, such as `local`, or all of it, such as
   * `{service}.{namespace}.svc.cluster.local`. Default `{service}.{namespace}`.
   */
  readonly name?: string | undefined
  /**
   * Where its SRV records are, if not under that name: what comes before it, such as `_http._tcp`, or all of it, with
   * `{service}` in it.
   */
  readonly srv?: string | undefined
  /** How instances are talked to. Default `http`. */
  readonly scheme?: string | undefined
  /**
   * Where a service without SRV records listens, 1–65535. Default 80 for the scheme `http` and 443 for `https`; for any other,
   * addresses without SRV records are no instances.
   */
  readonly port?: number | undefined
  /** An answer is believed for at least so long, in ms or as `"1s"`, even if its TTL is shorter. Default 1 s. */
  readonly minTtl?: Duration | undefined
  /** An answer is believed for at most so long. Default 60 s. */
  readonly maxTtl?: Duration | undefined
  /** How long one question may take, over all tries and servers. Default 4 s: less than a client waits for its first contact. */
  readonly timeout?: Duration | undefined
  /**
   * `udp` asks over TCP only when an answer does not fit into a datagram; `tcp` always, for servers that do not say so and
   * leave records out (Consul's default). Default `udp`.
   */
  readonly transport?: 'udp' | 'tcp' | undefined
  /** Default the system's. */
  readonly clock?: Clock
  /** Default: nobody is told. */
  readonly notify?: Notify
}

const portOfScheme: Readonly<Record<string, number>> = { http: 80, https: 443 }

/**
 * Finds services in plain DNS: their SRV records, or, where there are none, their addresses, asked for again whenever their
 * TTL is over. It can be watched, not written. `resolvers` are DNS servers, `host`, `host:port` or `[::1]:53`, of
 * which the first that answers is asked; none: those of the system. Throws `configuration` and `invalid_field`.
 */
export function dnsSource(resolvers: readonly string[] = [], options: DnsSourceOptions = {}): Source {
  const { name, srv, transport, scheme = 'http', clock = systemClock, notify = () => {} } = options
  const { port = portOfScheme[scheme], minTtl = 1_000, maxTtl = 60_000, timeout = 4_000 } = options
  // Refuses a wrong scheme or port here, and not with the first answer.
  instance({ namespace: 'n', service: 's', id: 'i', address: '::', port: port ?? 1, scheme })
  if (port === 0) throw new SeamarkError('configuration', 'port must be a whole number from 1 to 65535.')
  if (transport !== undefined && transport !== 'udp' && transport !== 'tcp')
    throw new SeamarkError('configuration', 'transport must be udp or tcp.')
  const least = positive('minTtl', minTtl)
  const most = positive('maxTtl', maxTtl)
  if (most > limits.ttl) throw new SeamarkError('configuration', 'maxTtl must not be more than a day.')
  if (least > most) throw new SeamarkError('configuration', 'minTtl must not be more than maxTtl.')
  const servers = (resolvers.length === 0 ? getServers() : resolvers).map(resolverAddress)
  const resolver = new Resolver(servers, { clock, transport, timeout: positive('timeout', timeout) })
  return new PolledSource({
    find: lookup({ resolver, naming: naming({ name, srv }), scheme, port }),
    least,
    most,
    clock,
    notify,
  })
}

/** Opens `dns://10.0.0.2/local`; see the package's README for all that a URL may say. Throws `configuration`. */
export async function open(
  url: string,
  options: { readonly clock?: Clock; readonly notify?: Notify } = {},
): Promise<Source> {
  const { resolvers, ...said } = dnsUrl(url)
  try {
    return dnsSource(resolvers, { ...(said as DnsSourceOptions), ...options })
  } catch (cause) {
    throw new SeamarkError('configuration', `${url} cannot be used: ${(cause as Error).message}`, { cause })
  }
}

function positive(field: string, duration: Duration): number {
  const ms = milliseconds(field, duration)
  if (ms === 0) throw new SeamarkError('configuration', `${field} must be more than 0.`)
  return ms
}
