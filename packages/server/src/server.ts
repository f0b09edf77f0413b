import { once } from 'node:events'
import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import {
  type Catalog,
  type Clock,
  catalog,
  type Engine,
  hostGuard,
  isLoopback,
  items as itemReplica,
  SeamarkError,
  systemClock,
} from '@seamark/core'
import fastify, { type FastifyInstance } from 'fastify'
import { type Logger, pino } from 'pino'
import { AnswerCache } from './answer-cache.ts'
import { type Bounds, defaultBounds } from './bounds.ts'
import { Census } from './census.ts'
import { type Checker, checker } from './checks/checker.ts'
import { claims } from './claims.ts'
import { ConsulFace } from './consul/face.ts'
import type { ConsulNames } from './consul/names.ts'
import { type ConsulOptions, consulSettings } from './consul/options.ts'
import { advertised } from './consul/place.ts'
import type { Context, Routes } from './context.ts'
import { docs } from './docs.ts'
import { errorHeaders, errorJson, refuseConnection, seamarkError } from './error-answer.ts'
import { FastLane } from './fast-lane.ts'
import { front } from './front.ts'
import { instances } from './instances.ts'
import { ItemWatchers } from './item-watchers.ts'
import { items as itemRoutes } from './items.ts'
import { jsonBody } from './json-body.ts'
import { leases } from './leases.ts'
import { Membership } from './membership.ts'
import { Metrics } from './metrics.ts'
import { type Notices, notices } from './notices.ts'
import { openapi } from './openapi.ts'
import { presence } from './presence.ts'
import { Presences } from './presences.ts'
import { probes } from './probes.ts'
import { prometheusTargets } from './prometheus-targets.ts'
import { services } from './services.ts'
import { status } from './status.ts'
import { validation } from './validation.ts'
import { version } from './version.ts'
import { visible } from './visible.ts'
import { Waiters } from './waiters.ts'
import { warmed } from './warmed.ts'
import { watch } from './watch.ts'
import { Watchers } from './watchers.ts'

export interface ServerOptions {
  /** Where the truth is. It is not disposed of with the server. */
  engine: Engine
  /** What the engine is called in `/api/v1/status`, such as `memory`. */
  engineName: string
  /** The address to listen on. Default `127.0.0.1`. Any other than loopback needs `insecure`. */
  host?: string
  /** 0 takes a free one. Default 8500. */
  port?: number
  /** Lets the server listen beyond loopback, where anybody who reaches it may read and write. Default false. */
  insecure?: boolean
  /** Further names that Host headers may carry on loopback. Default none. */
  allowedHosts?: readonly string[]
  /** Lets health checks run commands on this machine. Default false. */
  allowCommandChecks?: boolean
  /** Lets health checks connect to other addresses than their instance's own. Default false. */
  allowForeignChecks?: boolean
  /**
   * Whether other servers use the engine at the same time. Then they find one another through the registry (service
   * `server` of namespace `seamark`), and each runs its share of the health checks. Default false.
   */
  shared?: boolean
  /** What this server is called among several: unique, and the same after a restart. Default the host's name and the port. */
  name?: string
  /** Default: nothing is logged. */
  logger?: Logger
  /** Where the engine's notices arrive: they are logged and counted. Default: only the server's own. */
  notices?: Notices
  /** Default the system's. */
  clock?: Clock
  /** See `defaultBounds` and `docs/reference/limits.md`. */
  bounds?: Partial<Bounds>
  /** How the server shows itself through Consul's API. */
  consul?: ConsulOptions
}

/** A server that listens. Disposing of it closes it. */
export interface Server extends AsyncDisposable {
  /** Such as `http://127.0.0.1:8500`. */
  readonly url: string
  readonly address: string
  readonly port: number
  /** Names this life of the registry: revisions of different epochs cannot be compared. */
  readonly epoch: string
  /** All that is registered, as the server shows it. */
  readonly catalog: Catalog
  /** What Consul's names say beyond the catalog: for the DNS face. */
  readonly consul: ConsulNames
  /**
   * Drains: it is not ready any more, accepts no connection, ends watches and waits, lets requests in flight finish for
   * at most `bounds.drainTimeout`, and closes.
   */
  close(): Promise<void>
}

/**
 * Puts a registry behind HTTP: `/api/v1`, Consul's `/v1`, `/healthz`, `/readyz`, `/metrics`. Resolves once it listens;
 * what is asked before it knows what is registered waits. Throws `configuration` when it may not or cannot listen there.
 */
