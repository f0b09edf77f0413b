import { once } from 'node:events'
import { request } from 'node:http'
import { expect, it } from 'vitest'
import { type OpenedGateway, opened, origin, rawClient } from '../../test/opened-gateway.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`

function page(gateway: OpenedGateway) {
  return async (path: string) => {
    const { status } = await gateway.logged(({ msg }) => msg === 'listening')
    return (await fetch(status + path)).text()
  }
}

it('tells of a request in its log, in its metrics, and to the instance', async () => {
  await using gateway = await opened({ status: { port: 0 } })
  await using service = await origin(async (request, response) => {
    for await (const _ of request);
    response.end(JSON.stringify(request.headers))
  })
  await gateway.register({
    service: 'tickets',
    id: 'tickets-1',
    port: service.port,
    route: { path: '/tickets' },
  })
  const headers = { traceparent, tracestate: 'congo=t61', authorization: 'Bearer secret' }
  const url = `${gateway.url}/tickets/7?token=secret`
  const response = await fetch(url, { method: 'POST', body: 'question', headers })
  const body = await response.text()
  const got = JSON.parse(body)
  expect(got.traceparent).toMatch(new RegExp(`^00-${traceId}-[\\da-f]{16}-01$`))
  expect(got.traceparent).not.toBe(traceparent)
  expect(got.tracestate).toBe('congo=t61')
  const line = await gateway.logged(({ msg }) => msg === 'answered')
  expect(line).toMatchObject({
    level: 30,
    method: 'POST',
    host: '127.0.0.1',
    path: '/tickets/7',
    status: 200,
    client: '127.0.0.1',
    bytesIn: 8,
    bytesOut: body.length,
    traceId,
    rule: 'tickets/tickets',
    service: 'tickets',
    instance: 'tickets-1',
    tries: 1,
  })
  expect(JSON.stringify(line)).not.toContain('secret')
  const metrics = await page(gateway)('/metrics')
  const labels = 'rule="tickets/tickets",namespace="default",service="tickets"'
  expect(metrics).toContain(`seamark_gateway_requests_total{${labels},method="POST",status="2xx"} 1`)
  expect(metrics).toContain(`seamark_gateway_received_bytes_total{${labels}} 8`)
  expect(metrics).toContain(`seamark_gateway_requests_in_flight{${labels}} 0`)
  expect(metrics).toContain(`seamark_gateway_instances{${labels},health="passing"} 1`)
})

it('tells why nobody answered, and whom it turned away', async () => {
  await using gateway = await opened({ status: { port: 0 } })
  await using service = await origin((_, response) => response.end())
  const leave = await gateway.register({
    service: 'tickets',
    port: service.port,
    route: { path: '/tickets' },
  })
  await gateway.register({
    service: 'safe',
    port: service.port,
    route: { path: '/safe', methods: ['GET'], roles: ['admin'] },
  })
  await fetch(`${gateway.url}/nothing`)
  await fetch(`${gateway.url}/safe`, { method: 'POST' })
  await fetch(`${gateway.url}/safe`)
  await leave()
  await fetch(`${gateway.url}/tickets`)
  for (const [error, msg, level] of [
    ['route_not_found', 'refused', 30],
    ['method_not_allowed', 'refused', 30],
    ['not_allowed', 'refused', 30],
    ['unavailable', 'failed', 40],
  ])
    expect(await gateway.logged((line) => line.error === error)).toMatchObject({ msg, level })
  const metrics = await page(gateway)('/metrics')
  expect(metrics).toMatch(/rejected_total{rule="none",.*reason="route_not_found"} 1/)
  expect(metrics).toMatch(/rejected_total{rule="none",.*reason="method_not_allowed"} 1/)
  expect(metrics).toMatch(/rejected_total{rule="GET safe\/safe",.*reason="not_allowed"} 1/)
  expect(metrics).toMatch(/upstream_failures_total{rule="tickets\/tickets",.*reason="unavailable"} 1/)
})

it('tells of what could not be read, too', async () => {
  await using gateway = await opened({ status: { port: 0 } })
  for (const [text, reason] of [
    ['GET /..%2fsecret HTTP/1.1\r\nhost: x\r\n\r\n', /URL/],
    ['this is not HTTP\r\n\r\n', /not HTTP/],
    ['CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n', /tunnels/],
  ] as const) {
    using client = await rawClient(gateway.port)
    client.write(text)
    await client.until((answer) => answer.includes('400 Bad Request'))
    const line = await gateway.logged((line) => reason.test(line.reason))
    expect(line).toMatchObject({ msg: 'refused', status: 400, client: '127.0.0.1', error: 'invalid_request' })
  }
  expect(await page(gateway)('/metrics')).toMatch(/rejected_total{rule="none",.*reason="invalid_request"} 3/)
})

it('tells apart who broke an answer off', async () => {
  await using gateway = await opened()
  await using service = await origin((request, response) => {
    response.writeHead(200, { 'content-length': 100 })
    response.write('begun')
    if (request.url === '/broken') response.write('so far', () => response.destroy())
  })
  await gateway.register({ service: 'tickets', port: service.port })
  await expect(fetch(`${gateway.url}/broken`).then((response) => response.text())).rejects.toThrow()
  expect(await gateway.logged(({ path }) => path === '/broken')).toMatchObject({
    level: 40,
    msg: 'failed',
    status: 200,
    error: 'aborted',
  })
  const left = request(`${gateway.url}/left`).end()
  left.on('error', () => {})
  const [response] = await once(left, 'response')
  response.on('error', () => {})
  left.destroy()
  expect(await gateway.logged(({ path }) => path === '/left')).toMatchObject({
    level: 30,
    msg: 'the client went away',
    status: 200,
    error: 'cancelled',
  })
})

it('shows its table, and whether it is ready', async () => {
  await using gateway = await opened({ status: { port: 0 } })
  await using service = await origin((_, response) => response.end())
  await gateway.register({ service: 'tickets', port: service.port, route: { path: '/tickets' } })
  const show = page(gateway)
  expect(JSON.parse(await show('/routes'))).toMatchObject({
    routes: [{ name: 'tickets/tickets', route: { path: '/tickets' }, instances: { all: 1, passing: 1 } }],
    conflicts: [],
  })
  expect(JSON.parse(await show('/readyz'))).toEqual({ status: 'ready' })
})
