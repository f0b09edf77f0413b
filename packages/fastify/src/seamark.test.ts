import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { connect, type Discovery, interceptor } from '@seamark/client'
import Fastify, { type FastifyInstance } from 'fastify'
import { Agent, type Dispatcher, request } from 'undici'
import { afterEach, describe, expect, it } from 'vitest'
import { type SeamarkOptions, seamark } from './seamark.ts'

const closing: (() => unknown)[] = []
const drains: (() => void)[] = []
afterEach(async () => {
  for (const end of drains.splice(0)) end()
  for (const close of closing.splice(0).reverse()) await close()
})

function discover(): Discovery {
  const discovery = connect('memory:', { signals: false, notify: () => {} })
  closing.push(() => discovery.close())
  return discovery
}

function agent(): Dispatcher {
  const agent = new Agent()
  closing.push(() => agent.destroy())
  return agent
}

/** A discovery whose instances are drained until the test says otherwise. */
function drained(discovery: Discovery): { discovery: Pick<Discovery, 'announce'>; end(): void } {
  let end!: () => void
  const over = new Promise<void>((resolve) => {
    end = resolve
  })
  drains.push(end)
  return {
    end,
    discovery: {
      async announce(options) {
        const announcement = await discovery.announce(options)
        const close = announcement.close.bind(announcement)
        announcement.close = () => close().then(() => over)
        return announcement
      },
    },
  }
}

async function listening(
  discovery: Pick<Discovery, 'announce'>,
  {
    routes = () => {},
    ...options
  }: Partial<SeamarkOptions> & { routes?: (app: FastifyInstance) => void } = {},
): Promise<FastifyInstance> {
  const app = Fastify()
  app.register(seamark, { discovery, name: 'api', drain: 0, ...options })
  routes(app)
  closing.push(() => app.close())
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app
}

