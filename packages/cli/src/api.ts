import {
  type ErrorCode,
  errorCodes,
  type InstanceKey,
  publicUrl,
  SeamarkError,
  type ServiceKey,
  systemClock,
} from '@seamark/core'
import { Failure } from './failure.ts'

/** How long a server may take to answer, in ms: its own answers take a few. */
const patience = 10_000

export type Query = Readonly<Record<string, string | number | readonly string[] | undefined>>

/** The HTTP API of a server, asked once for each thing a command wants. */
export interface Api {
  get<T>(path: string, query?: Query): Promise<T>
  put<T>(path: string, body: unknown): Promise<T>
  delete<T>(path: string): Promise<T>
}

/**
 * Asks the servers of `--url`, joined by commas, in their order: the next one when one is not there or cannot answer.
 * Throws the error that the server answered; `engine_unavailable` when none answers; `configuration` for a wrong URL.
 */
export function api(urls: string): Api {
  const servers = serverUrls(urls)
  return {
    get: (path, query) => first((server) => ask(server, 'GET', path, query)),
    put: (path, body) => first((server) => ask(server, 'PUT', path, undefined, body)),
    delete: (path) => first((server) => ask(server, 'DELETE', path)),
  }

  async function first<T>(attempt: (server: string) => Promise<unknown>): Promise<T> {
    const failures: Away[] = []
    for (const server of servers)
      try {
        return (await attempt(server)) as T
      } catch (error) {
        if (!(error instanceof Away)) throw error
        failures.push(error)
      }
    if (failures.length === 1 && failures[0]!.answer !== undefined) throw failures[0]!.answer
    throw new SeamarkError(
      'engine_unavailable',
      `No Seamark server answers: ${failures.map(({ message }) => message).join('; ')}.\n` +
        '  Start one with `seamark server`, or say where it is with --url or SEAMARK_URL.',
      { cause: failures.length === 1 ? failures[0]!.cause : new AggregateError(failures) },
    )
  }
}

/** A server that is not there, or is but cannot answer; then with what it said. */
class Away extends Error {
  readonly answer: SeamarkError | undefined

  constructor(message: string, { cause, answer }: { cause?: unknown; answer?: SeamarkError }) {
    super(message, { cause })
    this.answer = answer
  }
}

/** Takes `--url` apart. Throws `configuration` for what is no URL of a server. */
export function serverUrls(urls: string): readonly string[] {
  return urls.split(',').map((url) => serverUrl(url.trim()))
}

function serverUrl(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol))
    throw new SeamarkError(
      'configuration',
      `The server's URL must be http://host:port or https://host:port, not "${publicUrl(url)}" (--url, SEAMARK_URL).`,
    )
  if (parsed.username !== '' || parsed.password !== '')
    throw new SeamarkError(
      'configuration',
      `The server's URL must hold no user and no password, as that at ${parsed.origin} does (--url, SEAMARK_URL).`,
    )
  return url.replace(/\/+$/, '')
}

async function ask(
  server: string,
  method: string,
  path: string,
  query: Query = {},
  body?: unknown,
): Promise<unknown> {
  const url = `${server}/api/v1${path}${search(query)}`
  const late = new AbortController()
  const timer = systemClock.after(patience, () => late.abort())
  let response: Response
  let text: string
  try {
    response = await fetch(url, {
      method,
      signal: late.signal,
      ...(body !== undefined && {
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      }),
    })
    text = await response.text()
  } catch (error) {
    const why = late.signal.aborted ? `no answer within ${patience / 1_000} s` : networkProblem(error)
    throw new Away(`${server} (${why})`, { cause: error })
  } finally {
    timer.cancel()
  }
  const document = parse(text)
  if (response.ok && document !== undefined) return document
  const answer = answeredError(document)
  if (answer === undefined)
    throw new Failure(
      'failure',
      `${url} answered ${response.status} and is no Seamark server, or there is a proxy before it: check --url.`,
    )
  if (response.status === 503) throw new Away(`${server} (${answer.message})`, { answer })
  throw answer
}

function search(query: Query): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query))
    for (const one of Array.isArray(value) ? value : [value])
      if (one !== undefined) parameters.append(name, String(one))
  return parameters.size === 0 ? '' : `?${parameters}`
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function answeredError(document: unknown): SeamarkError | undefined {
  const error = (document as { error?: { code?: string; message?: string; field?: string } } | undefined)
    ?.error
  if (typeof error?.code !== 'string' || typeof error.message !== 'string') return undefined
  const code = Object.hasOwn(errorCodes, error.code) ? (error.code as ErrorCode) : 'internal'
  return new SeamarkError(code, error.message, error.field === undefined ? {} : { field: error.field })
}

const networkProblems: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection broke',
  UND_ERR_SOCKET: 'the connection broke',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name cannot be looked up now',
  ETIMEDOUT: 'no connection in time',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
}

function networkProblem(error: unknown): string {
  const cause = (error as { cause?: { code?: string; message?: string; errors?: { code?: string }[] } }).cause
  const code = cause?.code ?? cause?.errors?.[0]?.code
  // The Fetch standard's list of bad ports, such as 6000.
  if (cause?.message === 'bad port') return 'HTTP clients refuse to use this port: run the server on another'
  return networkProblems[code ?? ''] ?? (cause?.message || (error as Error).message)
}

export function servicePath({ namespace, service }: ServiceKey): string {
  return `/namespaces/${encodeURIComponent(namespace)}/services/${encodeURIComponent(service)}`
}

export function instancePath(key: InstanceKey): string {
  return `${servicePath(key)}/instances/${encodeURIComponent(key.id)}`
}
