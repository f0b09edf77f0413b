import { type Engine, memory } from '@seamark/core'
import { type Server, type ServerOptions, server } from '@seamark/server'

/** What came back. */
export interface Told {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
  readonly json: any
}

export interface Asking extends AsyncDisposable {
  readonly server: Server
  readonly engine: Engine
  /** Asks Consul's API; paths are below `/v1`, and sent as they are. What is neither text nor bytes is sent as JSON. */
  ask(method: string, path: string, body?: unknown): Promise<Told>
}

/** A server on a free port that is asked as Consul is. An engine that is given outlives it. */
export async function asking(options: Partial<ServerOptions> = {}): Promise<Asking> {
  const engine = options.engine ?? memory(options.clock && { clock: options.clock })
  const running = await server({
    engine,
    engineName: 'memory',
    port: 0,
    consul: { nodeName: 'n1' },
    ...options,
  })
  return {
    server: running,
    engine,
    async ask(method, path, body) {
      const response = await fetch(`${running.url}/v1${path}`, {
        method,
        redirect: 'manual',
        ...(body !== undefined && { body: sent(body) }),
      })
      const text = await response.text()
      const isJson = response.headers.get('content-type')?.startsWith('application/json')
      return {
        status: response.status,
        headers: response.headers,
        text,
        json: isJson ? JSON.parse(text) : undefined,
      }
    },
    async [Symbol.asyncDispose]() {
      await running.close()
      if (options.engine === undefined) await engine[Symbol.asyncDispose]()
    },
  }
}

function sent(body: unknown): string | Uint8Array<ArrayBuffer> {
  if (typeof body === 'string') return body
  return body instanceof Uint8Array ? Uint8Array.from(body) : JSON.stringify(body)
}
