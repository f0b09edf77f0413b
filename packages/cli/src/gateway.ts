import { type Catalog, isSeamarkError } from '@seamark/core'
import type { Gateway, GatewayOptions } from '@seamark/gateway'
import type { Logger } from 'pino'
import { cannotListen } from './cannot-listen.ts'
import { Failure } from './failure.ts'
import type { gateway as options, Values } from './options.ts'

export type GatewaySettings = Values<typeof options>

export interface GatewayOverOptions {
  readonly settings: GatewaySettings
  readonly logger: Logger
  /** Whether its options begin with `--gateway-`, as those of a server do. */
  readonly inside: boolean
}

const requestLogs: Readonly<
  Record<GatewaySettings['requestLog'], NonNullable<GatewayOptions['requestLog']>>
> = {
  all: {},
  failures: { sample: 0 },
  off: false,
}

/**
 * A gateway to what a catalog knows. When nobody asked for a port for its status, and the usual one is taken, it goes
 * without, and that is logged. Throws `configuration`, `invalid_field` and `Failure`.
 */
export async function gatewayOver(
  catalog: Catalog,
  { settings, logger, inside }: GatewayOverOptions,
): Promise<Gateway> {
  const { host, port, routes, tlsCert, tlsKey, trustedProxy, statusPort, requestLog, drainDelay } = settings
  const prefix = inside ? '--gateway-' : '--'
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw new Failure(
      'usage',
      `A certificate goes with its key: say both ${prefix}tls-cert and ${prefix}tls-key.`,
    )
  const { gateway } = await import('@seamark/gateway')
  const open = (status: NonNullable<GatewayOptions['status']>) =>
    gateway({
      catalog,
      logger,
      host,
      port,
      status,
      trustedProxies: trustedProxy,
      requestLog: requestLogs[requestLog],
      bounds: { drainDelay },
      ...(routes !== undefined && { routesFile: routes }),
      ...(tlsCert !== undefined && tlsKey !== undefined && { tls: { cert: tlsCert, key: tlsKey } }),
    })
  try {
    return await openWith(open, statusPort, logger, prefix)
  } catch (error) {
    const proxy = isSeamarkError(error) ? /^trustedProxies\/(\d+)$/.exec(error.field ?? '')?.[1] : undefined
    if (proxy !== undefined) {
      const problem = (error as Error).message.slice(`trustedProxies/${proxy} `.length)
      const message = `${prefix}trusted-proxy "${trustedProxy[Number(proxy)]}" ${problem}`
      throw new Failure('usage', message, { cause: error })
    }
    if (!isSeamarkError(error, 'configuration') || error.field !== 'port') throw error
    const option = `seamark ${inside ? 'server' : 'gateway'} ${prefix}port`
    throw cannotListen(error, { what: 'gateway', host, port, option })
  }
}

async function openWith(
  open: (status: NonNullable<GatewayOptions['status']>) => Promise<Gateway>,
  statusPort: GatewaySettings['statusPort'],
  logger: Logger,
  prefix: string,
): Promise<Gateway> {
  if (statusPort === 'off') return open(false)
  if (statusPort !== undefined) return open({ port: statusPort })
  try {
    return await open({})
  } catch (error) {
    if (!isTaken(error)) throw error
    logger.warn(
      { event: 'status_port_taken' },
      `Port 8081 is taken: nothing tells of the gateway's status. Choose another with ${prefix}status-port, or turn it off with ${prefix}status-port off.`,
    )
    return open(false)
  }
}

function isTaken(error: unknown): boolean {
  return (
    isSeamarkError(error, 'configuration') &&
    error.field === 'statusPort' &&
    (error.cause as NodeJS.ErrnoException | undefined)?.code === 'EADDRINUSE'
  )
}
