import { createServer, type Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type Discovery, interceptor } from '@seamark/client'
import express5, { type Express } from 'express'
import { Agent, type Dispatcher, request } from 'undici'
import { afterEach, describe, expect, it } from 'vitest'
import { type AnnouncedServer, seamark } from './seamark.ts'

// Its types are under the name of the other one.
const express4: typeof express5 = createRequire(import.meta.url)('express-4')

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

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe.each([
  ['Express 5', express5],
  ['Express 4', express4],
])('a server with %s', (_, express) => {
  async function listening(
    discovery: Pick<Discovery, 'announce'>,
    routes: (app: Express) => void = () => {},
  ): Promise<{ api: AnnouncedServer; server: Server }> {
    const app = express()
    const api = seamark(discovery, { name: 'api', drain: 0, route: { path: '/api' } })
    app.use(api)
    routes(app)
    const server = app.listen(0, '127.0.0.1')
    closing.push(() => api.close())
    await api.attach(server)
    return { api, server }
  }

  it('is announced where it listens, until it is closed', async () => {
    const discovery = discover()
    const { api, server } = await listening(discovery)
    const { origin, route } = await discovery.find('api')
    expect(origin).toBe(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    expect(route).toEqual({ path: '/api' })
    await api.close()
    await expect(discovery.find('api')).rejects.toMatchObject({ code: 'service_not_found' })
    expect(server.listening).toBe(false)
  })

  it('answers whether it is there, and leaves all else to its routes', async () => {
    const discovery = discover()
    await listening(discovery, (app) => app.get('/', (_, response) => void response.send('route')))
    const { origin } = await discovery.find('api')
    const health = await request(`${origin}/healthz?now`)
    expect([health.statusCode, health.headers['content-type'], await health.body.text()]).toEqual([
      200,
      'application/json',
      '{"status":"serving"}',
    ])
    const head = await request(`${origin}/healthz`, { method: 'HEAD' })
    expect([head.statusCode, await head.body.text()]).toEqual([200, ''])
    expect(await (await request(origin)).body.text()).toBe('route')
    const post = await request(`${origin}/healthz`, { method: 'POST' })
    await post.body.dump()
    expect(post.statusCode).toBe(404)
  })

  it('that closes first tells callers, and answers meanwhile, on connections that end', async () => {
    const discovery = discover()
    const drain = drained(discovery)
    const { api } = await listening(drain.discovery, (app) =>
      app.get('/', (_, response) => void response.send('still here')),
    )
    const { origin } = await discovery.find('api')
    const dispatcher = agent()
    const before = await request(origin, { dispatcher })
    await before.body.dump()
    expect(before.headers.connection).toBe('keep-alive')

    const closed = api.close()
    while ((await discovery.findAll('api')).length > 0) await turn()
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

  it('that closes lets what is under way end, and waits for nothing else', async () => {
    const discovery = discover()
    const finish: (() => void)[] = []
    const { api, server } = await listening(discovery, (app) =>
      app.get('/', (_, response) => {
        response.write('first, ')
        finish.push(() => response.end('last'))
      }),
    )
    // Longer than a test may take.
    server.keepAliveTimeout = 3_600_000
    const { origin } = await discovery.find('api')
    const { statusCode, body } = await request(origin, { dispatcher: agent() })
    expect(statusCode).toBe(200)
    const closed = api.close()
    while (server.listening) await turn()
    finish[0]?.()
    expect(await body.text()).toBe('first, last')
    await closed
  })

  it('costs no request when one instance after the other is restarted', async () => {
    const discovery = discover()
    const start = async () => {
      const drain = drained(discovery)
      const { api } = await listening(drain.discovery, (app) => {
        app.get('/', (_, response) => void response.send('got'))
        app.post('/', (request, response) => void request.pipe(response))
      })
      return { api, drain }
    }
    const instances = [await start(), await start(), await start()]
    const dispatcher = agent().compose(interceptor(discovery, { tries: 1 }))
    while ((await discovery.findAll('api')).length < 3) await turn()

    let ended = false
    const answered: number[] = []
    const ask = async (n: number, options: Partial<Dispatcher.RequestOptions>, expected: string) => {
      for (answered[n] = 0; !ended; answered[n]++) {
        const { statusCode, body } = await request('http://api.seamark/', { dispatcher, ...options })
        expect([statusCode, await body.text()]).toEqual([200, expected])
      }
    }
    const post = { method: 'POST', body: 'posted' } as const
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
      while (!ended && answered.some((count, n) => count < before[n]! + 2)) await turn()
    }
    for (const { api, drain } of instances) {
      await start()
      await everybodyAsked()
      const closed = api.close()
      while ((await discovery.findAll('api')).length > 3) await turn()
      await everybodyAsked()
      drain.end()
      await closed
    }
    ended = true
    await asked
  })
})

it('refuses what cannot be announced, and what cannot be listened at', async () => {
  const discovery = discover()
  expect(() => seamark(discovery, { name: 'api', health: 'up' })).toThrow('health must begin with "/"')
  const path = join(tmpdir(), `seamark-express-${process.pid}.sock`)
  const unreachable = seamark(discovery, { name: 'api' })
  closing.push(() => unreachable.close())
  await expect(unreachable.attach(createServer().listen(path))).rejects.toMatchObject({
    code: 'configuration',
  })
  const taken = createServer().listen(0, '127.0.0.1')
  closing.push(() => taken.close())
  const first = seamark(discovery, { name: 'api', drain: 0 })
  await first.attach(taken)
  const { port } = taken.address() as AddressInfo
  const second = seamark(discovery, { name: 'api' })
  await expect(second.attach(createServer().listen(port, '127.0.0.1'))).rejects.toMatchObject({
    code: 'EADDRINUSE',
  })
  await second.close()
  await first.close()
})
