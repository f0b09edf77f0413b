import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Notify, Revision } from '@seamark/core'
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify'
import type { Share } from '../checks/checker.ts'
import type { Context } from '../context.ts'
import { warmed } from '../warmed.ts'
import { agent } from './agent.ts'
import { agentCheck } from './agent-check.ts'
import { agentHealth } from './agent-health.ts'
import { agentService } from './agent-service.ts'
import { type ConsulAnswer, errorAnswer, textAnswer } from './answer.ts'
import { Ask } from './ask.ts'
import { catalog } from './catalog.ts'
import { catalogRegister } from './catalog-register.ts'
import type { ConsulContext } from './context.ts'
import type { Endpoint, Endpoints } from './endpoint.ts'
import { event } from './event.ts'
import { health } from './health.ts'
import { Keeper } from './keeper.ts'
import { type ConsulNames, names } from './names.ts'
import { nodeIdKey, nodeNameKey } from './nodes.ts'
import type { ConsulSettings } from './options.ts'
import { advertised } from './place.ts'
import { telling } from './reads.ts'
import { ServiceHealth } from './service-health.ts'
import { status } from './status.ts'
import { Topics } from './topics.ts'
import { Side } from './txn/side.ts'
import { unused } from './unused.ts'
import { View } from './view.ts'
import { Writer } from './writer.ts'

/** Everything below `/v1`. */
const families: readonly Endpoints[] = [
  status,
  agent,
  agentService,
  agentCheck,
  agentHealth,
  (context) => catalog(context).map(telling),
  catalogRegister,
  (context) => health(context).map(telling),
  event,
  unused,
]

/** Consul's HTTP API over the same registry. */
export class ConsulFace implements AsyncDisposable {
  readonly #topics: Topics
  readonly #context: ConsulContext
  readonly #side: Side
  /** For the DNS face. */
  readonly names: ConsulNames
  /** What the server says of itself to the other servers. */
  readonly metadata: Readonly<Record<string, string>>
  #warm = false
  #keeper: Keeper | undefined
  #closed = false

