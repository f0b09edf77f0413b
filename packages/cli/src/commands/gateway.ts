import { catalog, sleep, systemClock } from '@seamark/core'
import type { Gateway } from '@seamark/gateway'
import { command } from '../command.ts'
import { gatewayOver } from '../gateway.ts'
import { openDirectory } from '../gateway-registry.ts'
import { interruption } from '../interruption.ts'
import { invocation } from '../invocation.ts'
import * as options from '../options.ts'
import { packageVersion } from '../package-version.ts'

/** Milliseconds that the registry may take to tell what there is, before the gateway says that it is up all the same. */
const patience = 2_000

export const gateway = command({
  name: 'gateway',
  summary: 'bring requests from outside to instances, until Ctrl-C',
  description:
    'Instances say which requests are for them: seamark register --route. Listens on this machine only, unless --host says ' +
    'otherwise; nothing is reachable through it that says no route. Prints where it can be reached once it can; logs go ' +
    'to standard error. SIGTERM and Ctrl-C let requests in flight finish; a second signal, half a second later or more, ' +
    'ends it at once.',
  arguments: [],
  options: {
    ...options.gatewayAlone,
    ...options.gateway,
    logLevel: options.server.logLevel,
    logFormat: options.server.logFormat,
    url: options.client.url,
    ...options.everywhere,
  },
  examples: [
    { line: 'seamark gateway', does: 'on this machine only, to what the server on this machine knows' },
    {
      line: 'seamark gateway --url http://10.0.0.1:8500,http://10.0.0.2:8500 --host 0.0.0.0 --port 80',
      does: 'for everybody, over two servers',
    },
    {
      line: 'seamark gateway --host 0.0.0.0 --port 443 --tls-cert cert.pem --tls-key key.pem',
      does: 'with TLS and HTTP/2',
    },
    {
      line: 'seamark gateway --routes gateway.json --trusted-proxy 10.0.0.0/8',
      does: 'with a file of further routes, behind a load balancer',
    },
    { line: 'seamark gateway routes', does: 'which rules there are, and where they lead' },
    {
      line: 'seamark gateway explain GET http://shop.example/tickets/7',
      does: 'what would become of a request',
    },
  ],
  async run({ settings, output }) {
    const started = systemClock.now()
    using stop = interruption()
    const { log, logged } = await import('../log.ts')
    const logger = log(process.stderr, settings)
    const { directory, place } = await openDirectory(settings, logged(logger))
    try {
      // What it knows is not forgotten when the registry starts anew.
      await using replica = catalog(directory, { protectEmpty: true, notify: logged(logger) })
      await using gateway = await gatewayOver(replica, { settings, logger, inside: false })
      const isWarm = await Promise.race([
        replica.warm(stop.signal).then(
          () => true,
          () => false,
        ),
        sleep(systemClock, patience, stop.signal).then(
          () => false,
          () => false,
        ),
      ])
      const { table } = gateway.routes
      const facts: Facts = {
        version: packageVersion,
        url: gateway.url,
        address: gateway.address,
        port: gateway.port,
        status: gateway.statusUrl ?? null,
        registry: place,
        routes: isWarm ? table.rules.length : null,
        conflicts: table.conflicts.length,
        pid: process.pid,
      }
      if (output.json) output.document(facts)
      else output.print(banner(facts, settings, systemClock.now() - started))
      await stop.arrived
    } finally {
      await directory[Symbol.asyncDispose]()
    }
    return undefined
  },
})

interface Facts extends Pick<Gateway, 'url' | 'address' | 'port'> {
  readonly version: string
  readonly status: string | null
  readonly registry: string
  /** Unknown while the registry does not answer. */
  readonly routes: number | null
  readonly conflicts: number
  readonly pid: number
}

function banner(
  { url, status, registry, routes, conflicts }: Facts,
  {
    url: server,
    engine,
    routes: file,
  }: { url: string; engine: string | undefined; routes: string | undefined },
  took: number,
): string {
  const where = [
    ...(engine !== undefined
      ? [` --engine ${engine}`]
      : server === options.client.url.default
        ? []
        : [` --url ${server}`]),
  ].join('')
  const list = `${invocation()} gateway routes${where}${file === undefined ? '' : ` --routes ${file}`}`
  return `The gateway of Seamark ${packageVersion} is up, after ${(took / 1_000).toFixed(1)} s.

  Gateway  ${url}
  Status   ${status === null ? 'off' : `${status}/metrics, ${status}/routes`}
  Registry ${registry}
  Routes   ${count(routes, conflicts)}
  Stop     Ctrl-C

${routes === 0 ? `An instance brings its route along:\n\n  ${invocation()} register api --port 3000 --route /api${engine === undefined ? where : ''}` : `To see them:\n\n  ${list}`}
`
}

function count(routes: number | null, conflicts: number): string {
  if (routes === null) return 'unknown, as the registry does not answer: it is waited for'
  const lost = conflicts === 0 ? '' : `, and ${conflicts} that another one is in the way of`
  return routes === 0 ? 'none so far' : `${routes}${lost}`
}
