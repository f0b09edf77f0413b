import type { Routes } from './context.ts'
import * as schemas from './schemas.ts'
import { version } from './version.ts'

/** What this server is, and how it is. */
export const status: Routes = (app, { context }, done) => {
  const { engine, engineName, catalog, watchers } = context

  app.get(
    '/status',
    {
      schema: {
        tags: ['operations'],
        summary: 'The server and its engine',
        querystring: schemas.noQuery,
        response: schemas.responses({ 200: { description: 'How it is.', schema: schemas.answers.status } }),
      },
    },
    async () => ({
      version,
      epoch: watchers.epoch,
      engine: engineName,
      terms: engine.terms,
      revision: catalog.revision,
      staleSince: catalog.staleSince ?? null,
      services: catalog.services().length,
      instances: catalog.size,
    }),
  )

  done()
}
