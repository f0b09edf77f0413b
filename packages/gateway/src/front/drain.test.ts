import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type ClientHttp2Session, connect as connectCurrent } from 'node:http2'
import { Agent, type RequestOptions, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { fakeClock } from '@seamark/core/testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { first } from '../../test/certificates.ts'
import { opened, origin, rawClient, rawOrigin } from '../../test/opened-gateway.ts'

const bounds = { drainDelay: 500 }
/** What has a request read at once, and what has it read by a parser. */
const readers = ['', 'te: trailers\r\n']
const ask = (path: string, extra = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\n${extra}\r\n`
const turn = () => new Promise((resolve) => setImmediate(resolve))

let folder: string
let tls: { cert: string; key: string }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seamark-gateway-drain-'))
  tls = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
  await writeFile(tls.cert, first.cert)
  await writeFile(tls.key, first.key)
})

afterAll(() => rm(folder, { recursive: true, force: true }))

function deferred<T>() {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

const session = (port: number): ClientHttp2Session =>
  connectCurrent(`https://127.0.0.1:${port}`, { ca: first.cert })

async function get(current: ClientHttp2Session, path: string): Promise<string> {
  let text = ''
  for await (const chunk of current.request({ ':path': path }).setEncoding('utf8')) text += chunk
  return text
}

it.each([
  ['plain', false, {}],
  ['parsed', false, { te: 'trailers' }],
  ['plain, over TLS', true, {}],
  ['parsed, over TLS', true, { te: 'trailers' }],
])('requests that are sent steadily are all answered: %s', async (_, isSecure, headers) => {
  const clock = fakeClock()
  await using api = await origin((incoming, response) => incoming.pipe(response))
  await using gateway = await opened({ clock, bounds, ...(isSecure && { tls }) })
  await gateway.register({ port: api.port })
  const send = isSecure ? request : (await import('node:http')).request
  const post = async (options: RequestOptions): Promise<string | undefined> => {
    const call = send({ port: gateway.port, host: '127.0.0.1', ca: first.cert, method: 'POST', ...options })
    call.end('hello')
    const [response] = await once(call, 'response')
    let text = ''
    for await (const chunk of response.setEncoding('utf8')) text += chunk
    expect([response.statusCode, text]).toEqual([200, 'hello'])
    return response.headers.connection
  }
  let count = 0
  const warm = deferred<void>()
  const clients = Array.from({ length: 20 }, async () => {
    const agent = new (isSecure ? Agent : (await import('node:http')).Agent)({
      keepAlive: true,
      maxSockets: 1,
    })
    while ((await post({ agent: agent as Agent, headers })) !== 'close') if (++count === 100) warm.resolve()
    agent.destroy()
  })
  await warm.promise
  const closed = gateway.close()
  await Promise.all(clients)
  // Whoever does not know of it yet finds it where it was.
  expect(await post({ agent: false, headers })).toBe('close')
  await clock.advance(500)
  await closed
  await expect(post({ agent: false })).rejects.toThrow('ECONNREFUSED')
})

it.each(readers)('a connection that idles is ended, after a last look at it (%j)', async (extra) => {
  const fake = fakeClock()
  let last = () => {}
  const clock: typeof fake = {
    ...fake,
    after: (delay, callback) =>
      fake.after(delay, () => {
        if (delay === bounds.drainDelay) last()
        callback()
      }),
  }
  await using api = await rawOrigin((socket) =>
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'),
  )
  await using gateway = await opened({ clock, bounds })
  await gateway.register({ port: api.port })
  using idle = await rawClient(gateway.port)
  using late = await rawClient(gateway.port)
  for (const client of [idle, late]) {
    client.write(ask('/early', extra))
    await client.until((text) => text.endsWith('ok'))
  }
  const failures: unknown[] = []
  for (const { socket } of [idle, late]) socket.on('error', (error) => failures.push(error))
  const closed = gateway.close()
  last = () => {
    // The system has it when the time is over, and nobody has read it.
    late.write(ask('/late', extra))
    last = () => {}
  }
  await clock.advance(500)
  expect(await late.ended()).toMatch(/connection: close.*ok$/is)
  expect(await idle.ended()).toMatch(/connection: keep-alive.*ok$/is)
  late.socket.destroy()
  // It crosses the end, and is not executed.
  idle.write(ask('/crossing', extra))
  let isOver = false
  closed.then(() => {
    isOver = true
  })
  while (!isOver) {
    await clock.advance(100)
    await turn()
  }
  const paths = api.received.flatMap((text) => [...text.matchAll(/^GET (\S+)/gm)].map(([, path]) => path))
  expect(paths.sort()).toEqual(['/early', '/early', '/late'])
  expect(failures).toEqual([])
})

it('a connection that asked for nothing yet has the time to', async () => {
  const clock = fakeClock()
  await using api = await origin((_, response) => response.end('ok'))
  await using gateway = await opened({ clock, bounds })
  await gateway.register({ port: api.port })
  const closed = gateway.close()
  await clock.advance(499)
  using client = await rawClient(gateway.port)
  await turn()
  await clock.advance(1)
  client.write(ask('/'))
  expect(await client.ended()).toMatch(/connection: close.*ok\r\n0\r\n\r\n$|connection: close.*ok$/is)
  client.socket.destroy()
  await closed
})

it.each(readers)(
  'an answer that had begun is finished, and its connection answers once more (%j)',
  async (extra) => {
    const clock = fakeClock()
    const streaming = deferred<import('node:http').ServerResponse>()
    await using api = await origin((incoming, response) => {
      if (incoming.url !== '/events') response.end('ok')
      else {
        response.write('data: 1\n\n')
        streaming.resolve(response)
      }
    })
    await using gateway = await opened({ clock, bounds })
    await gateway.register({ port: api.port })
    using client = await rawClient(gateway.port)
    client.write(ask('/events', extra))
    const response = await streaming.promise
    await client.until((text) => text.includes('data: 1'))
    const closed = gateway.close()
    await clock.advance(500)
    await turn()
    await clock.advance(5_000)
    response.end('data: 2\n\n')
    await client.until((text) => text.endsWith('0\r\n\r\n'))
    expect(client.text).toMatch(/connection: keep-alive.*data: 2/is)
    client.write(ask('/', extra))
    expect(await client.ended()).toMatch(/data: 2.*connection: close.*ok$/is)
    client.socket.destroy()
    await closed
  },
)

it('over HTTP/2, streams are finished, and all that the client opened before it knew', async () => {
  const clock = fakeClock()
  const slow = deferred<import('node:http').ServerResponse>()
  await using api = await origin((incoming, response) => {
    if (incoming.url === '/slow') slow.resolve(response)
    else response.end('ok')
  })
  await using gateway = await opened({ tls, clock, bounds })
  await gateway.register({ port: api.port })
  const busy = session(gateway.port)
  const idle = session(gateway.port)
  expect(await get(idle, '/')).toBe('ok')
  const ends = [busy, idle].map((current) => once(current, 'close'))
  const under = get(busy, '/slow')
  const response = await slow.promise
  const closed = gateway.close()
  const told = once(busy, 'goaway')
  expect(await Promise.all(Array.from({ length: 20 }, () => get(busy, '/')))).toEqual(Array(20).fill('ok'))
  expect((await told).slice(0, 2)).toEqual([0, 2 ** 31 - 1])
  const late = session(gateway.port)
  ends.push(once(late, 'close'))
  expect(await get(late, '/')).toBe('ok')
  await clock.advance(500)
  await ends[1]
  await ends[2]
  response.end('done')
  expect(await under).toBe('done')
  await ends[0]
  await closed
})

it('what does not finish is broken off, and told of', async () => {
  const clock = fakeClock()
  await using api = await rawOrigin((socket, text) => {
    if (text.includes('pgrade: websocket'))
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  })
  await using gateway = await opened({ tls, clock, bounds })
  await gateway.register({ port: api.port })
  const asked = (path: string) => () => api.received.some((text) => text.includes(` ${path} `))
  const upgrade =
    'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
  const sockets = [ask('/plain'), ask('/parsed', 'te: trailers\r\n'), ask('/upgraded', upgrade)].map(
    (text) => {
      const socket = connect({ port: gateway.port, host: '127.0.0.1', ca: first.cert })
      socket.on('error', () => {})
      socket.write(text)
      return socket
    },
  )
  const [, , upgraded] = sockets
  await once(upgraded!, 'data')
  const current = session(gateway.port)
  current.on('error', () => {})
  const streams = ['/one', '/two'].map((path) => current.request({ ':path': path }).on('error', () => {}))
  for (const path of ['/plain', '/parsed', '/one', '/two']) while (!asked(path)()) await turn()
  const closed = gateway.close()
  let isOver = false
  closed.then(() => {
    isOver = true
  })
  while (!isOver) {
    await clock.advance(500)
    await turn()
  }
  expect(gateway.notices.find(({ event }) => event === 'drain_cut')).toMatchObject({
    level: 'warn',
    details: { connections: 4, requests: 2, streams: 2, upgraded: 1 },
  })
  for (const stream of streams) stream.destroy()
  current.destroy()
  for (const socket of sockets) socket.destroy()
})
