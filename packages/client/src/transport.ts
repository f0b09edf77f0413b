import {
  type Clock,
  type ErrorCode,
  errorCodes,
  isSeamarkError,
  type Notify,
  publicUrl,
  SeamarkError,
  systemClock,
  type Timer,
} from '@seamark/core'
import { buildConnector, Pool } from 'undici'
import { isNotConnected } from './not-connected.ts'

export interface TransportOptions {
  readonly clock?: Clock
  readonly notify?: Notify
  /** Milliseconds that one server has to answer one request before it counts as gone. Default 5,000. */
  readonly timeout?: number
}

export interface Request {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  /** Below the server's URL. */
  readonly path: string
  readonly body?: unknown
  /** Whether doing it twice does no harm: then it may be tried again when it is not known how far it came. */
  readonly repeatable: boolean
  /** Milliseconds; less than the default where the answer is of no use later. */
  readonly timeout?: number
}

/** A request whose response has no end. */
export interface StreamRequest {
  readonly path: string
  readonly headers?: Record<string, string>
  /** With one, it is a POST. */
  readonly body?: unknown
  /** Ends it, or the wait for it. */
  readonly signal: AbortSignal
  /** Nobody waits for it: it keeps no process alive, and which server takes it is no reason to ask that one from now on. */
  readonly background?: boolean
  /** Called when requests go to another server again; default: the stream ends. */
  readonly left?: () => void
}

/** A response without an end. */
export interface Stream {
  readonly body: AsyncIterable<Uint8Array>
  readonly server: string
  /** Ends it; `body` then throws. */
  close(): void
}

interface Server {
  readonly url: string
  /** The URL's own path, without a slash at the end. */
  readonly base: string
  readonly requests: Pool
  /** A watch occupies its connection: were they bounded together, watches would starve requests. */
  readonly streams: Pool
  /** As those, for streams that nobody waits for. */
  readonly background: Pool
}

/** One server that did not do what was asked. */
interface Failure {
  readonly server: Server
  readonly error: Error
  /** Whether the request may have had an effect nevertheless. */
  readonly uncertain: boolean
}

/** Milliseconds after which a client that had to leave its server looks whether it is back; half to one and a half of it. */
const homecoming = 30_000

/** The server's own words for "ask another one", and those of them that promise that nothing was changed. */
const elsewhere: ReadonlySet<ErrorCode> = new Set(['engine_unavailable', 'draining', 'timeout', 'too_many'])
const unchanged: ReadonlySet<ErrorCode> = new Set(['draining', 'too_many'])

/**
 * Requests to one Seamark server out of several. Each client puts the servers in an order of its own, at random, and
 * stays with the first: so the clients are spread evenly, also over those that remain when one server dies, and again
 * once it is back.
 */
export class Transport {
  readonly #servers: readonly Server[]
  readonly #clock: Clock
  readonly #notify: Notify
  readonly #timeout: number
  /** What to call when requests go to another server again. */
  readonly #open = new Map<() => void, Server>()
  #current = 0
  #looking: Timer | undefined
  #closed = false

  constructor(
    urls: string | readonly string[],
    { clock = systemClock, notify = () => {}, timeout = 5_000 }: TransportOptions,
  ) {
    this.#servers = shuffled(serverUrls(urls)).map((url) => connected(url, timeout))
    this.#clock = clock
    this.#notify = notify
    this.#timeout = timeout
  }

  get urls(): readonly string[] {
    return this.#servers.map(({ url }) => url)
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Throws `closed` once it is. */
  check(): void {
    if (this.#closed) throw new SeamarkError('closed', 'The connection to the Seamark servers is closed.')
  }

  /** Where requests go at present first. */
  get current(): string {
    return this.#servers[this.#current]!.url
  }

  /** Answers the body of a 2xx. Throws what the server said, or `engine_unavailable` when none of them can serve. */
  async request<T>(request: Request): Promise<T> {
    const headers: Record<string, string> = { accept: 'application/json' }
    if (request.body !== undefined) headers['content-type'] = 'application/json'
    const body = request.body === undefined ? null : JSON.stringify(request.body)
    return this.#tryServers(request, async (server) => {
      const timeout = new AbortController()
      const milliseconds = Math.min(request.timeout ?? this.#timeout, this.#timeout)
      const timer = this.#clock.after(milliseconds, () =>
        timeout.abort(new SeamarkError('timeout', `no answer within ${milliseconds} ms`)),
      )
      try {
        const response = await server.requests.request({
          path: server.base + request.path,
          method: request.method,
          headers,
          body,
          signal: timeout.signal,
        })
        const text = await response.body.text()
        if (response.statusCode >= 300) throw refusal(response.statusCode, text)
        return JSON.parse(text) as T
      } finally {
        timer.cancel()
      }
    })
  }