export async function server(options: ServerOptions): Promise<Server> {
  const { engine, engineName, host = '127.0.0.1', port = 8500, insecure = false, allowedHosts = [] } = options
  const { clock = systemClock, logger = pino({ level: 'silent' }), notices: hub = notices() } = options
  const { allowCommandChecks = false, allowForeignChecks = false, shared = false } = options
  const checkPolicy = { allowCommandChecks, allowForeignChecks }
  const bounds: Bounds = { ...defaultBounds, ...options.bounds }
  if (!isLoopback(host) && !insecure) throw notLoopback(host)
  const settings = consulSettings(options.consul)

  const metrics = new Metrics()
  const heard = hub.subscribe(({ level, event, message, details: { error, ...details } = {} }) => {
    logger[level]({ event, ...details, ...(error !== undefined && { err: error }) }, message)
    if (event === 'leases_expired') metrics.expiries.inc(Number(details.count ?? 1))
  })
  const replica = catalog(engine, { clock, notify: hub.notify })
  const items = itemReplica(engine, '', { clock, notify: hub.notify })
  const answers = new AnswerCache(bounds.answerBytes)
  // Before anybody who answers upon a change: no answer is older than the news of it.
  answers.follow(replica)
  const census = new Census(replica)
  const lag = (ms: number) => metrics.watchLag.observe(ms / 1_000)
  const watchers = new Watchers({ catalog: replica, clock, bounds, lag })
  const itemWatchers = new ItemWatchers({ items, clock, bounds })
  const presences = new Presences({
    engine,
    items,
    clock,
    bounds,
    notify: hub.notify,
    ended: () => metrics.presenceEndings.inc(),
  })
  const waiters = new Waiters({ catalog: replica, clock, bound: bounds.waiters })
  const context: Context = {
    engine,
    engineName,
    catalog: replica,
    items,
    clock,
    bounds,
    log: logger,
    checkPolicy,
    metrics,
    census,
    watchers,
    itemWatchers,
    waiters,
    presences,
    answers,
    stage: { warm: false, draining: false },
    visible: visible(replica, clock, bounds.visibleTimeout),
    itemsVisible: visible(items, clock, bounds.visibleTimeout),
  }
  const face = new ConsulFace(context, settings)
  metrics.measure({
    catalog: replica,
    census,
    watchers,
    itemWatchers,
    presences,
    waiters: [waiters, face.waiters],
    clock,
  })
  Promise.all([replica.warm(), items.warm()]).then(
    () => {
      context.stage.warm = true
    },
    () => {}, // Closed before it was warm.
  )

  let membership: Membership | undefined
  let checks: Checker | undefined

  async function dispose(): Promise<void> {
    await checks?.[Symbol.asyncDispose]()
    await membership?.[Symbol.asyncDispose]()
    watchers.close()
    itemWatchers.close()
    presences.close()
    waiters.close()
    await face[Symbol.asyncDispose]()
    census.close()
    context.answers.close()
    await Promise.all([replica[Symbol.asyncDispose](), items[Symbol.asyncDispose]()])
    metrics.close()
    heard[Symbol.dispose]()
  }

  let app: FastifyInstance
  let http: HttpServer
  try {
    app = await application(context, face, (handler) => {
      const guard = hostGuard({ host, allowedHosts })
      const lane = new FastLane({ context, guard })
      const http = httpServer(
        bounds,
        front({ context, guard, lane, take: (request, response) => face.take(request, response), handler }),
      )
      return http.on('connection', (socket) => lane.enter(socket))
    })
    http = app.server
    await listening(http, host, port)
    http.on('error', (err) => logger.error({ err }, 'a connection could not be accepted'))
  } catch (error) {
    await dispose()
    throw error
  }
  const { address, port: bound } = http.address() as AddressInfo
  const url = `http://${urlHost(host, address)}:${bound}`
  face.listens(address, bound)
  if (shared) {
    membership = new Membership({
      engine,
      catalog: replica,
      clock,
      notify: hub.notify,
      name: options.name ?? `${hostname()}:${bound}`,
      place: { address: advertised(address), port: bound, version, metadata: face.metadata },
    })
    presences.share(membership)
  }
  face.keep(membership, hub.notify)
  checks = checker({ engine, catalog: replica, clock, notify: hub.notify, share: membership, ...checkPolicy })
  if (!isLoopback(host))
    logger.warn(`${url} is open to everybody who reaches it: there is no access control (insecure).`)
  logger.info({ url, engine: engineName }, 'listening')

  async function drain(): Promise<void> {
    context.stage.draining = true
    logger.info('draining')
    const closed = new Promise((resolve) => http.close(resolve))
    watchers.close()
    itemWatchers.close()
    presences.close()
    waiters.close()
    face.drain()
    const force = clock.after(bounds.drainTimeout, () => {
      http.getConnections((_, connections) => {
        logger.warn({ connections }, 'requests in flight did not finish in time: closing their connections')
        http.closeAllConnections()
      })
    })
    await closed
    force.cancel()
    await app.close()
    await dispose()
    logger.info('closed')
  }

  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= drain()
    return closing
  }
  return {
    url,
    address,
    port: bound,
    get epoch() {
      return watchers.epoch
    },
    catalog: replica,
    consul: face.names,
    close,
    [Symbol.asyncDispose]: close,
  }
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void

