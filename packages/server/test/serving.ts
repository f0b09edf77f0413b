import { type Engine, type Entry, memory } from '@seamark/core'
import { type Server, type ServerOptions, server } from '@seamark/server'

/** What a test needs to know of an answer. */
export interface Answered {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
  readonly json: any
}

export interface Serving extends AsyncDisposable {
  readonly server: Server
  readonly engine: Engine
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answered>
  /** Registers over HTTP, and answers the lease's token. */
  register(service: string, id: string, fields?: object): Promise<string>
  /** Everything the engine holds, and its revision. */
  dump(): Promise<string>
}

/** A server on a free port, over an engine in memory. Paths are below `/api/v1` unless they begin elsewhere. */
export async function serving(options: Partial<ServerOptions> = {}): Promise<Serving> {
  const engine = options.engine ?? memory(options.clock && { clock: options.clock })
  const running = await server({ engine, engineName: 'memory', port: 0, ...options })
  const ask: Serving['ask'] = async (method, path, body, headers = {}) => {
    const sent = typeof body === 'string' || body === undefined ? body : JSON.stringify(body)
    const response = await fetch(running.url + apiPath(path), {
      method,
      headers: { ...(sent !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(sent !== undefined && { body: sent }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.startsWith('application/json') && text !== ''
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson ? JSON.parse(text) : undefined,
    }
  }
  return {
    server: running,
    engine,
    ask,
    async register(service, id, fields = {}) {
      const answer = await ask('PUT', instancePath(service, id), { port: 3000, ...fields })
      if (answer.status >= 300) throw new Error(answer.text)
      return answer.json.lease.token
    },
    dump: () => dump(engine),
    async [Symbol.asyncDispose]() {
      await running.close()
      await engine[Symbol.asyncDispose]()
    },
  }
}

function apiPath(path: string): string {
  return /^\/(api|healthz|readyz|metrics)/.test(path) ? path : `/api/v1${path}`
}

export function servicePath(service: string): string {
  return `/namespaces/default/services/${encodeURIComponent(service)}`
}

export function instancePath(service: string, id: string): string {
  return `${servicePath(service)}/instances/${encodeURIComponent(id)}`
}

export function ids(answer: Answered): string[] {
  return answer.json.instances.map(({ id }: { id: string }) => id)
}

async function dump(engine: Engine): Promise<string> {
  const end = new AbortController()
  for await (const { revision, changes } of engine.watchAll(end.signal)) {
    end.abort()
    const [reset] = changes
    if (reset?.type !== 'reset') throw new Error('the first change is no reset')
    const entries = [...reset.entries].sort((a, b) => (key(a) < key(b) ? -1 : 1))
    return JSON.stringify({ revision, entries, holders: reset.holders }, undefined, 1)
  }
  throw new Error('the watch ended')
}

function key({ instance }: Entry): string {
  return `${instance.namespace} ${instance.service} ${instance.id}`
}