  /** Opens an endless response. Throws as `request`; once `signal` aborts, its reason. */
  async stream({ path, headers, body, signal, background = false, left }: StreamRequest): Promise<Stream> {
    const method = body === undefined ? 'GET' : 'POST'
    const request: Request = { method, path, repeatable: true }
    const settles = !background
    return this.#tryServers(
      request,
      async (server) => {
        signal.throwIfAborted()
        const controller = new AbortController()
        const abort = () => controller.abort(signal.reason)
        const leave = left ?? (() => controller.abort())
        signal.addEventListener('abort', abort)
        const close = () => {
          signal.removeEventListener('abort', abort)
          this.#open.delete(leave)
          controller.abort()
        }
        const timer = this.#clock.after(this.#timeout, () =>
          controller.abort(new SeamarkError('timeout', `no answer within ${this.#timeout} ms`)),
        )
        try {
          const response = await server[background ? 'background' : 'streams'].request({
            path: server.base + path,
            method,
            headers: {
              accept: 'text/event-stream',
              ...(body !== undefined && { 'content-type': 'application/json' }),
              ...headers,
            },
            body: body === undefined ? null : JSON.stringify(body),
            headersTimeout: 0,
            signal: controller.signal,
          })
          if (response.statusCode !== 200) throw refusal(response.statusCode, await response.body.text())
          // Closing is how every stream ends: an error nobody reads any more is not one.
          response.body.on('error', () => {})
          this.#open.set(leave, server)
          return { body: response.body, server: server.url, close }
        } catch (error) {
          close()
          signal.throwIfAborted()
          throw error
        } finally {
          timer.cancel()
        }
      },
      settles,
    )
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#looking?.cancel()
    await Promise.all(
      this.#servers.flatMap(({ requests, streams, background }) =>
        [requests, streams, background].map((pool) => pool.destroy()),
      ),
    )
  }

  async #tryServers<T>(
    request: Request,
    attempt: (server: Server) => Promise<T>,
    settles = true,
  ): Promise<T> {
    const failures: Failure[] = []
    const first = this.#current
    // One server alone gets a second chance, on a new connection: the kept one may have died unnoticed.
    const tries = Math.max(this.#servers.length, 2)
    for (let n = 0; n < tries; n++) {
      this.check()
      const at = (first + n) % this.#servers.length
      const server = this.#servers[at]!
      try {
        const answer = await attempt(server)
        if (n > 0 && settles) this.#moveTo(at)
        return answer
      } catch (error) {
        if (this.#closed)
          throw new SeamarkError('closed', 'The connection to the Seamark servers was closed.', {
            cause: error,
          })
        const failure = asFailure(server, error)
        if (failure === undefined) throw error
        failures.push(failure)
        if (failure.uncertain ? !request.repeatable : this.#servers.length === 1) break
      }
    }
    throw unavailable(request, failures)
  }

  #moveTo(at: number): void {
    if (at === this.#current) return
    const former = this.#servers[this.#current]!
    const server = this.#servers[at]!
    const atHome = this.#current === 0
    this.#current = at
    this.#notify({
      level: at === 0 ? 'info' : 'warn',
      event: 'server_changed',
      message: `Now asking ${server.url}, after ${former.url}.`,
      details: { from: former.url, to: server.url },
    })
    if (atHome) this.#lookHome()
  }

  /** Goes back to the first server once it is ready, at a moment of this client's own. */
  #lookHome(): void {
    this.#looking = this.#clock.after(homecoming * (0.5 + Math.random()), async () => {
      if (this.#closed || this.#current === 0) return
      const home = this.#servers[0]!
      if (!(await this.#ready(home))) return this.#lookHome()
      this.#moveTo(0)
      for (const [leave, server] of [...this.#open]) if (server !== home) leave()
    })
  }

  async #ready(server: Server): Promise<boolean> {
    const timeout = new AbortController()
    const timer = this.#clock.after(this.#timeout, () => timeout.abort())
    try {
      const { statusCode, body } = await server.requests.request({
        path: `${server.base}/readyz`,
        method: 'GET',
        signal: timeout.signal,
      })
      await body.dump()
      return statusCode === 200
    } catch {
      return false
    } finally {
      timer.cancel()
    }
  }
}

/** Takes apart what people write: several URLs joined by commas. Throws `configuration`. */
export function serverUrls(urls: string | readonly string[]): readonly string[] {
  const list = (typeof urls === 'string' ? urls.split(',') : urls).map((url) => url.trim())
  const some = list.filter((url) => url !== '')
  if (some.length === 0) throw new SeamarkError('configuration', 'No URL of a Seamark server was given.')
  return [...new Set(some)]
}

/** Ready to connect, with the first request. Throws `configuration`. */
function connected(text: string, timeout: number): Server {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw new SeamarkError(
      'configuration',
      `"${publicUrl(text)}" is not the URL of a Seamark server, such as "http://127.0.0.1:8500".`,
    )
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new SeamarkError(
      'configuration',
      `The URL of a Seamark server at ${url.origin} holds more than a host, a port and a path.`,
    )
  const base = url.pathname.replace(/\/+$/, '')
  const connect = { timeout, keepAlive: true, keepAliveInitialDelay: 15_000 }
  return {
    url: url.origin + base,
    base,
    // Idle connections close after undici's 4 s, or shortly before the time the server announces: never after it.
    requests: new Pool(url.origin, { connect, connections: 16, maxResponseSize: 16 * 1024 * 1024 }),
    streams: new Pool(url.origin, { connect, bodyTimeout: 0 }),
    background: new Pool(url.origin, { connect: unheld(connect), bodyTimeout: 0 }),
  }
}

/** Connects sockets that keep no process alive. */
function unheld(options: buildConnector.BuildOptions): buildConnector.connector {
  const connect = buildConnector(options)
  return (target, callback) =>
    connect(target, (...connected: buildConnector.CallbackArgs) => {
      connected[1]?.unref()
      callback(...connected)
    })
}

/** What a server said with a status above 2xx. */
function refusal(status: number, text: string): Error {
  let said: { error?: { code?: unknown; message?: unknown; field?: unknown; details?: unknown } } | undefined
  try {
    said = JSON.parse(text)
  } catch {
    // Not Seamark's, then.
  }
  const { code, message, field, details } = said?.error ?? {}
  if (typeof code !== 'string' || typeof message !== 'string')
    return new ForeignAnswer(
      `answered ${status}, but not in the way of a Seamark server: is it one? It said: ${text.slice(0, 200)}`,
    )
  const known = Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : codeOf(status)
  return new SeamarkError(known, message, {
    ...(typeof field === 'string' && { field }),
    ...(typeof details === 'object' && details !== null && { details: { ...details } }),
  })
}

/** For a code that a newer server has and this client has not. */
function codeOf(status: number): ErrorCode {
  if (status === 503) return 'engine_unavailable'
  return status < 500 ? 'invalid_request' : 'internal'
}

class ForeignAnswer extends Error {}

/** `undefined` when the server did answer: then asking another one would change nothing. */
function asFailure(server: Server, error: unknown): Failure | undefined {
  if (!(error instanceof Error)) return undefined
  if (isSeamarkError(error))
    return elsewhere.has(error.code) ? { server, error, uncertain: !unchanged.has(error.code) } : undefined
  return { server, error, uncertain: !isNotConnected(error) }
}

function unavailable({ method, path }: Request, failures: readonly Failure[]): SeamarkError {
  const errors = failures.map(
    ({ server, error }) => new Error(`${server.url}: ${reason(error)}`, { cause: error }),
  )
  const what = `${method} ${path.split('?')[0]}`
  return new SeamarkError(
    'engine_unavailable',
    `No Seamark server could serve ${what}: ${errors.map(({ message }) => message).join('; ')}`,
    { cause: new AggregateError(errors, `Tried ${errors.length} times.`) },
  )
}

/** Some of Node's errors have an empty message, such as those of a name with several addresses. */
function reason(error: Error): string {
  if (error.message !== '') return error.message
  if (error instanceof AggregateError) return error.errors.map((each) => each?.message ?? each).join(', ')
  return (error as NodeJS.ErrnoException).code ?? error.name
}

function shuffled<T>(list: readonly T[]): T[] {
  const result = [...list]
  for (let n = result.length - 1; n > 0; n--) {
    const other = Math.floor(Math.random() * (n + 1))
    ;[result[n], result[other]] = [result[other]!, result[n]!]
  }
  return result
}
