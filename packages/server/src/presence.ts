import type { Routes } from './context.ts'
import { beginEventStream, keepAliveComment } from './event-stream.ts'
import * as schemas from './schemas.ts'

/** The streams by which clients show that they live. */
export const presence: Routes = (app, { context }, done) => {
  const { presences, bounds } = context

  app.post<{ Body: { client: string; tokens: string[] } }>(
    '/presence',
    {
      bodyLimit: bounds.presenceBodyBytes,
      schema: {
        tags: ['leases'],
        summary: 'Have leases end with the client',
        description: `An answer without an end, of comments. These leases, and no others, are the client's; when all its streams were closed for longer than ${bounds.presenceGrace} ms, and it opened none on another server either, they are ended. To change them, open the next stream before closing this one. A server that closes ends its streams, and no leases: come back, or present them to another one. Renewing goes on as ever.`,
        querystring: schemas.noQuery,
        body: schemas.presenceBody,
        response: schemas.eventStream,
      },
    },
    async (request, reply) => {
      const { client, tokens } = request.body
      await presences.join(client, tokens, reply.raw)
      reply.hijack()
      if (reply.raw.closed) return
      beginEventStream(reply.raw)
      reply.raw.write(keepAliveComment)
    },
  )

  done()
}
