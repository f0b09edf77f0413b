import type { Answer } from '../answer.ts'
import { Memo } from '../memo.ts'
import { type ConsulAnswer, ConsulError, goJson, jsonType } from './answer.ts'
import { Question } from './ask.ts'
import { blocking, readHeaders, reading, type Seen } from './blocking.ts'
import { byId, type ConsulCheck } from './check.ts'
import type { Endpoint, Endpoints } from './endpoint.ts'
import { filterFor } from './filter/filter.ts'
import { shapes } from './filter/shape.ts'
import { checkJson, nodeJson, serviceJson } from './json.ts'
import { goBoolean, named, namespaceOf, nodeFilter, readAnswer, tagFilter } from './reads.ts'
import type { ConsulService } from './service.ts'
import { listTopic, serviceTopic } from './view.ts'

/** Bytes of printed instances that are remembered. */
const rememberedBytes = 67_108_864

/** Questions about one state of a service whose answers are remembered: more have nothing in common. */
const rememberedQuestions = 64

/** What is registered, and how well it is. */
export const health: Endpoints = (context) => {
  const { view, settings, server } = context
  const { datacenter } = settings

  const printed = new Memo<ConsulService, string>((service) => goJson(healthJson(service)), rememberedBytes)
  /** By what was seen, then by what was asked of it: all who wait for one service are sent the same bytes. */
  const bodies = new WeakMap<readonly ConsulService[], Map<string, Buffer>>()

  function healthJson(service: ConsulService) {
    const { node, checks } = service
    return {
      Node: nodeJson(node, datacenter),
      Service: serviceJson(service),
      Checks: [...node.checks, ...checks].map(checkJson),
    }
  }

  function body(ask: Question, services: readonly ConsulService[]): Buffer {
    const question = JSON.stringify(
      ['passing', 'tag', 'node-meta', 'filter', 'pretty'].map((name) => ask.query.getAll(name)),
    )
    let known = bodies.get(services)
    if (known === undefined) {
      known = new Map()
      bodies.set(services, known)
    }
    let made = known.get(question)
    if (made === undefined) {
      made = Buffer.from(text(ask, services))
      if (known.size >= rememberedQuestions) known.clear()
      known.set(question, made)
    }
    return made
  }

  function text(ask: Question, services: readonly ConsulService[]): string {
    const [nodes, tags, passing] = [nodeFilter(ask), tagFilter(ask), isPassingAsked(ask)]
    const expression = ask.get('filter')
    const filter = filterFor(expression, shapes.serviceHealth)
    const found = services.filter(
      (service) => nodes(service.node) && tags(service.tags) && (!passing || isPassing(service)),
    )
    if (expression === '' && !ask.has('pretty'))
      return `[${found.map((service) => printed.get(service)).join(',')}]`
    return goJson(found.map(healthJson).filter(filter), ask.has('pretty'))
  }

  /** Throws what is wrong with the question, whether there is something to answer or not. */
  function check(ask: Question): void {
    isPassingAsked(ask)
    filterFor(ask.get('filter'), shapes.serviceHealth)
  }

  const service: Endpoint = {
    path: '/v1/health/service/',
    methods: ['GET'],
    async answer(ask) {
      const key = { service: named(ask, 'Missing service name'), namespace: namespaceOf(ask) }
      const how = reading(context, ask)
      check(ask)
      if (how.index > 0) {
        const { value } = await blocking(context, ask, how, [serviceTopic(key)], () => {
          const view = context.view.service(key)
          return { index: view.index, value: view }
        })
        return answerOf(body(ask, value.services), readHeaders(context, how, value.index))
      }
      // What is kept holds the question only, and not the request with its connection.
      const question = new Question(ask.query)
      const make = () => {
        const seen = view.service(key)
        const { staleSince } = server.catalog
        const answer = kept(body(question, seen.services), readHeaders(context, how, seen.index))
        // While the engine is away, the answer says for how long.
        const holds =
          staleSince === undefined && !how.cached
            ? () => view.service(key) === seen && server.catalog.staleSince === undefined
            : undefined
        return { answer, holds }
      }
      const { body: bytes, head } = server.answers.getOrMake(ask.url, make)
      return answerOf(bytes, pairs(head))
    },
  }

  const listed = (
    path: string,
    missing: string,
    look: (
      namespace: string,
      name: string,
    ) => { topics: readonly string[]; look: () => Seen<readonly ConsulCheck[]> },
  ): Endpoint => ({
    path,
    methods: ['GET'],
    answer(ask) {
      const name = named(ask, missing)
      const filter = filterFor(ask.get('filter'), shapes.check)
      const nodes = nodeFilter(ask)
      return readAnswer(context, ask, {
        ...look(namespaceOf(ask), name),
        print: (checks) =>
          checks
            .filter(({ node }) => nodes(view.nodes.get(node) ?? view.nodes.own))
            .map(checkJson)
            .filter(filter),
      })
    },
  })

  const ofConnect = (
    path: string,
    find: (namespace: string, name: string) => Seen<readonly ConsulService[]>,
  ): Endpoint => ({
    path,
    methods: ['GET'],
    async answer(ask) {
      const name = named(ask, 'Missing service name')
      const namespace = namespaceOf(ask)
      const how = reading(context, ask)
      check(ask)
      const { index, value } = await blocking(context, ask, how, [listTopic('connect')], () =>
        find(namespace, name),
      )
      return answerOf(text(ask, value), readHeaders(context, how, index))
    },
  })

  return [
    service,
    ofConnect('/v1/health/connect/', (namespace, name) => view.connect(namespace, name)),
    ofConnect('/v1/health/ingress/', () => ({ index: 1, value: [] })),
    listed('/v1/health/checks/', 'Missing service name', (namespace, service) => ({
      topics: [serviceTopic({ namespace, service })],
      look: () => {
        const { index, services } = view.service({ namespace, service })
        return { index, value: services.flatMap(({ checks }) => checks) }
      },
    })),
    listed('/v1/health/state/', 'Missing check state', (namespace, state) => ({
      topics: [listTopic('checks')],
      look: () => view.checks(namespace, state),
    })),
    listed('/v1/health/node/', 'Missing node name', (namespace, name) => ({
      topics: [listTopic('node')],
      look: () => {
        const { index, value } = view.nodeServices(namespace, view.nodes.find(name)?.name ?? name)
        return { index, value: value.flatMap(({ checks }) => checks).sort(byId) }
      },
    })),
  ]
}

function isPassing({ node, checks }: ConsulService): boolean {
  return [...node.checks, ...checks].every(({ status }) => status === 'passing')
}

/** `?passing`, `?passing=true`; `?passing=false` asks for nothing. */
function isPassingAsked(ask: Question): boolean {
  if (!ask.has('passing')) return false
  const value = ask.get('passing')
  const asked = value === '' ? true : goBoolean(value)
  if (asked === undefined) throw new ConsulError(400, 'Invalid value for ?passing')
  return asked
}

function answerOf(body: Buffer | string, headers: Readonly<Record<string, string>>): ConsulAnswer {
  return { status: 200, headers: { 'Content-Type': jsonType, ...headers }, body }
}

/** An answer that is kept by its URL, and then sent before any route is looked for. */
function kept(body: Buffer, headers: Readonly<Record<string, string>>): Answer {
  const head = Object.entries({ 'Content-Type': jsonType, ...headers, 'Content-Length': String(body.length) })
  return { route: '/v1/health/service/*', body, head: head.flat() }
}

function pairs(head: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {}
  for (let at = 0; at < head.length; at += 2) found[head[at]!] = head[at + 1]!
  return found
}
