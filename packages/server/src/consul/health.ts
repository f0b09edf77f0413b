import type { Answer } from '../answer.ts'
import { type ConsulAnswer, jsonType } from './answer.ts'
import { Question } from './ask.ts'
import { blocking, readHeaders, reading, type Seen } from './blocking.ts'
import { byId, type ConsulCheck } from './check.ts'
import type { Endpoint, Endpoints } from './endpoint.ts'
import { filterFor } from './filter/filter.ts'
import { shapes } from './filter/shape.ts'
import { checkJson } from './json.ts'
import { named, namespaceOf, nodeFilter, readAnswer } from './reads.ts'
import type { ConsulService } from './service.ts'
import { healthPath } from './service-health.ts'
import { byNode, listTopic, serviceTopic } from './view.ts'

/** What is registered, and how well it is. */
export const health: Endpoints = (context) => {
  const { view, server, health: healths } = context

  const service: Endpoint = {
    path: healthPath,
    methods: ['GET'],
    async answer(ask) {
      // What is kept holds the question only, and not the request with its connection.
      const asked = healths.read(ask.rest, new Question(ask.query))
      const { key, how } = asked
      if (how.index > 0) {
        const { value } = await blocking(context, ask, how, [serviceTopic(key)], () => {
          const seen = view.service(key)
          return { index: seen.index, value: seen }
        })
        return consulAnswer(healths.answer(asked, value))
      }
      const make = () => {
        const seen = view.service(key)
        const isKept = server.catalog.staleSince === undefined && !how.cached
        const holds = () => view.service(key) === seen && server.catalog.staleSince === undefined
        return { answer: healths.answer(asked, seen), holds: isKept ? holds : undefined }
      }
      return consulAnswer(server.answers.getOrMake(ask.url, make))
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
      const name = named(ask.rest, missing)
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
      const name = named(ask.rest, 'Missing service name')
      const namespace = namespaceOf(ask)
      const how = reading(context, ask)
      const { question } = healths.read(name, new Question(ask.query))
      const { index, value } = await blocking(context, ask, how, [listTopic('connect')], () =>
        find(namespace, name),
      )
      return {
        status: 200,
        headers: { 'Content-Type': jsonType, ...readHeaders(context, how, index) },
        body: healths.print(question, value),
      }
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
        return { index, value: services.flatMap(({ checks }) => checks).sort(byNode) }
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

/** An answer that is kept, as any other. */
function consulAnswer({ body, head }: Answer): ConsulAnswer {
  const headers: Record<string, string> = {}
  for (let at = 0; at < head.length; at += 2) headers[head[at]!] = head[at + 1]!
  return { status: 200, headers, body }
}
