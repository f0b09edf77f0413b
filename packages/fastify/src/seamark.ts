import type { Discovery } from '@seamark/client'
import { Presence, type PresenceOptions } from '@seamark/host'
import type { FastifyPluginAsync } from 'fastify'
import plugin from 'fastify-plugin'

export interface SeamarkOptions extends PresenceOptions {
  /** Stays open when the server closes. */
  readonly discovery: Pick<Discovery, 'announce'>
}

const announced: FastifyPluginAsync<SeamarkOptions> = async (app, { discovery, ...options }) => {
  const presence = new Presence(discovery, options)

  app.addHook('onRequest', async (request, reply) => presence.observe(request.raw, reply.raw))
  if (presence.healthPath !== undefined)
    app.get(presence.healthPath, { logLevel: 'silent' }, async (_, reply) => {
      const { status, body } = presence.health
      return reply.code(status).header('cache-control', 'no-store').type('application/json').send(body)
    })

  // Fastify logs what this throws, and serves on: then the health endpoint goes on answering 503.
  app.addHook('onListen', async () => presence.announce(app.server.address()))
  app.addHook('preClose', async () => presence.finish())
  // Closing goes through these hooks backwards, and Fastify adds its own, which ends with 503 for whoever comes, before this
  // one: so the server goes on as usual while callers are told.
  app.addHook('onReady', async () => {
    app.addHook('onClose', async () => presence.leave())
  })
}

/**
 * A plugin for Fastify: announces the server once it listens, serves `/healthz`, and when it closes, first deregisters it and
 * lets that spread. `app.register(seamark, { discovery, name: 'api' })`, and all else that `announce` takes.
 */
export const seamark: FastifyPluginAsync<SeamarkOptions> = plugin(announced, {
  name: '@seamark/fastify',
  fastify: '5.x',
})
