import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** One call and its answer, or something that an interaction noted of its answers. */
export type Step = Exchange | Note

export interface Exchange {
  readonly method: string
  /** As sent, with its query. */
  readonly path: string
  readonly requestHeaders: Readonly<Record<string, string>>
  readonly requestBody: string | undefined
  readonly answer: Answer
  /** The server promises no order of what it lists here. */
  readonly unordered: boolean
}

export interface Note {
  readonly note: string
  readonly value: unknown
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** X-Consul-Index, 0 if there is none. */
  readonly index: number
  /** Of an answer that is not JSON, `undefined`. */
  json<T = unknown>(): T
}

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>
  /** The server promises no order of what it lists: it is compared sorted. */
  readonly unordered?: boolean
}

/** What is sent as it is, if it is text, or as JSON. */
export type Body = string | object | undefined

/** How an interaction talks to a server. Each call is recorded where it was made, with its answer. */
export interface Api {
  get(path: string, options?: CallOptions): Promise<Answer>
  put(path: string, body?: Body, options?: CallOptions): Promise<Answer>
  post(path: string, body?: Body, options?: CallOptions): Promise<Answer>
  delete(path: string, options?: CallOptions): Promise<Answer>
  call(method: string, path: string, body?: Body, options?: CallOptions): Promise<Answer>
  /** Asks until the answer is so; only that answer is recorded. */
  until(path: string, holds: (answer: Answer) => boolean, options?: CallOptions): Promise<Answer>
  /** Asks, and records nothing. */
  peek(path: string): Promise<Answer>
  /** Sends something, and records nothing. */
  send(method: string, path: string, body: Body): Promise<Answer>
  /** Records a relation between answers, such as that an index did not change. */
  note(note: string, value: unknown): void
}

export type Interaction = (api: Api) => Promise<unknown>

/** By what they show, as a sentence. */
export type Interactions = Readonly<Record<string, Interaction>>

/** The note of an interaction that could not go on. */
export const endedEarly = 'ended early'

const patience = 10_000

/** A server to talk to, on 127.0.0.1. */
export class Peer {
  readonly port: number
  readonly node: string
  readonly #agent = new Agent({ keepAlive: true })

  constructor(port: number, node: string) {
    this.port = port
    this.node = node
  }

  close(): void {
    this.#agent.destroy()
  }

