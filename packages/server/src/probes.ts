import type { Routes } from './context.ts'
import * as schemas from './schemas.ts'

const tags = ['operations']
const querystring = schemas.noQuery

/** What those ask who run the server. */
export const probes: Routes = (app, { context }, done) => {
  const { metrics, stage } = context

  app.get(
    '/healthz',
    {
      schema: {
        tags,
        querystring,
        summary: 'Whether the process lives',
        response: schemas.responses({ 200: { description: 'It does.' } }),
      },
    },
    async () => ({ status: 'alive' }),
  )

  app.get(
    '/readyz',
    {
      schema: {
        tags,
        querystring,
        summary: 'Whether to send requests here',
        response: schemas.responses({
          200: { description: 'It knows what is registered.' },
          503: { description: 'It does not know yet, or it shuts down.' },
        }),
      },
    },
    async (_request, reply) => {
      if (stage.draining) return reply.code(503).send({ status: 'draining' })
      if (!stage.warm) return reply.code(503).send({ status: 'warming' })
      return { status: 'ready' }
    },
  )

  app.get(
    '/metrics',
    {
      schema: {
        tags,
        querystring,
        summary: 'Metrics for Prometheus',
        response: {
          ...schemas.responses({}),
          200: { description: 'The metrics.', content: { 'text/plain': { schema: { type: 'string' } } } },
        },
      },
    },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
  )

  done()
}
