import { type ConsulAnswer, ConsulError, jsonAnswer, textAnswer } from './answer.ts'
import type { Ask } from './ask.ts'
import type { ConsulCheck } from './check.ts'
import type { Endpoints } from './endpoint.ts'
import { agentHealthCheckJson, agentServiceJson } from './json.ts'
import { namespaceOf } from './reads.ts'
import type { ConsulService } from './service.ts'

type Aggregate = 'passing' | 'warning' | 'critical' | 'maintenance'

const codes: Readonly<Record<Aggregate, number>> = {
  passing: 200,
  warning: 429,
  critical: 503,
  maintenance: 503,
}

/** From best to worst. */
const order: readonly Aggregate[] = ['passing', 'warning', 'critical', 'maintenance']

/** The health of the agent's services, for load balancers that know no more than a status. */
export const agentHealth: Endpoints = ({ view }) => {
  return [
    {
      path: '/v1/agent/health/service/id/',
      methods: ['GET'],
      answer(ask) {
        if (ask.rest === '') throw new ConsulError(500, 'Bad request: Missing serviceID')
        const service = view.agentService(namespaceOf(ask), ask.rest)
        if (service === undefined) {
          const reason = `ServiceId ${ask.rest} not found`
          const headers = { 'X-Consul-Reason': headerText(reason) }
          return jsonAnswer(
            ask,
            ask.get('format') === 'text'
              ? reason
              : { AggregatedStatus: 'critical', Checks: null, Service: null },
            headers,
            404,
          )
        }
        const status = aggregated(service)
        return answer(ask, status, healthJson(service, status))
      },
    },
    {
      path: '/v1/agent/health/service/name/',
      methods: ['GET'],
      answer(ask) {
        if (ask.rest === '') throw new ConsulError(500, 'Bad request: Missing service Name')
        const { services } = view.service({ namespace: namespaceOf(ask), service: ask.rest })
        const found = services
          .filter(({ node, entry }) => node.server !== undefined && entry !== undefined)
          .map((service) => ({ service, status: aggregated(service) }))
          // The worst come first.
          .sort((a, b) => order.indexOf(b.status) - order.indexOf(a.status))
        const [worst] = found
        if (worst === undefined) {
          const reason = `ServiceName ${ask.rest} Not Found`
          const headers = { 'X-Consul-Reason': headerText(reason) }
          return ask.get('format') === 'text'
            ? { ...textAnswer(reason, 404), headers: { 'Content-Type': 'text/plain', ...headers } }
            : jsonAnswer(ask, [], headers, 404)
        }
        return answer(
          ask,
          worst.status,
          found.map(({ service, status }) => healthJson(service, status)),
        )
      },
    },
  ]
}

function answer(ask: Ask, status: Aggregate, json: unknown): ConsulAnswer {
  const headers = { 'X-Consul-Reason': status }
  if (ask.get('format') === 'text')
    return { status: codes[status], headers: { 'Content-Type': 'text/plain', ...headers }, body: status }
  return jsonAnswer(ask, json, headers, codes[status])
}

/** Those of the service, and those of its node that its agent runs. */
function checksOf({ node, checks }: ConsulService): ConsulCheck[] {
  return [...checks, ...node.checks.filter(({ id }) => id !== 'serfHealth')]
}

function healthJson(service: ConsulService, status: Aggregate) {
  return {
    AggregatedStatus: status,
    Service: agentServiceJson(service),
    Checks: checksOf(service).map(agentHealthCheckJson),
  }
}

function aggregated(service: ConsulService): Aggregate {
  const all = checksOf(service)
  if (all.some(({ type }) => type === 'maintenance')) return 'maintenance'
  for (const status of ['critical', 'warning'] as const)
    if (all.some((check) => check.status === status)) return status
  return 'passing'
}

/** A header holds no line breaks, and nothing that Latin-1 does not know. */
function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?')
}