  /** Lets an interaction happen in an empty registry, and tells what was said. */
  async steps(interaction: Interaction): Promise<readonly Step[]> {
    await this.#empty()
    const steps: Promise<Step>[] = []
    const call = (method: string, path: string, body?: Body, options: CallOptions = {}): Promise<Answer> => {
      const { headers = {}, unordered = false } = options
      const requestBody = content(body)
      const answered = this.#send(method, path, requestBody, headers).then(async (answer) => {
        if (method === 'PUT' && path.startsWith('/v1/agent/')) await this.#synced()
        return answer
      })
      const step = answered.then(
        (answer): Step => ({ method, path, requestHeaders: headers, requestBody, answer, unordered }),
      )
      steps.push(step)
      // An interaction that fails has reported it already.
      step.catch(() => {})
      return answered
    }
    const api: Api = {
      call,
      get: (path, options) => call('GET', path, undefined, options),
      put: (path, body, options) => call('PUT', path, body, options),
      post: (path, body, options) => call('POST', path, body, options),
      delete: (path, options) => call('DELETE', path, undefined, options),
      peek: (path) => this.#send('GET', path),
      send: (method, path, body) => this.#send(method, path, content(body)),
      until: (path, holds, { headers = {}, unordered = false } = {}) => {
        const answered = this.#until(path, holds, headers)
        const step = answered.then(
          (answer): Step => ({
            method: 'GET',
            path,
            requestHeaders: headers,
            requestBody: undefined,
            answer,
            unordered,
          }),
        )
        steps.push(step)
        step.catch(() => {})
        return answered
      },
      note: (note, value) => {
        steps.push(Promise.resolve({ note, value }))
      },
    }
    try {
      await interaction(api)
    } catch (error) {
      // An answer was not what comes next can be done with: what was said so far shows which.
      api.note(endedEarly, String(error))
    }
    const said = await Promise.allSettled(steps)
    return said.map((step) =>
      step.status === 'fulfilled' ? step.value : { note: endedEarly, value: String(step.reason) },
    )
  }

  async #until(
    path: string,
    holds: (answer: Answer) => boolean,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const begun = performance.now()
    for (;;) {
      const answer = await this.#send('GET', path, undefined, headers)
      if (holds(answer)) return answer
      if (performance.now() - begun > patience)
        throw new Error(
          `Within ${patience} ms, GET ${path} was not as awaited: ${answer.status} ${answer.text}`,
        )
      await sleep(10)
    }
  }

  #send(
    method: string,
    path: string,
    body?: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          agent: this.#agent,
          host: '127.0.0.1',
          port: this.port,
          method,
          path,
          headers: {
            ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
            ...headers,
          },
        },
        (response) => {
          let text = ''
          response.setEncoding('utf8')
          response.on('data', (chunk: string) => {
            text += chunk
          })
          response.on('error', reject)
          response.on('end', () => {
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              text,
              index: Number(response.headers['x-consul-index'] ?? 0),
              json: () => JSON.parse(text),
            })
          })
        },
      )
      sent.on('error', reject)
      sent.end(body)
    })
  }

  /**
   * Consul's agent tells its servers of a change a moment after it answered. Here that moment is over: the catalog shows
   * what the agent knows.
   */
  async #synced(): Promise<void> {
    const begun = performance.now()
    for (;;) {
      const [services, checks, node, health] = await Promise.all(
        [
          '/v1/agent/services',
          '/v1/agent/checks',
          `/v1/catalog/node/${this.node}`,
          `/v1/health/node/${this.node}`,
        ].map(async (path) => {
          const { status, text } = await this.#send('GET', path)
          if (status !== 200) throw new Error(`GET ${path} answered ${status} ${text}`)
          return JSON.parse(text) as unknown
        }),
      )
      const agent = told(services as ServiceMap, checks as CheckMap)
      const { Services } = node as { Services: ServiceMap }
      const CheckList = health as Check[]
      const catalog = told(
        Object.fromEntries(Object.entries(Services).filter(([id]) => id !== 'consul')),
        Object.fromEntries(
          CheckList.filter(({ CheckID }) => CheckID !== 'serfHealth').map((c) => [c.CheckID, c]),
        ),
      )
      if (agent === catalog) return
      if (performance.now() - begun > patience)
        throw new Error(
          `Within ${patience} ms, the catalog did not show what the agent knows:\n${agent}\n${catalog}`,
        )
      await sleep(5)
    }
  }

  async #empty(): Promise<void> {
    const list = async <T>(path: string) => {
      const { status, text } = await this.#send('GET', path)
      if (status !== 200) throw new Error(`GET ${path} answered ${status} ${text}`)
      return JSON.parse(text) as T
    }
    const put = async (path: string, body?: object) => {
      const { status, text } = await this.#send('PUT', path, body && JSON.stringify(body))
      if (status !== 200) throw new Error(`PUT ${path} answered ${status} ${text}`)
    }
    const [services, checks, nodes, sessions, queries] = await Promise.all([
      list<ServiceMap>('/v1/agent/services'),
      list<CheckMap>('/v1/agent/checks'),
      list<{ Node: string }[]>('/v1/catalog/nodes'),
      list<{ ID: string }[]>('/v1/session/list'),
      list<{ ID: string }[]>('/v1/query'),
    ])
    for (const { ID } of sessions) await put(`/v1/session/destroy/${ID}`)
    for (const { ID } of queries) await this.#send('DELETE', `/v1/query/${ID}`)
    await this.#send('DELETE', '/v1/kv/?recurse')
    for (const id of Object.keys(services))
      await put(`/v1/agent/service/deregister/${encodeURIComponent(id)}`)
    for (const { CheckID, ServiceID } of Object.values(checks)) {
      if (CheckID === '_node_maintenance') await put('/v1/agent/maintenance?enable=false')
      else if (ServiceID === '') await put(`/v1/agent/check/deregister/${encodeURIComponent(CheckID)}`)
    }
    for (const { Node } of nodes) if (Node !== this.node) await put('/v1/catalog/deregister', { Node })
    // What was registered on the agent's own node behind its back it would find at its next full synchronization.
    const { Services } = await list<{ Services: ServiceMap }>(`/v1/catalog/node/${this.node}`)
    for (const id of Object.keys(Services)) {
      if (id !== 'consul' && !(id in services))
        await put('/v1/catalog/deregister', { Node: this.node, ServiceID: id })
    }
    await this.#synced()
  }
}

function content(body: Body): string | undefined {
  return typeof body === 'object' ? JSON.stringify(body) : body
}

interface Check {
  readonly CheckID: string
  readonly ServiceID: string
  readonly Status: string
  readonly Output: string
  readonly Notes: string
  readonly Name: string
}
type CheckMap = Readonly<Record<string, Check>>
type ServiceMap = Readonly<
  Record<
    string,
    {
      readonly Service: string
      readonly Tags: readonly string[] | null
      readonly Port: number
      readonly Address: string
      readonly Meta: object | null
      readonly Weights: object
      readonly TaggedAddresses?: object
      readonly EnableTagOverride: boolean
    }
  >
>

function told(services: ServiceMap, checks: CheckMap): string {
  const sorted = <T>(map: Readonly<Record<string, T>>) =>
    Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([
    sorted(services).map(([id, s]) => [
      id,
      s.Service,
      s.EnableTagOverride ? null : (s.Tags ?? []),
      s.Port,
      s.Address,
      s.Meta ?? {},
      s.Weights,
    ]),
    sorted(checks).map(([id, c]) => [id, c.ServiceID, c.Name, c.Status, c.Output, c.Notes]),
  ])
}