  constructor(server: Context, settings: ConsulSettings) {
    const { catalog: registry, items, clock, bounds } = server
    this.#topics = new Topics(clock, bounds.waiters)
    server.answers.follow(items)
    const { nodeName: name, nodeId: id, nodeMeta: meta } = settings
    const view = new View(registry, items, this.#topics, { name, id, address: '127.0.0.1', port: 0, meta })
    const context = {
      server,
      items,
      settings,
      view,
      topics: this.#topics,
      get revision(): Revision {
        return view.revision
      },
      itemsVisible: server.itemsVisible,
    }
    // Both are of the context that they are in.
    const whole = context as typeof context & { writer: Writer; health: ServiceHealth }
    whole.writer = new Writer(whole)
    whole.health = new ServiceHealth(whole)
    this.#context = whole
    this.#side = new Side(this.#context)
    this.names = names(this.#context, this.#side.queries)
    this.metadata = { ...meta, [nodeNameKey]: name, [nodeIdKey]: id }
  }

  /** How many wait. */
  get waiters(): { readonly size: number } {
    return this.#topics
  }

  /** Where the server listens. */
  listens(address: string, port: number): void {
    const { settings, view } = this.#context
    const { nodeName: name, nodeId: id, nodeMeta: meta } = settings
    view.nodes.server = { name, id, address: advertised(address), port, meta }
  }

  /** Begins to keep what is registered as it should be, once it is known; shares that with the other servers. */
  keep(share: Share | undefined, notify: Notify): void {
    const { catalog: registry, items } = this.#context.server
    Promise.all([registry.warm(), items.warm()]).then(
      () => {
        if (!this.#closed) this.#keeper = new Keeper(this.#context, share, notify)
      },
      () => {}, // Closed before it was known.
    )
  }

  /** The routes; they are no part of the native API's documentation. */
  readonly routes: FastifyPluginCallback = (app, _options, done) => {
    // Clients of Consul send JSON under any name, or none.
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
    app.setErrorHandler((error, request, reply) => {
      const { log } = this.#context.server
      const answer = errorAnswer(error)
      if (answer.status >= 500)
        log.error({ err: error, method: request.method, url: request.url }, 'Consul API failed')
      send(reply, answer, this.#context)
    })
    app.addHook('onRequest', async () => {
      if (!this.#warm) await this.#warmed()
    })
    const nothing = ({ raw: { url = '' } }: FastifyRequest, reply: FastifyReply) => {
      const path = url.replace(/\?.*$/s, '')
      const clean = path.replace(/\/{2,}/g, '/')
      send(reply, clean === path ? textAnswer('', 404) : moved(clean), this.#context)
    }
    app.all('/v1/*', { schema: { hide: true } }, nothing)
    const endpoints = [...families.flatMap((family) => family(this.#context)), ...this.#side.endpoints()]
    const paths = new Set(endpoints.map(({ path }) => path))
    for (const endpoint of endpoints) {
      const { path, bodyBytes } = endpoint
      const options = { schema: { hide: true }, ...(bodyBytes !== undefined && { bodyLimit: bodyBytes }) }
      app.all(path.endsWith('/') ? `${path}*` : path, options, async (request, reply) => {
        send(reply, await this.#answer(endpoint, request, reply), this.#context)
        return reply
      })
      // As Go's: a path that something is only below leads there.
      const above = path.replace(/\/$/, '')
      if (!paths.has(above))
        app.all(above, { schema: { hide: true } }, (_request, reply) =>
          send(reply, moved(path), this.#context),
        )
    }
    done()
  }

  /** Takes a request that only has to wait, before any route is looked for. `false`: it is for the routes. */
  take(request: IncomingMessage, response: ServerResponse): boolean {
    return this.#warm && this.#context.health.take(request, response)
  }

  /** Lets go all who wait. */
  drain(): void {
    this.#topics.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    this.#topics.close()
    await this.#keeper?.close()
    this.#side[Symbol.dispose]()
    this.#context.view.close()
  }

  async #warmed(): Promise<void> {
    const { catalog, items, clock, bounds } = this.#context.server
    for (const replica of [catalog, items]) await warmed(replica, clock, bounds.visibleTimeout)
    this.#warm = true
  }

  async #answer(endpoint: Endpoint, request: FastifyRequest, reply: FastifyReply): Promise<ConsulAnswer> {
    const { path, methods } = endpoint
    const allow = ['OPTIONS', ...methods].join(',')
    if (request.method === 'OPTIONS') return textAnswer('', 200, { Allow: allow })
    if (!(methods as readonly string[]).includes(request.method))
      return textAnswer(`method ${request.method} not allowed`, 405, { Allow: allow })
    if (isForeignPage(request))
      return textAnswer('A web page of another origin may not change what is registered here.', 403)
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
    return endpoint.answer(new Ask(path, body, request.raw, reply.raw))
  }
}

function moved(path: string): ConsulAnswer {
  return {
    status: 301,
    headers: { 'Content-Type': 'text/html; charset=utf-8', Location: path },
    body: `<a href="${path}">Moved Permanently</a>.\n\n`,
  }
}

/** A page can send POST with any body across origins without asking first; browsers then say where it comes from. */
function isForeignPage({ method, headers: { origin, host } }: FastifyRequest): boolean {
  if (method === 'GET' || origin === undefined) return false
  return !URL.canParse(origin) || new URL(origin).host !== host
}

function send(reply: FastifyReply, { status, headers, body }: ConsulAnswer, { server }: ConsulContext): void {
  reply.hijack()
  const { raw } = reply
  raw.writeHead(status, {
    ...headers,
    'Content-Length': Buffer.byteLength(body),
    ...(server.stage.draining && { Connection: 'close' }),
  })
  raw.end(body)
}
