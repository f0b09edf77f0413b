import { randomUUID } from 'node:crypto'
import { type ConsulAnswer, ConsulError, doneAnswer, jsonAnswer } from '../answer.ts'
import type { Ask } from '../ask.ts'
import { blocking, knownDatacenter, type Reading, readHeaders, reading } from '../blocking.ts'
import type { ConsulCheck } from '../check.ts'
import type { ConsulContext } from '../context.ts'
import type { Endpoint } from '../endpoint.ts'
import { quote } from '../filter/quote.ts'
import { checkJson, nodeJson, serviceJson, withoutEmptyTags } from '../json.ts'
import { indexAt } from '../kv/index-at.ts'
import { uuidProblem } from '../kv/verbs.ts'
import type { ConsulService } from '../service.ts'
import { checkDefinition, decodeDefinition } from './definition.ts'
import { type Queries, type Query, queriesTopic, queryTopic } from './queries.ts'

/** How far down a node is looked for that is asked to be near; Consul's. */
const nearest = 10

/** Prepared queries. */
export function query(context: ConsulContext, queries: Queries): readonly Endpoint[] {
  const { view, settings } = context
  const { datacenter } = settings

  async function list(ask: Ask): Promise<ConsulAnswer> {
    const asked = reading(context, ask)
    const { index, value } = await blocking(context, ask, asked, [queriesTopic], () => ({
      index: queries.index,
      value: queries.list(),
    }))
    return jsonAnswer(ask, value.map(queryJson), readHeaders(context, asked, index))
  }

  async function create(ask: Ask): Promise<ConsulAnswer> {
    knownDatacenter(context, ask)
    const definition = decodeDefinition(ask)
    if (definition.ID !== '')
      throw new ConsulError(500, 'ID must be empty when creating a new prepared query')
    checkDefinition(definition)
    const ID = randomUUID()
    await queries.create({ ...definition, ID })
    return jsonAnswer(ask, { ID })
  }

  function one(ask: Ask): ConsulAnswer | Promise<ConsulAnswer> {
    for (const [suffix, answer] of Object.entries({ '/execute': execute, '/explain': explain })) {
      if (!ask.rest.endsWith(suffix)) continue
      if (ask.method !== 'GET')
        throw new ConsulError(405, `method ${ask.method} not allowed`, { Allow: 'GET' })
      return answer(ask, ask.rest.slice(0, -suffix.length))
    }
    return answers[ask.method as keyof typeof answers](ask)
  }

  const answers = {
    async GET(ask: Ask): Promise<ConsulAnswer> {
      const asked = reading(context, ask)
      const id = ask.rest
      const problem = uuidProblem(id)
      if (problem !== undefined)
        throw new ConsulError(500, `failed prepared query lookup: index error: ${problem}`)
      const { index, value } = await blocking(context, ask, asked, [queryTopic(id)], () => ({
        index: queries.indexOf(id),
        value: queries.get(id),
      }))
      if (value === undefined) throw notFound()
      return jsonAnswer(ask, [queryJson(value)], readHeaders(context, asked, index))
    },

    async PUT(ask: Ask): Promise<ConsulAnswer> {
      knownDatacenter(context, ask)
      const definition = { ...decodeDefinition(ask), ID: ask.rest }
      queries.require(ask.rest)
      checkDefinition(definition)
      await queries.update(definition)
      return doneAnswer()
    },

    async DELETE(ask: Ask): Promise<ConsulAnswer> {
      knownDatacenter(context, ask)
      await queries.remove(ask.rest)
      return doneAnswer()
    },
  }

  function execute(ask: Ask, idOrName: string): ConsulAnswer {
    const asked = reading(context, ask)
    const limit = limitOf(ask)
    const found = queries.resolve(idOrName)
    if (found === undefined) throw notFound()
    const { definition } = found
    const services = near(ask, definition.Service.Near, queries.execute(definition))
    const nodes = (limit > 0 ? services.slice(0, limit) : services).map((service) => ({
      Node: nodeJson(service.node, datacenter),
      Service: withoutEmptyTags(serviceJson(service), 'Tags'),
      Checks: checksJson([...service.node.checks, ...service.checks]),
    }))
    const { Service, DNS } = definition
    const answer = { Service: Service.Service, Nodes: nodes, DNS, Datacenter: datacenter, Failovers: 0 }
    return metaAnswer(ask, asked, answer)
  }

  function explain(ask: Ask, idOrName: string): ConsulAnswer {
    const asked = reading(context, ask)
    limitOf(ask)
    const found = queries.resolve(idOrName)
    if (found === undefined) throw notFound()
    return metaAnswer(ask, asked, { Query: queryJson({ ...found.query, definition: found.definition }) })
  }

  /** What Consul says of its reads, in the body too; these are never waited for. */
  function metaAnswer(ask: Ask, asked: Reading, answer: Record<string, unknown>): ConsulAnswer {
    const headers = readHeaders(context, asked, 1)
    const meta = {
      Index: 0,
      LastContact: Number(headers['X-Consul-Lastcontact']) * 1e6,
      KnownLeader: headers['X-Consul-Knownleader'] === 'true',
      ConsistencyLevel: asked.consistency,
    }
    return jsonAnswer(ask, { ...answer, ...meta }, headers)
  }

  /** Without coordinates nothing is near, but what is on the node itself. */
  function near(ask: Ask, told: string, services: readonly ConsulService[]): readonly ConsulService[] {
    const asked = ask.get('near') || told
    const place =
      asked === '_agent' ? view.nodes.own.name : asked === '_ip' ? view.nodes.at(ask.address)[0]?.name : asked
    const at = services.slice(0, nearest).findIndex(({ node }) => node.name === place)
    return at <= 0 ? services : [services[at]!, ...services.slice(0, at), ...services.slice(at + 1)]
  }

  return [
    {
      path: '/v1/query',
      methods: ['GET', 'POST'],
      answer: (ask) => (ask.method === 'GET' ? list(ask) : create(ask)),
    },
    { path: '/v1/query/', methods: ['GET', 'PUT', 'DELETE'], answer: one },
  ]
}

function checksJson(checks: readonly ConsulCheck[]) {
  if (checks.length === 0) return null
  return checks.map((check) => withoutEmptyTags(checkJson(check), 'ServiceTags'))
}

function notFound(): ConsulError {
  return new ConsulError(404, 'Query not found')
}

function limitOf(ask: Ask): number {
  const asked = ask.get('limit')
  if (asked === '') return 0
  if (!/^[+-]?\d+$/.test(asked))
    throw new ConsulError(500, `Bad limit: strconv.Atoi: parsing ${quote(asked)}: invalid syntax`)
  return Number(asked)
}

/** As Consul prints it. */
function queryJson({ item, definition }: Query): Record<string, unknown> {
  const { ID, Name, Session, Token, Template, Service, DNS } = definition
  const [CreateIndex, ModifyIndex] = [indexAt(item.createdRevision), indexAt(item.modifiedRevision)]
  return { ID, Name, Session, Token, Template, Service, DNS, CreateIndex, ModifyIndex }
}
