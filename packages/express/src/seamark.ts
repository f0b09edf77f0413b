import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Discovery } from '@seamark/client'
import { Presence, type PresenceOptions } from '@seamark/host'

export type Middleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void

/** A server in the registry. It is a middleware, to be the first one: `app.use(server)`. */
export interface AnnouncedServer extends Middleware, AsyncDisposable {
  /**
   * Announces the server as soon as it listens; resolves then. Throws as `announce`, and what kept it from listening:
   * `await api.attach(app.listen(3000))`.
   */
  attach(server: Server): Promise<void>
  /**
   * Deregisters and waits until callers have noticed (`drain`); then accepts nobody any more, and resolves when all that was
   * under way is answered. Never rejects.
   */
  close(): Promise<void>
}

/**
 * For Express 4 and 5, and whatever else has such middlewares: announces the server once it listens, serves `/healthz`, and
 * closes without a request that fails. Takes all that `announce` takes. Throws `invalid_field`.
 */
export function seamark(discovery: Pick<Discovery, 'announce'>, options: PresenceOptions): AnnouncedServer {
  const presence = new Presence(discovery, options)
  let attached: Server | undefined
  let end: Promise<void> | undefined

  const handle: Middleware = (request, response, next) => {
    presence.observe(request, response)
    if (isHealthRequest(request, presence.healthPath)) answer(response, presence.health)
    else next()
  }

  async function attach(server: Server): Promise<void> {
    attached = server
    if (!server.listening) await once(server, 'listening')
    await presence.announce(server.address())
  }

  async function closeAll(): Promise<void> {
    await presence.leave()
    if (!attached?.listening) return
    const closed = once(attached, 'close')
    attached.close()
    presence.finish()
    await closed
  }

  function close(): Promise<void> {
    end ??= closeAll()
    return end
  }

  return Object.assign(handle, { attach, close, [Symbol.asyncDispose]: close })
}

function isHealthRequest({ method, url = '' }: IncomingMessage, path: string | undefined): boolean {
  return path !== undefined && (method === 'GET' || method === 'HEAD') && url.split('?', 1)[0] === path
}

function answer(response: ServerResponse, { status, body }: Presence['health']): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  })
  response.end(body)
}
