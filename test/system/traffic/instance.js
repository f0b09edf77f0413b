// @ts-check
// An instance of `api`, as a process of its own: node instance.js KIND LOG TTL. It announces itself, echoes what it is sent, and
// writes down what it receives and answers, at once: the file tells the truth even when this was killed.
import { once } from 'node:events'
import { openSync, writeSync } from 'node:fs'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '@seamark/client'
import { seamark as expressSeamark } from '@seamark/express'
import { seamark as fastifySeamark } from '@seamark/fastify'
import express from 'express'
import Fastify from 'fastify'

const [kind = '', log = '', ttl = ''] = process.argv.slice(2)
const id = `api-${process.pid}`
const file = openSync(log, 'a')

/** Milliseconds that a request takes, so that some are under way at any time. */
const work = 5

/** Answers nothing any more, though it goes on accepting. */
let holding = false
process.on('message', (message) => {
  if (message === 'hold') holding = true
})
// The test is gone.
process.once('disconnect', () => process.exit(1))

/** @param {string} line */
function note(line) {
  writeSync(file, `${line}\n`)
}

/**
 * What there is to do before `response` may be sent.
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
async function serve({ method, url = '' }, response) {
  // What the caller calls POST 17 is a POST for /api/17.
  const name = `${method} ${url.slice(url.lastIndexOf('/') + 1)}`
  note(`received ${name}`)
  await sleep(work)
  if (holding) await new Promise(() => note(`held ${name}`))
  response.once('finish', () => note(`answered ${name}`))
  response.setHeader('x-instance', id)
}

const discovery = connect()
const announced = {
  name: 'api',
  id,
  ttl: Number(ttl),
  route: { path: '/api' },
  // Longer than a busy machine keeps any of these processes waiting.
  drain: '2s',
}

/** Ways to write a service, as the guides show them: each starts it, and answers how it ends. */
const kinds = {
  async http() {
    const server = createServer(async (request, response) => {
      const body = await text(request)
      await serve(request, response)
      response.end(body)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
    await discovery.announce({ ...announced, port, address: '127.0.0.1' })
    return async () => {
      await discovery.close()
      server.close()
    }
  },

  async fastify() {
    const app = Fastify()
    app.register(fastifySeamark, { ...announced, discovery })
    app.all('/*', async (request, reply) => {
      await serve(request.raw, reply.raw)
      return request.body ?? ''
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    return async () => {
      await app.close()
      await discovery.close()
    }
  },

  async express() {
    const api = expressSeamark(discovery, announced)
    const app = express()
    app.use(api)
    app.use(express.text())
    app.use(async (request, response) => {
      await serve(request, response)
      response.end(request.body)
    })
    await api.attach(app.listen(0, '127.0.0.1'))
    return async () => {
      await api.close()
      await discovery.close()
    }
  },
}

const end = await kinds[/** @type {keyof typeof kinds} */ (kind)]()
process.once('SIGTERM', async () => {
  await end()
  // From here on nothing but a mistake keeps it.
  process.channel?.unref()
})
process.send?.(id)
