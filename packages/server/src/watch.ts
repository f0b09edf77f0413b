import { checkName, defaultNamespace, invalidField, type ServiceKey, serviceId } from '@seamark/core'
import type { Routes } from './context.ts'
import * as schemas from './schemas.ts'
import type { Seen } from './watchers.ts'

/** The stream of changes. */
export const watch: Routes = (app, { context }, done) => {
  const { watchers } = context

  app.get<{ Querystring: { service?: string[] } }>(
    '/watch',
    {
      exposeHeadRoute: false,
      schema: {
        tags: ['services'],
        summary: 'Watch services, or everything',
        description:
          'Server-sent events: `reset`, `put`, `delete`, `claim`, `release`, and `applied`, which closes a batch and alone has an id. Nothing holds before `applied`. With `Last-Event-ID`, it goes on from there, or begins with a `reset` when that is too long ago. A reader that is slow gets the latest state, not every state.',
        querystring: schemas.watchQuery,
        response: {
          ...schemas.responses({}),
          200: {
            description: 'The events.',
            content: { 'text/event-stream': { schema: { type: 'string' } } },
          },
        },
      },
    },
    async (request, reply) => {
      const services = request.query.service && servicesOf(request.query.service)
      const seen = seenOf(request.headers['last-event-id'])
      watchers.admit()
      reply.hijack()
      const response = reply.raw
      if (response.closed) return
      // The body ends with the connection: chunks would cost a frame around every event of every watcher.
      response.useChunkedEncodingByDefault = false
      response.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
        connection: 'close',
      })
      response.flushHeaders()
      watchers.join(response, services, seen)
    },
  )

  done()
}

/** `api` or `namespace/api`, each part percent-encoded. */
function servicesOf(texts: readonly string[]): readonly ServiceKey[] {
  const services = new Map<string, ServiceKey>()
  for (const text of texts) {
    const parts = text.split('/').map(decoded)
    const [namespace, service] = parts.length === 1 ? [defaultNamespace, parts[0]] : parts
    if (parts.length > 2) throw invalidField('service', 'must be "api" or "namespace/api"')
    checkName('service', namespace)
    checkName('service', service)
    services.set(serviceId({ namespace, service }), { namespace, service })
  }
  return [...services.values()]
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw invalidField('service', 'has a percent-encoding that is not UTF-8')
  }
}

function seenOf(header: string | string[] | undefined): Seen | undefined {
  if (header === undefined || header === '') return undefined
  const [, epoch, revision] = /^([0-9A-Za-z_-]{1,64}):(\d{1,15})$/.exec(String(header)) ?? []
  if (epoch === undefined) throw invalidField('last-event-id', 'must be the id of an event of this stream')
  return { epoch, revision: Number(revision) }
}
