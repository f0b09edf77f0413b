import { type Catalog, type Clock, type Notice, type Notify, systemClock } from '@seamark/core'
import { type Logger, pino } from 'pino'
import { access } from './access/access.ts'
import { defaultBounds, type GatewayBounds } from './front/bounds.ts'
import type { CertificateFiles } from './front/certificate.ts'
import { Front } from './front/front.ts'
import { Trust } from './front/trust.ts'
import { Guards } from './policy/guards.ts'
import { Destinations } from './proxy/destinations.ts'
import { Lines } from './proxy/lines.ts'
import { Relay } from './proxy/relay.ts'
import { type GatewayRoutes, routes } from './routes/routes.ts'
import { type Stage, type StatusListener, statusListener } from './status/status-listener.ts'
import type { RequestLogOptions } from './telemetry/request-log.ts'
import { telemetry } from './telemetry/telemetry.ts'

export interface GatewayOptions {
  /** Of all services. It is not disposed of with the gateway. */
  readonly catalog: Catalog
  /** The address to listen on. Default `127.0.0.1`. */
  readonly host?: string
  /** 0 takes a free one. Default 8080. */
  readonly port?: number
  /** Speaks TLS, with HTTP/2. The files are read again when they change. Default: plain HTTP/1.1. */
  readonly tls?: CertificateFiles
  /** Routes, policies and access beyond what instances say, as JSON; read again when it changes. Default none. */
  readonly routesFile?: string
  /**
   * Addresses and networks, such as `10.0.0.0/8`, of proxies in front of this one: what they say of clients is believed. Default
   * nobody's word is.
   */
  readonly trustedProxies?: readonly string[]
  /** Certificates, in PEM, that instances with TLS are verified with. Default those of Node.js. */
  readonly ca?: string | Buffer
  /** Of requests. `false`: they are not logged. */
  readonly requestLog?: RequestLogOptions | false
  /** Where the status listener listens, for those who run the gateway; `false`: nowhere. Default loopback, port 8081. */
  readonly status?: { readonly host?: string; readonly port?: number } | false
  /** Default: nothing is logged. */
  readonly logger?: Logger
  /** Hears of what the operator should know, beside the log. Default: nobody. */
  readonly notify?: Notify
  /** Default the system's. */
  readonly clock?: Clock
  /** See `defaultBounds` and `docs/reference/gateway.md`. */
  readonly bounds?: Partial<GatewayBounds>
}

/** A gateway that listens. Disposing of it closes it. */
export interface Gateway extends AsyncDisposable {
  /** Such as `http://127.0.0.1:8080`. */
  readonly url: string
  readonly address: string
  readonly port: number
  /** Of the status listener, if there is one. */
  readonly statusUrl: string | undefined
  readonly routes: GatewayRoutes
  /**
   * Drains: it is not ready any more, goes on for `bounds.drainDelay` with answers that end their connections, accepts no more
   * connections, lets requests in flight finish for at most `bounds.drainTimeout`, and closes.
   */
  close(): Promise<void>
}

/**
 * Brings requests from outside to the services of a catalog. Resolves once it listens; what is asked before it knows what is
 * registered is answered 503. Throws `configuration` when it cannot listen there, or when a file is wrong, and `invalid_field`.
 */
export async function gateway(options: GatewayOptions): Promise<Gateway> {
  const { catalog, host = '127.0.0.1', port = 8080, tls, routesFile, ca, requestLog } = options
  const { clock = systemClock, logger = pino({ level: 'silent' }), status = {} } = options
  const bounds: GatewayBounds = { ...defaultBounds, ...options.bounds }
  const trust = new Trust(options.trustedProxies ?? [])
  const notify = (notice: Notice) => {
    const { level, event, message, details: { error, ...details } = {} } = notice
    logger[level]({ event, ...details, ...(error !== undefined && { err: error }) }, message)
    options.notify?.(notice)
  }
  let stage: Stage = 'warming'
  catalog.warm().then(
    () => {
      if (stage === 'warming') stage = 'ready'
    },
    () => {}, // Closed before it was warm.
  )

  /** What ends what was opened, the last first. */
  const ends: (() => unknown)[] = []
  async function end(): Promise<void> {
    for (const each of ends.reverse()) await each()
  }

  async function open(): Promise<Omit<Gateway, 'close' | typeof Symbol.asyncDispose>> {
    const table = await routes({
      catalog,
      clock,
      notify,
      ...(routesFile !== undefined && { file: routesFile }),
    })
    ends.push(() => table[Symbol.asyncDispose]())
    const admission = access(table.access, { clock, notify, routes: table })
    ends.push(() => admission[Symbol.asyncDispose]())
    let wrong: string | undefined
    const reloading = table.subscribe(() => {
      try {
        admission.reload(table.access)
        wrong = undefined
      } catch (error) {
        const { message } = error as Error
        // With each change of routes it is tried again, and told once.
        if (message !== wrong)
          notify({
            level: 'error',
            event: 'access_wrong',
            message: `Access stays as it was: ${message}`,
            details: { error },
          })
        wrong = message
      }
    })
    ends.push(() => reloading[Symbol.dispose]())
    const guards = new Guards({ clock, random: Math.random, notify, routes: table })
    ends.push(() => guards[Symbol.dispose]())
    const log = requestLog === undefined ? {} : { log: requestLog }
    const told = await telemetry({ clock, logger, routes: table, ...log })
    const lines = new Lines({ clock, bounds, ca })
    ends.push(() => lines.destroy(new Error('The gateway was closed.')))
    const destinations = new Destinations({
      clock,
      catalog,
      carrier: lines,
      routes: table,
      guards: (rule) => guards.of(rule),
      bounds,
    })
    ends.push(() => destinations.close())
    const relay = new Relay({
      routes: table,
      access: admission,
      telemetry: told,
      destinations,
      bounds,
      isWarm: () => stage !== 'warming',
    })
    let shown: StatusListener | undefined
    if (status !== false) {
      shown = await statusListener({ ...status, routes: table, metrics: told.metrics, stage: () => stage })
      ends.push(() => shown?.[Symbol.asyncDispose]())
    }
    const front = await Front.listen({ host, port, tls, clock, notify, bounds, relay, trust })
    // Who asks whether it is ready is told until the end.
    ends.push(() => front.close())
    const { address, port: bound } = front.address
    const url = `${tls === undefined ? 'http' : 'https'}://${urlHost(host, address)}:${bound}`
    logger.info({ url, status: shown?.url }, 'listening')
    return { url, address, port: bound, statusUrl: shown?.url, routes: table }
  }

  let closing: Promise<void> | undefined
  function close(): Promise<void> {
    if (closing === undefined) {
      logger.info('draining')
      stage = 'draining'
      closing = end().then(() => logger.info('closed'))
    }
    return closing
  }
  try {
    return { ...(await open()), close, [Symbol.asyncDispose]: close }
  } catch (error) {
    await end()
    throw error
  }
}

/** How the gateway is reached from its own machine. */
function urlHost(host: string, address: string): string {
  if (address === '0.0.0.0' || address === '::') return '127.0.0.1'
  if (host === 'localhost') return host
  return address.includes(':') ? `[${address}]` : address
}
