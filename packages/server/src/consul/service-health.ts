import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ServiceKey } from '@seamark/core'
import type { Answer } from '../answer.ts'
import { Memo } from '../memo.ts'
import { ConsulError, goJson, jsonType } from './answer.ts'
import { Question } from './ask.ts'
import { type Reading, readHeaders, reading, waitOf, waitTime } from './blocking.ts'
import type { ConsulContext } from './context.ts'
import { filterFor } from './filter/filter.ts'
import { shapes } from './filter/shape.ts'
import { checkJson, nodeJson, serviceJson } from './json.ts'
import { goBoolean, named, namespaceOf, nodeFilter, tagFilter } from './reads.ts'
import type { ConsulService } from './service.ts'
import { type ServiceView, serviceTopic } from './view.ts'

/** What is asked of one service's health. */
export interface HealthQuestion {
  readonly key: ServiceKey
  readonly how: Reading
  readonly question: Question
  /** The same for all who are to be answered the same. */
  readonly text: string
}

export const healthPath = '/v1/health/service/'
const route = `${healthPath}*`

/** Bytes of printed instances that are remembered. */
const rememberedBytes = 67_108_864

/** Questions about one state of a service whose answers are remembered; and URLs that were read: more have nothing in common. */
const remembered = { answers: 64, urls: 1_024 }

/** Parameters that an answer depends on. */
const parameters = ['passing', 'tag', 'node-meta', 'filter', 'pretty', 'stale', 'consistent', 'cached']

/** Answers about the health of services: what most clients of Consul ask for most of the time. */
export class ServiceHealth {
  readonly #context: ConsulContext
  readonly #printed: Memo<ConsulService, string>
  /** By what was seen, then by what was asked of it: all who wait for one service are sent the same bytes. */
  readonly #answers = new WeakMap<ServiceView, Map<string, Answer>>()
  readonly #questions = new Map<string, HealthQuestion | undefined>()

  constructor(context: ConsulContext) {
    this.#context = context
    this.#printed = new Memo((service) => goJson(this.#json(service)), rememberedBytes)
  }

  /** Throws what is wrong with the question, whether there is something to answer or not. */
  read(rest: string, question: Question): HealthQuestion {
    const key = { service: named(rest, 'Missing service name'), namespace: namespaceOf(question) }
    const how = reading(this.#context, question)
    isPassingAsked(question)
    filterFor(question.get('filter'), shapes.serviceHealth)
    return { key, how, question, text: JSON.stringify(parameters.map((name) => question.query.getAll(name))) }
  }

  answer({ how, question, text }: HealthQuestion, view: ServiceView): Answer {
    const known = this.#answers.get(view) ?? new Map<string, Answer>()
    this.#answers.set(view, known)
    let made = known.get(text)
    if (made !== undefined) return made
    const body = Buffer.from(this.print(question, view.services))
    const headers = { 'Content-Type': jsonType, ...readHeaders(this.#context, how, view.index) }
    made = { route, body, head: [...Object.entries(headers).flat(), 'Content-Length', String(body.length)] }
    // While the engine is away, the answer says for how long.
    if (this.#context.server.catalog.staleSince !== undefined) return made
    if (known.size >= remembered.answers) known.clear()
    known.set(text, made)
    return made
  }

  /** The services that fit, in JSON. */
  print(question: Question, services: readonly ConsulService[]): string {
    const [nodes, tags, passing] = [nodeFilter(question), tagFilter(question), isPassingAsked(question)]
    const expression = question.get('filter')
    const found = services.filter(
      (service) => nodes(service.node) && tags(service.tags) && (!passing || isPassing(service)),
    )
    if (expression === '' && !question.has('pretty'))
      return `[${found.map((service) => this.#printed.get(service)).join(',')}]`
    const filter = filterFor(expression, shapes.serviceHealth)
    return goJson(found.map((service) => this.#json(service)).filter(filter), question.has('pretty'))
  }

  /**
   * Takes a request that is to wait, without the way through the framework: thousands of them are answered at once.
   * `false`: it is for the routes, which also say what is wrong with it.
   */
  take(request: IncomingMessage, response: ServerResponse): boolean {
    const url = request.url!
    if (request.method !== 'GET' || !url.startsWith(healthPath) || !url.includes('index=')) return false
    const { 'content-length': length, 'transfer-encoding': encoding } = request.headers
    if (length !== undefined || encoding !== undefined) return false
    const asked = this.#question(url)
    if (asked === undefined) return false
    const { view, topics, server } = this.#context
    const { index, wait } = asked.how
    const seen = view.service(asked.key)
    if (seen.index > index || index > Math.max(this.#context.revision, seen.index) || topics.isFull)
      return false
    const changed = () => view.service(asked.key).index > index
    const send = () => {
      if (response.closed) return
      const { body, head } = this.answer(asked, view.service(asked.key))
      response.writeHead(200, (server.stage.draining ? [...head, 'Connection', 'close'] : head) as string[])
      response.end(body)
      server.metrics.answered('GET', route, 200).count++
      server.log.debug({ method: 'GET', url, status: 200 }, 'answered')
    }
    // Not before all who listen to the catalog were told.
    topics.join([serviceTopic(asked.key)], changed, waitTime(wait), response, () => queueMicrotask(send))
    return true
  }

  /** What the URL asks, if it is to wait and nothing is wrong with it. */
  #question(url: string): HealthQuestion | undefined {
    if (this.#questions.has(url)) return this.#questions.get(url)
    const [, path = '', query] = /^([^?]*)(?:\?(.*))?$/s.exec(url) ?? []
    const question = new Question(new URLSearchParams(query))
    let asked: HealthQuestion | undefined
    try {
      if (waitOf(question).index > 0)
        asked = this.read(decodeURIComponent(path).slice(healthPath.length), question)
    } catch {
      // The routes say why.
    }
    if (this.#questions.size >= remembered.urls) this.#questions.clear()
    this.#questions.set(url, asked)
    return asked
  }

  #json(service: ConsulService) {
    const { node, checks } = service
    return {
      Node: nodeJson(node, this.#context.settings.datacenter),
      Service: serviceJson(service),
      Checks: [...node.checks, ...checks].map(checkJson),
    }
  }
}

function isPassing({ node, checks }: ConsulService): boolean {
  const passes = ({ status }: { readonly status: string }) => status === 'passing'
  return node.checks.every(passes) && checks.every(passes)
}

/** `?passing`, `?passing=true`; `?passing=false` asks for nothing. */
function isPassingAsked(question: Question): boolean {
  if (!question.has('passing')) return false
  const value = question.get('passing')
  const asked = value === '' ? true : goBoolean(value)
  if (asked === undefined) throw new ConsulError(400, 'Invalid value for ?passing')
  return asked
}