function httpServer(bounds: Bounds, handler: Handler): HttpServer {
  const http = createServer(
    {
      maxHeaderSize: bounds.headerBytes,
      headersTimeout: bounds.headersTimeout,
      requestTimeout: bounds.requestTimeout,
      keepAliveTimeout: bounds.keepAliveTimeout,
      connectionsCheckingInterval: Math.min(bounds.headersTimeout, 5_000),
      // The host guard answers for a missing Host header, in our words.
      requireHostHeader: false,
    },
    handler,
  )
  http.maxConnections = bounds.connections
  return http
}

async function application(
  context: Context,
  face: ConsulFace,
  serverFactory: (handler: Handler) => HttpServer,
): Promise<FastifyInstance> {
  const { bounds, log, metrics, stage } = context
  const app: FastifyInstance = fastify({
    serverFactory,
    bodyLimit: bounds.bodyBytes,
    // Names that are too long are refused by what they name; this only has to let them through.
    routerOptions: { maxParamLength: bounds.urlBytes },
    clientErrorHandler: refuseConnection,
    return503OnClosing: false,
  })
  jsonBody(app)
  validation(app)
  app.setErrorHandler((error, request, reply) => {
    const answer = seamarkError(error)
    if (answer.status >= 500)
      log.error({ err: answer.cause ?? answer, method: request.method, url: request.url }, answer.message)
    return reply.code(answer.status).headers(errorHeaders(answer)).send(errorJson(answer))
  })
  app.setNotFoundHandler((request) => {
    throw new SeamarkError(
      'route_not_found',
      `There is nothing at ${request.method} ${request.url.slice(0, 200)}: see /api/v1/docs.`,
      { field: 'url' },
    )
  })
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (stage.draining) reply.header('connection', 'close')
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    metrics.answered(request.method, request.routeOptions.url ?? 'none', reply.statusCode).count++
    log.debug({ method: request.method, url: request.url, status: reply.statusCode }, 'answered')
    done()
  })
  await openapi(app)
  const prefix = '/api/v1'
  app.register(probes, { context })
  app.register(status, { context, prefix })
  app.register(docs, { context, prefix })
  app.register(registry, { context, prefix })
  app.register(face.routes)
  await app.ready()
  return app
}

/** The routes that show or change what is registered: they wait until that is known. */
const registry: Routes = (app, { context }, done) => {
  const { catalog, items, clock, bounds, stage } = context
  app.addHook('onRequest', async () => {
    if (stage.warm) return
    for (const replica of [catalog, items]) await warmed(replica, clock, bounds.visibleTimeout)
  })
  for (const routes of [instances, leases, presence, claims, services, prometheusTargets, watch, itemRoutes])
    app.register(routes, { context })
  done()
}

async function listening(http: HttpServer, host: string, port: number): Promise<void> {
  try {
    http.listen({ host, port })
    await once(http, 'listening')
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    const why = code === 'EADDRINUSE' ? 'another process listens there' : message
    throw new SeamarkError('configuration', `The server cannot listen on ${host}:${port}: ${why}.`, {
      field: 'port',
      cause,
    })
  }
}

function notLoopback(host: string): SeamarkError {
  return new SeamarkError(
    'configuration',
    `${host} is not loopback: there, anybody who reaches the server may read and write, as there is no access control yet. If that is meant, say so with the insecure option (--insecure).`,
    { field: 'host' },
  )
}

/** How the server is reached from its own machine. */
function urlHost(host: string, address: string): string {
  if (address === '0.0.0.0' || address === '::') return '127.0.0.1'
  if (host === 'localhost') return host
  return address.includes(':') ? `[${address}]` : address
}
