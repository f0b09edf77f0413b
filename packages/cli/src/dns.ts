import { isSeamarkError, type Notify } from '@seamark/core'
import type { DnsServer } from '@seamark/dns'
import type { Server } from '@seamark/server'
import type { server as options, Values } from './options.ts'

/** Where DNS is answered unless somebody says another port: as Consul. */
const usualPort = 8600

/**
 * Answers DNS beside a server, from its catalog. `undefined` when it is turned off, or when nobody asked for it and the usual
 * port is taken: then somebody is told. Throws `configuration`.
 */
export async function dnsBeside(
  server: Server,
  settings: Values<typeof options>,
  notify: Notify,
): Promise<DnsServer | undefined> {
  const { dnsPort } = settings
  if (dnsPort === 'off') return undefined
  const { dnsServer } = await import('@seamark/dns')
  try {
    return await dnsServer({
      catalog: server.catalog,
      names: server.consul,
      host: settings.host,
      port: dnsPort ?? usualPort,
      domain: settings.domain,
      altDomain: settings.altDomain,
      namespaceDomains: settings.namespaceDomain,
      recursors: settings.recursor,
      nodeTtl: settings.dnsNodeTtl,
      serviceTtl: settings.dnsServiceTtl,
      negativeTtl: settings.dnsNegativeTtl,
      responseRate: settings.dnsResponseRate,
      responseRateExempt: settings.dnsResponseRateExempt,
      onlyPassing: settings.dnsOnlyPassing,
      udpAnswerLimit: settings.dnsUdpAnswerLimit,
      aRecordLimit: settings.dnsARecordLimit,
      notify,
    })
  } catch (error) {
    if (dnsPort !== undefined || !isTaken(error)) throw error
    notify({
      level: 'warn',
      event: 'dns_port_taken',
      message: `Port ${usualPort} is taken: there is no DNS. Choose another with --dns-port, or turn it off with --dns-port off.`,
    })
    return undefined
  }
}

function isTaken(error: unknown): boolean {
  const { cause } = error as { cause?: { code?: unknown } }
  return isSeamarkError(error, 'configuration') && cause?.code === 'EADDRINUSE'
}
