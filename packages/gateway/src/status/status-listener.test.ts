import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { json, text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { entryOf, RouteList, ruleFor } from '../../test/route-list.ts'
import { type Stage, type StatusListenerOptions, statusListener } from './status-listener.ts'

const tickets = ruleFor('tickets', { host: 'shop.example', roles: ['tickets-query'] })
const metrics = { contentType: 'text/plain; version=0.0.4', text: async () => 'a 1\n' }

function listening(options: Partial<StatusListenerOptions> = {}) {
  return statusListener({
    port: 0,
    routes: new RouteList([tickets]),
    metrics,
    stage: () => 'ready',
    ...options,
  })
}

it('says that it lives, and whether requests may come', async () => {
  let stage: Stage = 'warming'
  await using status = await listening({ stage: () => stage })
  const ask = async (path: string) => {
    const response = await fetch(status.url + path)
    return [response.status, await response.json()]
  }
  expect(await ask('/readyz')).toEqual([503, { status: 'warming' }])
  stage = 'ready'
  expect(await ask('/readyz')).toEqual([200, { status: 'ready' }])
  stage = 'draining'
  expect(await ask('/readyz?verbose')).toEqual([503, { status: 'draining' }])
  expect(await ask('/healthz')).toEqual([200, { status: 'alive' }])
})

it('shows the metrics', async () => {
  await using status = await listening()
  const response = await fetch(`${status.url}/metrics`)
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4')
  expect(await response.text()).toBe('a 1\n')
})

it('shows the table: rules with the health of their instances, conflicts with who won, and no secret', async () => {
  const secret = { name: 'x-canary', value: 'secret' }
  const canary = { select: { version: '^2' }, share: 0.1, header: secret }
  const rule = { ...tickets, policy: { concurrency: 5, canary } }
  const other = { ...tickets, name: 'other', origin: 'gateway.json, routes/2' }
  const entries = { tickets: [entryOf('tickets', 'a'), entryOf('tickets', 'b', 'critical')] }
  await using status = await listening({
    routes: new RouteList([rule], entries, [{ rule: other, winner: rule }]),
  })
  const table = await (await fetch(`${status.url}/routes`)).json()
  const route = { host: 'shop.example', path: '/tickets', roles: ['tickets-query'] }
  expect(table).toEqual({
    routes: [
      {
        name: 'tickets',
        namespace: 'default',
        service: 'tickets',
        route,
        policy: ['concurrency', 'canary'],
        origin: '1 instance of tickets',
        instances: { all: 2, passing: 1, warning: 0, critical: 1, maintenance: 0 },
      },
    ],
    conflicts: [
      {
        name: 'other',
        namespace: 'default',
        service: 'tickets',
        route,
        origin: 'gateway.json, routes/2',
        winner: 'tickets',
      },
    ],
  })
})

it('has nothing else, and is only read', async () => {
  await using status = await listening()
  for (const [method, path] of [
    ['GET', '/'],
    ['GET', '/constructor'],
    ['POST', '/metrics'],
    ['DELETE', '/routes'],
  ] as const) {
    const response = await fetch(status.url + path, { method })
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ error: { code: 'route_not_found' } })
  }
  const head = await fetch(`${status.url}/metrics`, { method: 'HEAD' })
  expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '4', ''])
})

describe('on loopback', () => {
  async function asked(port: number, host: string) {
    const [response] = await once(request({ port, path: '/routes', headers: { host } }).end(), 'response')
    return [response.statusCode, await json(response)]
  }

  it('answers to names of loopback only, so that no web page gets there', async () => {
    await using status = await listening()
    for (const host of ['localhost', `127.0.0.1:${status.port}`, '[::1]:8081'])
      expect((await asked(status.port, host))[0]).toBe(200)
    for (const host of ['rebound.example', 'localhost.rebound.example'])
      expect(await asked(status.port, host)).toMatchObject([421, { error: { code: 'host_not_allowed' } }])
  })

  it('wants a name', async () => {
    await using status = await listening()
    const socket = connect(status.port, '127.0.0.1')
    socket.end('GET /routes HTTP/1.1\r\nconnection: close\r\n\r\n')
    expect(await text(socket)).toContain('421 Misdirected Request')
  })
})

it('answers to every name elsewhere: those who set it up there want it to be reached', async () => {
  await using status = await listening({ host: '0.0.0.0' })
  const [response] = await once(
    request({ port: status.port, path: '/healthz', headers: { host: 'gateway.internal' } }).end(),
    'response',
  )
  response.resume()
  expect(response.statusCode).toBe(200)
})

it('says when something cannot be told, and goes on', async () => {
  const text = () => Promise.reject(new Error('broken'))
  await using status = await listening({ metrics: { ...metrics, text } })
  const response = await fetch(`${status.url}/metrics`)
  expect([response.status, await response.json()]).toMatchObject([500, { error: { code: 'internal' } }])
  expect((await fetch(`${status.url}/healthz`)).status).toBe(200)
})

it('says where it cannot listen', async () => {
  await using status = await listening()
  await expect(listening({ port: status.port })).rejects.toThrow(
    expect.objectContaining({
      code: 'configuration',
      message: `The status listener cannot listen on 127.0.0.1:${status.port}: another process listens there.`,
    }),
  )
})

it('closes at once, and again', async () => {
  const status = await listening()
  const socket = connect(status.port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write('GET /metrics')
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.on('error', () => {})
  await status[Symbol.asyncDispose]()
  await closed
  await status[Symbol.asyncDispose]()
  await expect(fetch(status.url)).rejects.toThrow()
})