describe('a server', () => {
  it('is announced where it listens, until it is closed', async () => {
    const discovery = discover()
    const app = await listening(discovery, {
      version: '2.1.0',
      tags: ['blue'],
      route: { path: '/api', roles: ['clerk'] },
    })
    const { origin, version, tags, route } = await discovery.waitFor('api')
    expect({ origin, version, tags, route }).toEqual({
      origin: app.listeningOrigin,
      version: '2.1.0',
      tags: ['blue'],
      route: { path: '/api', roles: ['clerk'] },
    })
    await app.close()
    await expect(discovery.find('api')).rejects.toMatchObject({ code: 'service_not_found' })
  })

  it('is announced at this machine’s address when it listens everywhere', async () => {
    const discovery = discover()
    const app = Fastify()
    closing.push(() => app.close())
    await app.register(seamark, { discovery, name: 'api', drain: 0 })
    await app.listen({ port: 0, host: '0.0.0.0' })
    expect((await discovery.waitFor('api')).address).toBe(discovery.advertisedAddress('api'))
  })

  it('answers whether it is there', async () => {
    const discovery = discover()
    const app = Fastify()
    closing.push(() => app.close())
    await app.register(seamark, { discovery, name: 'api', drain: 0 })
    expect((await app.inject('/healthz')).statusCode).toBe(503)
    await app.listen({ port: 0, host: '127.0.0.1' })
    await discovery.waitFor('api')
    const { statusCode, headers, body } = await request(`${app.listeningOrigin}/healthz?now`)
    expect([statusCode, headers['content-type'], await body.text()]).toEqual([
      200,
      expect.stringContaining('application/json'),
      '{"status":"serving"}',
    ])
  })

  it('answers that elsewhere, or not at all', async () => {
    const discovery = discover()
    const { listeningOrigin: elsewhere } = await listening(discovery, { health: '/up' })
    await discovery.waitFor('api')
    expect((await request(`${elsewhere}/up`)).statusCode).toBe(200)
    const { listeningOrigin: none } = await listening(discovery, { health: false })
    expect((await request(`${none}/healthz`)).statusCode).toBe(404)
    await expect(listening(discovery, { health: 'up' })).rejects.toMatchObject({ field: 'health' })
  })

  it('that cannot be announced says so in its log and to who asks for its health', async () => {
    const lines: string[] = []
    const app = Fastify({ logger: { level: 'error', stream: { write: (line: string) => lines.push(line) } } })
    closing.push(() => app.close())
    await app.register(seamark, { discovery: discover(), name: 'api' })
    const path = join(tmpdir(), `seamark-fastify-${process.pid}.sock`)
    await app.listen({ path })
    while (lines.length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(lines[0]).toContain('api cannot be announced: its server listens at')
    const socket = connectSocket(path)
    socket.end('GET /healthz HTTP/1.0\r\n\r\n')
    expect(await text(socket)).toMatch(/^HTTP\/1.1 503 /)
  })
})

describe('closing', () => {
  it('first tells callers, and answers meanwhile, on connections that end', async () => {
    const discovery = discover()
    const drain = drained(discovery)
    const app = await listening(drain.discovery, {
      routes: (app) => app.get('/', async () => 'still here'),
    })
    const { origin } = await discovery.waitFor('api')
    const dispatcher = agent()
    const before = await request(origin, { dispatcher })
    await before.body.dump()
    expect(before.headers.connection).toBe('keep-alive')

    const closed = app.close()
    while ((await discovery.findAll('api')).length > 0) await new Promise((resolve) => setImmediate(resolve))
    const meanwhile = await request(origin, { dispatcher })
    expect([meanwhile.statusCode, meanwhile.headers.connection, await meanwhile.body.text()]).toEqual([
      200,
      'close',
      'still here',
    ])
    const health = await request(`${origin}/healthz`, { dispatcher })
    expect([health.statusCode, await health.body.text()]).toEqual([503, '{"status":"leaving"}'])
    drain.end()
    await closed
    await expect(request(origin, { dispatcher })).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('lets what is under way end, and waits for nothing else', async () => {
    const discovery = discover()
    const streams: PassThrough[] = []
    const app = await listening(discovery, {
      routes: (app) =>
        app.get('/', async () => {
          const stream = new PassThrough()
          streams.push(stream)
          stream.write('first, ')
          return stream
        }),
    })
    const { origin } = await discovery.waitFor('api')
    const { statusCode, body } = await request(origin, { dispatcher: agent() })
    expect(statusCode).toBe(200)
    const closed = app.close()
    while (app.server.listening) await new Promise((resolve) => setImmediate(resolve))
    streams[0]?.end('last')
    expect(await body.text()).toBe('first, last')
    // Its connection was kept alive, which Fastify's server does for 72 s.
    await closed
  })

  it('costs no request when one instance after the other is restarted', async () => {
    const discovery = discover()
    const start = async () => {
      const drain = drained(discovery)
      const app = await listening(drain.discovery, {
        routes: (app) => {
          app.get('/', async () => 'got')
          app.post('/', async ({ body }) => {
            await new Promise((resolve) => setImmediate(resolve))
            return body
          })
        },
      })
      return { app, drain }
    }
    const instances = [await start(), await start(), await start()]
    const dispatcher = agent().compose(interceptor(discovery, { tries: 1 }))
    while ((await discovery.findAll('api')).length < 3) await new Promise((resolve) => setImmediate(resolve))

    let ended = false
    const answered: number[] = []
    const ask = async (n: number, options: Partial<Dispatcher.RequestOptions>, expected: string) => {
      for (answered[n] = 0; !ended; answered[n]++) {
        const { statusCode, body } = await request('http://api.seamark/', { dispatcher, ...options })
        expect([statusCode, await body.text()]).toEqual([200, expected])
      }
    }
    const post = {
      method: 'POST',
      body: '"posted"',
      headers: { 'content-type': 'application/json' },
    } as const
    const asked = Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        n % 2 ? ask(n, { method: 'GET' }, 'got') : ask(n, post, 'posted'),
      ),
    ).finally(() => {
      ended = true
    })
    // Until each of them has an answer to a request that was made later.
    const everybodyAsked = async () => {
      const before = [...answered]
      while (!ended && answered.some((count, n) => count < before[n]! + 2))
        await new Promise((resolve) => setImmediate(resolve))
    }
    for (const { app, drain } of instances) {
      await start()
      await everybodyAsked()
      const closed = app.close()
      while ((await discovery.findAll('api')).length > 3)
        await new Promise((resolve) => setImmediate(resolve))
      await everybodyAsked()
      drain.end()
      await closed
    }
    ended = true
    await asked
  })
})
