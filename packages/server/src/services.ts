import {
  type Catalog,
  type Entry,
  type HealthStatus,
  healthStatuses,
  healthy,
  invalidField,
  milliseconds,
  SeamarkError,
  type Selection,
  type ServiceKey,
  type Snapshot,
  select,
  versionRange,
  weightedRandom,
} from '@seamark/core'
import { compare } from 'semver'
import { answer, sendAnswer } from './answer.ts'
import type { Made } from './answer-cache.ts'
import { requestLimits } from './bounds.ts'
import { countOf } from './census.ts'
import type { Routes } from './context.ts'
import { passingEntryJson } from './entry-json.ts'
import { checkPath } from './path-names.ts'
import * as schemas from './schemas.ts'
import { type ServiceQuestion, serviceJson } from './service-json.ts'

interface SelectionQuery {
  version?: string
  tag?: string[]
  zone?: string
  health?: HealthStatus[]
  metadata?: string[]
}

interface ServiceQuery extends SelectionQuery {
  after?: string
  limit?: number
  index?: number
  wait?: string
}

const tags = ['services']
const json = 'application/json; charset=utf-8'
/** What one service is counted under. */
const serviceRoute = '/api/v1/namespaces/:namespace/services/:service'

/** Milliseconds that `?index=` waits without `?wait=`, as Consul's blocking queries. */
const defaultWait = 300_000

/** Finding: what there is, one service, one instance of it. */
export const services: Routes = (app, { context }, done) => {
  const { catalog, census, answers, watchers, waiters } = context

  const make = (service: ServiceKey, question: ServiceQuestion) => (): Made => {
    const snapshot = catalog.snapshot(service)
    const { staleSince } = catalog
    const tag = [watchers.epoch, snapshot.revision, staleSince].filter((part) => part !== undefined).join(':')
    return {
      answer: answer({ route: serviceRoute, json: serviceJson(snapshot, question, staleSince), tag }),
      // Of a service that is not there, the catalog remembers no snapshot.
      holds:
        snapshot.entries.length === 0
          ? undefined
          : () => catalog.staleSince === staleSince && catalog.snapshot(service) === snapshot,
    }
  }

  app.get(
    '/namespaces',
    {
      schema: {
        tags,
        summary: 'All namespaces',
        querystring: schemas.noQuery,
        response: schemas.responses({
          200: { description: 'The namespaces.', schema: schemas.answers.namespaces },
        }),
      },
    },
    async () => ({ namespaces: census.namespaces() }),
  )

  app.get<{ Params: { namespace: string }; Querystring: { after?: string; limit?: number } }>(
    '/namespaces/:namespace/services',
    {
      schema: {
        tags,
        summary: 'The services of a namespace',
        description: 'With how many instances they have, by health.',
        params: schemas.namespaceParams,
        querystring: schemas.servicesQuery,
        response: schemas.responses({
          200: { description: 'A page of services.', schema: schemas.answers.services },
        }),
      },
    },
    async (request) => {
      checkPath(request.params)
      const { after, limit = 100 } = request.query
      const all = catalog.services(request.params.namespace)
      const start = after === undefined ? 0 : firstAfter(all, after)
      const page = all.slice(start, start + limit)
      const next = start + limit < all.length ? page.at(-1)!.service : null
      return { services: page.map((service) => summary(catalog.snapshot(service))), next }
    },
  )

  app.get<{ Params: { namespace: string; service: string }; Querystring: ServiceQuery }>(
    '/namespaces/:namespace/services/:service',
    {
      schema: {
        tags,
        summary: 'The instances of a service',
        description:
          'Answers an ETag, and 304 to `If-None-Match`. With `index`, the revision of an earlier answer, it waits for a change. A service nobody registered has no instances, and revision 0.',
        params: schemas.serviceParams,
        querystring: schemas.serviceQuery,
        response: schemas.responses({
          200: { description: 'The instances that fit.', schema: schemas.answers.service },
          304: { description: 'As the ETag says.' },
        }),
      },
    },
    async (request, reply) => {
      checkPath(request.params)
      const { after, limit = 1_000, index } = request.query
      const question = { selection: selection(request.query), after, limit }
      const wait = waitOf(request.query)
      if (index !== undefined) await waiters.changed(request.params, index, wait, reply.raw)
      // A URL begins with a slash: neither is taken for the other.
      const key = JSON.stringify([request.params, question])
      const found = answers.getOrMake(key, make(request.params, question))
      if (index === undefined) answers.alias(key, request.raw.url!)
      reply.hijack()
      if (context.stage.draining) reply.raw.setHeader('connection', 'close')
      sendAnswer(request.raw, reply.raw, found)
    },
  )

  app.get<{ Params: { namespace: string; service: string }; Querystring: SelectionQuery }>(
    '/namespaces/:namespace/services/:service/instance',
    {
      schema: {
        tags,
        summary: 'One healthy instance, chosen by weight',
        description:
          'A passing one; without any, one with a warning; never a critical one, nor one in maintenance.',
        params: schemas.serviceParams,
        querystring: schemas.chosenQuery,
        response: schemas.responses({
          200: { description: 'The chosen one.', schema: schemas.answers.instance },
        }),
      },
    },
    async (request, reply) => {
      checkPath(request.params)
      const snapshot = catalog.snapshot(request.params)
      const candidates = healthy(select(snapshot.entries, selection(request.query)))
      const chosen = weightedRandom(candidates)({ random: Math.random() })
      if (chosen === undefined) throw nobody(snapshot, catalog)
      return reply.type(json).send(`{"instance":${passingEntryJson(chosen)}}`)
    },
  )

  done()
}

