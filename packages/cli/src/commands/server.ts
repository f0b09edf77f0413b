import { systemClock } from '@seamark/core'
import type { ConsulOptions } from '@seamark/server'
import { cannotListen } from '../cannot-listen.ts'
import { command } from '../command.ts'
import { dnsBeside } from '../dns.ts'
import { openEngineAt } from '../engine.ts'
import { type GatewaySettings, gatewayOver } from '../gateway.ts'
import { interruption } from '../interruption.ts'
import { invocation } from '../invocation.ts'
import type { Values } from '../options.ts'
import * as options from '../options.ts'
import { packageVersion } from '../package-version.ts'

export const server = command({
  name: 'server',
  summary: 'run a server, until Ctrl-C',
  description:
    'Prints where it can be reached once it can; logs go to standard error. SIGTERM and Ctrl-C let requests in flight finish; ' +
    'a second signal, half a second later or more, ends it at once.',
  arguments: [],
  options: { ...options.server, ...options.gatewayInside, ...options.everywhere },
  examples: [
    { line: 'seamark server', does: 'on this machine only, with its data in ./data' },
    {
      line: 'seamark server --engine lmdb:/var/lib/seamark --log-format json',
      does: 'as a service of the system',
    },
    { line: 'seamark server --engine memory: --port 0', does: 'for a test: a free port, and nothing kept' },
    {
      line: 'seamark server --engine etcd://10.0.0.1,10.0.0.2,10.0.0.3',
      does: 'one of several over one engine',
    },
    {
      line: 'seamark server --gateway --gateway-host 0.0.0.0 --gateway-port 80',
      does: 'with a gateway for everybody, before what is registered here',
    },
    {
      line: 'seamark server --bind 0.0.0.0 --insecure --allow-host registry.internal',
      does: 'for a network that you trust: whoever reaches it may write',
    },
  ],
  async run({ settings, output }) {
    const started = systemClock.now()
    using stop = interruption()
    const [{ log }, seamark] = await Promise.all([import('../log.ts'), import('@seamark/server')])
    const logger = log(process.stderr, settings)
    const notices = seamark.notices()
    const { engine, place, shared } = await openEngineAt(settings.engine, notices.notify)
    try {
      const { host, port, insecure, allowHost, allowCommandChecks, allowForeignChecks } = settings
      const allowed = { insecure, allowedHosts: allowHost, allowCommandChecks, allowForeignChecks }
      const engineName = settings.engine.slice(0, settings.engine.indexOf(':'))
      const member = { shared, ...(settings.name !== undefined && { name: settings.name }) }
      const consul = consulOptions(settings)
      await using server = await seamark
        .server({ engine, engineName, host, port, ...allowed, ...member, consul, logger, notices })
        .catch((error) => {
          throw cannotListen(error, { what: 'server', host, port, option: 'seamark server --port' })
        })
      await using dns = await dnsBeside(server, settings, notices.notify)
      await using gateway = settings.gateway
        ? await gatewayOver(server.catalog, { settings: insideSettings(settings), logger, inside: true })
        : undefined
      const { url, address } = server
      const facts = {
        version: packageVersion,
        url,
        address,
        port: server.port,
        dns: dns === undefined ? null : { address: dns.address, port: dns.port },
        gateway: gateway === undefined ? null : { url: gateway.url, status: gateway.statusUrl ?? null },
        engine: engineName,
        data: place,
        pid: process.pid,
      }
      if (output.json) output.document(facts)
      else output.print(banner(facts, systemClock.now() - started))
      await stop.arrived
    } finally {
      await engine[Symbol.asyncDispose]()
    }
    return undefined
  },
})

function consulOptions(settings: Values<typeof options.server>): ConsulOptions {
  const { nodeName, nodeId, nodeMeta, datacenter, domain, altDomain } = settings
  return {
    nodeMeta,
    datacenter,
    domain,
    ...(nodeName !== undefined && { nodeName }),
    ...(nodeId !== undefined && { nodeId }),
    ...(altDomain !== undefined && { altDomain }),
  }
}

function insideSettings(settings: Values<typeof options.gatewayInside>): GatewaySettings {
  return {
    host: settings.gatewayHost,
    port: settings.gatewayPort,
    routes: settings.gatewayRoutes,
    tlsCert: settings.gatewayTlsCert,
    tlsKey: settings.gatewayTlsKey,
    trustedProxy: settings.gatewayTrustedProxy,
    statusPort: settings.gatewayStatusPort,
    requestLog: settings.gatewayRequestLog,
    drainDelay: settings.gatewayDrainDelay,
  }
}

interface Facts {
  readonly url: string
  readonly dns: { readonly address: string; readonly port: number } | null
  readonly gateway: { readonly url: string; readonly status: string | null } | null
  readonly data: string
}

function banner({ url, dns, gateway, data }: Facts, took: number): string {
  const seamark = invocation()
  const place = seamark.startsWith('npx') ? 'in another terminal in this folder' : 'in another terminal'
  const where = url === options.client.url.default ? '' : ` --url ${url}`
  const service = `${url}/api/v1/namespaces/default/services/api`
  return `Seamark ${packageVersion} is up, after ${(took / 1_000).toFixed(1)} s.

  API    ${url}/api/v1
  Docs   ${url}/api/v1/docs
  Consul ${url}/v1
  DNS    ${dns === null ? 'off' : `${dns.address.includes(':') ? `[${dns.address}]` : dns.address}:${dns.port}`}
  Data   ${data}${gateway === null ? '' : `\n  Routes ${gateway.url}${gateway.status === null ? '' : `, listed at ${gateway.status}/routes`}`}
  Stop   Ctrl-C

Register an instance and find it, ${place}:

  ${seamark} register api --port 3000${where}
  ${seamark} find api${where}

Or from anywhere:

  curl -X PUT ${service}/instances/api-1 -H 'content-type: application/json' -d '{"port": 3000}'
  curl ${service}/instance
`
}
