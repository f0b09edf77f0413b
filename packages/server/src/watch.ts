import { checkName, defaultNamespace, invalidField, type ServiceKey, serviceId } from '@seamark/core'
import type { Routes } from './context.ts'
import { beginEventStream } from './event-stream.ts'
import * as schemas from './schemas.ts'
import { seenOf } from './seen.ts'

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
        response: schemas.eventStream,
      },
    },
    async (request, reply) => {
      const services = request.query.service && servicesOf(request.query.service)
      const seen = seenOf(request.headers['last-event-id'])
      watchers.admit()
      reply.hijack()
      if (reply.raw.closed) return
      beginEventStream(reply.raw)
      watchers.join(reply.raw, services, seen)
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
