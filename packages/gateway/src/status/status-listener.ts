import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hostGuard, hostNotAllowed, SeamarkError } from '@seamark/core'
import type { Routes } from '../ports.ts'
import { routesJson } from './route-json.ts'

export interface StatusListenerOptions {
  /**
   * The address to listen on. Default `127.0.0.1`: what it shows is not for those who reach the gateway. On loopback,
   * only names of loopback are answered, so that no web page reaches it by DNS rebinding.
   */
  readonly host?: string
  /** 0 takes a free one. Default 8081. */
  readonly port?: number
  readonly routes: Routes
  readonly metrics: { readonly contentType: string; text(): Promise<string> }
  /** Asked at each `/readyz`: requests are to be sent to a gateway that is `ready` only. */
  readonly stage: () => Stage
}

/** `warming`: what is registered is not known yet. `draining`: it shuts down. */
export type Stage = 'warming' | 'ready' | 'draining'

/** A listener for those who run the gateway. Disposing of it closes it at once. */
export interface StatusListener extends AsyncDisposable {
  /** Such as `http://127.0.0.1:8081`. */
  readonly url: string
  readonly port: number
}

interface Answer {
  readonly status?: number
  readonly type?: string
  readonly body: string
}

/** Connections at once: whoever watches a gateway needs few. */
const connections = 100

/** Serves `/healthz`, `/readyz`, `/metrics` and `/routes`. Throws `configuration` when it cannot listen there. */
export async function statusListener(options: StatusListenerOptions): Promise<StatusListener> {
  const { host = '127.0.0.1', port = 8081, routes, metrics, stage } = options
  const guard = hostGuard({ host, allowedHosts: [] })

  const pages: Readonly<Record<string, () => Answer | Promise<Answer>>> = {
    '/healthz': () => json({ status: 'alive' }),
    '/readyz': () => {
      const status = stage()
      return { ...json({ status }), status: status === 'ready' ? 200 : 503 }
    },
    '/metrics': async () => ({ type: metrics.contentType, body: await metrics.text() }),
    '/routes': () => json(routesJson(routes)),
  }

  async function answer({ method, url = '', headers }: IncomingMessage): Promise<Answer> {
    if (!guard(headers.host)) return refusal(hostNotAllowed(headers.host))
    const path = url.split('?', 1)[0]!
    const page = Object.hasOwn(pages, path) ? pages[path] : undefined
    if (page !== undefined && (method === 'GET' || method === 'HEAD')) return page()
    return refusal(
      new SeamarkError(
        'route_not_found',
        `There is nothing at ${method} ${path.slice(0, 200)}: GET ${Object.keys(pages).join(', ')}.`,
      ),
    )
  }

  function handle(request: IncomingMessage, response: ServerResponse): void {
    answer(request)
      .catch((cause) => refusal(new SeamarkError('internal', 'This could not be told.', { cause })))
      .then(({ status = 200, type = 'application/json; charset=utf-8', body }) => {
        response.writeHead(status, {
          'content-type': type,
          'content-length': Buffer.byteLength(body),
          'cache-control': 'no-store',
        })
        response.end(request.method === 'HEAD' ? undefined : body)
      })
  }

  const http = createServer(
    { requireHostHeader: false, requestTimeout: 10_000, headersTimeout: 5_000 },
    handle,
  )
  http.maxConnections = connections
  try {
    http.listen({ host, port })
    await once(http, 'listening')
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    const why = code === 'EADDRINUSE' ? 'another process listens there' : message
    throw new SeamarkError('configuration', `The status listener cannot listen on ${host}:${port}: ${why}.`, {
      field: 'statusPort',
      cause,
    })
  }
  const bound = http.address() as AddressInfo
  return {
    url: `http://${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`,
    port: bound.port,
    async [Symbol.asyncDispose]() {
      if (!http.listening) return
      http.close()
      http.closeAllConnections()
      await once(http, 'close')
    },
  }
}

function json(value: unknown): Answer {
  return { body: JSON.stringify(value) }
}

function refusal({ status, code, message }: SeamarkError): Answer {
  return { ...json({ error: { code, message } }), status }
}