function selection({ version, tag, zone, health, metadata }: SelectionQuery): Selection {
  if (version !== undefined) versionRange(version)
  return { version, tags: tag, zone, health, metadata: metadata && pairs(metadata) }
}

function pairs(texts: readonly string[]): Readonly<Record<string, string>> {
  const found = new Map<string, string>()
  for (const text of texts) {
    const at = text.indexOf(':')
    const key = text.slice(0, at)
    if (found.has(key)) throw invalidField('metadata', `must name the key "${key}" once`)
    found.set(key, text.slice(at + 1))
  }
  return Object.fromEntries(found)
}

function waitOf({ index, wait }: ServiceQuery): number {
  if (wait === undefined) return defaultWait
  if (index === undefined) throw invalidField('wait', 'needs an index: the revision that is known already')
  const ms = milliseconds('wait', /^\d+$/.test(wait) ? Number(wait) : wait)
  if (ms > requestLimits.wait) throw invalidField('wait', `must be at most ${requestLimits.wait} ms`)
  return ms
}

function firstAfter(services: readonly ServiceKey[], name: string): number {
  let low = 0
  let high = services.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (services[middle]!.service <= name) low = middle + 1
    else high = middle
  }
  return low
}

const summaries = new WeakMap<Snapshot, object>()

function summary(snapshot: Snapshot): object {
  let found = summaries.get(snapshot)
  if (found === undefined) {
    const { service, entries } = snapshot
    const tags = [...new Set(entries.flatMap(({ instance }) => instance.tags))].sort()
    found = { service: service.service, ...countOf(snapshot), versions: versions(entries), tags }
    summaries.set(snapshot, found)
  }
  return found
}

function versions(entries: readonly Entry[]): readonly string[] {
  const found = new Set(
    entries.flatMap(({ instance: { version } }) => (version === undefined ? [] : [version])),
  )
  return [...found].sort(compare)
}

function nobody(snapshot: Snapshot, { staleSince }: Catalog): SeamarkError {
  const { service, entries } = snapshot
  const stale =
    staleSince === undefined ? '' : ` The engine is out of reach since ${new Date(staleSince).toISOString()}.`
  if (entries.length === 0)
    return new SeamarkError(
      'service_not_found',
      `No instance of ${service.service} is registered in ${service.namespace}.${stale}`,
      { field: 'service', details: { staleSince: staleSince ?? null } },
    )
  const { instances, ...byHealth } = countOf(snapshot)
  const health = healthStatuses
    .filter((status) => byHealth[status] > 0)
    .map((status) => `${byHealth[status]} ${status}`)
  const known = versions(entries)
  return new SeamarkError(
    'no_match',
    `No healthy instance of ${service.service} fits: of ${instances}, ${health.join(', ')}; versions: ${known.join(', ') || 'none'}.${stale}`,
    { details: { instances, ...byHealth, versions: known, staleSince: staleSince ?? null } },
  )
}
