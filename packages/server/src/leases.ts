import { isSeamarkError } from '@seamark/core'
import type { Routes } from './context.ts'
import * as schemas from './schemas.ts'

const about = { querystring: schemas.noQuery, tags: ['leases'] }

/** Keeping registrations alive, and letting go of them. A token is all it takes. */
export const leases: Routes = (app, { context }, done) => {
  const { engine, bounds, metrics, presences, visible } = context

  app.post<{ Body: { tokens: string[] } }>(
    '/leases/renew',
    {
      bodyLimit: bounds.renewBodyBytes,
      schema: {
        ...about,
        summary: 'Renew leases',
        description: 'Each held lease ends its TTL from now. A lost one stays lost: register again.',
        body: schemas.tokensBody,
        response: schemas.responses({
          200: { description: 'Which are lost.', schema: schemas.answers.renewed },
        }),
      },
    },
    async (request) => {
      const held = await engine.renew(request.body.tokens)
      const lost = held.flatMap((isHeld, index) => (isHeld ? [] : [index]))
      metrics.renewals.inc(held.length - lost.length)
      return { lost }
    },
  )

  app.post<{ Body: { token: string } }>(
    '/leases/resume',
    {
      schema: {
        ...about,
        summary: 'Take a lease up again',
        description: 'Says what the lease is of. Does not renew it.',
        body: schemas.tokenBody,
        response: schemas.responses({ 200: { description: 'It is held.', schema: schemas.answers.resumed } }),
      },
    },
    async (request) => {
      const { key, ttl = null, revision } = await engine.resume(request.body.token)
      const { namespace, service, id } = key
      return { key: { namespace, service, id }, ttl, revision }
    },
  )

  app.post<{ Body: { token: string } }>(
    '/leases/release',
    {
      schema: {
        ...about,
        summary: 'End a lease, and remove its instance',
        body: schemas.tokenBody,
        response: schemas.responses({
          200: { description: 'It is gone.', schema: schemas.answers.released },
        }),
      },
    },
    async (request) => {
      const { token } = request.body
      const revision = await unlessLost(engine.release(token))
      presences.released(token)
      if (revision !== undefined) await visible(revision)
      return { revision: revision ?? null }
    },
  )

  done()
}

/** What was asked for, or `undefined` when the lease is lost. */
export async function unlessLost<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (isSeamarkError(error, 'lease_lost')) return undefined
    throw error
  }
}
