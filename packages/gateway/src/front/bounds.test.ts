import { once } from 'node:events'
import { request } from 'node:http'
import { expect, it } from 'vitest'
import { opened, origin, rawClient, rawOrigin } from '../../test/opened-gateway.ts'

it.each([
  ['headers', { headerBytes: 4_096 }, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(9_000)}\r\n\r\n`, 431],
  ['fields', { headerFields: 80 }, `GET / HTTP/1.1\r\nHost: x\r\n${'X: y\r\n'.repeat(100)}\r\n`, 431],
  ['a URL', { urlBytes: 100 }, `GET /${'y'.repeat(101)} HTTP/1.1\r\nHost: x\r\n\r\n`, 414],
])('%s of more than it takes are refused', async (_, bounds, text, status) => {
  await using api = await origin((_, response) => response.end('ok'))
  await using gateway = await opened({ bounds })
  await gateway.register({ port: api.port })
  using client = await rawClient(gateway.port)
  client.write(text)
  expect(await client.ended()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
})

it('a body that says it is too large is refused before it is sent', async () => {
  await using api = await origin((request, response) => request.pipe(response))
  await using gateway = await opened({ bounds: { bodyBytes: 1_000 } })
  await gateway.register({ port: api.port })
  const call = request({
    port: gateway.port,
    method: 'POST',
    headers: { 'content-length': 1_001, expect: '100-continue' },
  })
  call.on('error', () => {})
  call.flushHeaders()
  const [response] = await once(call, 'response')
  expect(response.statusCode).toBe(413)
  call.destroy()
  for (const body of ['y'.repeat(1_000), 'y'.repeat(1_001)]) {
    const plain = await fetch(gateway.url, { method: 'POST', body })
    expect(plain.status).toBe(body.length > 1_000 ? 413 : 200)
    await plain.text()
  }
})

it('a body that becomes too large is cut', async () => {
  let cut: () => void = () => {}
  const isCut = new Promise<void>((resolve) => {
    cut = resolve
  })
  await using api = await origin((request) => {
    request.on('error', cut)
    request.resume()
  })
  await using gateway = await opened({ bounds: { bodyBytes: 100_000 } })
  await gateway.register({ port: api.port })
  const call = request({ port: gateway.port, method: 'POST' })
  call.on('error', () => {})
  const answered = once(call, 'response')
  for (let count = 0; count < 20; count++) call.write(Buffer.alloc(10_000))
  const [response] = await answered
  expect(response.statusCode).toBe(413)
  await isCut
  call.destroy()
})

it('headers that do not come are not waited for', async () => {
  await using gateway = await opened({ bounds: { headersTimeout: 100 } })
  using silent = await rawClient(gateway.port)
  expect(await silent.ended()).toBe('')
  using slow = await rawClient(gateway.port)
  slow.write('GET / HTTP/1.1\r\nHo')
  expect(await slow.ended()).toMatch(/^HTTP\/1\.1 408 /)
})

it('connections that idle are closed', async () => {
  await using api = await origin((_, response) => response.end('ok'))
  await using gateway = await opened({ bounds: { keepAliveTimeout: 100 } })
  await gateway.register({ port: api.port })
  for (const extra of ['', 'te: trailers\r\n']) {
    using client = await rawClient(gateway.port)
    client.write(`GET / HTTP/1.1\r\nHost: x\r\n${extra}\r\n`)
    expect(await client.ended()).toMatch(/ok$/)
  }
})

it.each(['', 'te: trailers\r\n'])('a connection ends after so many requests (%j)', async (extra) => {
  await using api = await origin((_, response) => response.end('ok'))
  await using gateway = await opened({ bounds: { requestsPerConnection: 3 } })
  await gateway.register({ port: api.port })
  using client = await rawClient(gateway.port)
  for (let count = 1; count <= 3; count++) {
    client.write(`GET / HTTP/1.1\r\nHost: x\r\n${extra}\r\n`)
    await client.until((text) => text.split('ok').length > count)
  }
  const text = await client.ended()
  expect(text.match(/connection: (keep-alive|close)/gi)?.map((line) => line.toLowerCase())).toEqual([
    'connection: keep-alive',
    'connection: keep-alive',
    'connection: close',
  ])
})

it('more connections than it takes are closed', async () => {
  await using api = await origin((_, response) => response.end('ok'))
  await using gateway = await opened({ bounds: { connections: 2 } })
  await gateway.register({ port: api.port })
  using one = await rawClient(gateway.port)
  using two = await rawClient(gateway.port)
  using three = await rawClient(gateway.port)
  expect(await three.ended()).toBe('')
  using four = await rawClient(gateway.port)
  expect(await four.ended()).toBe('')
  expect(gateway.notices.filter(({ event }) => event === 'connections_refused')).toMatchObject([
    { details: { connections: 2, refused: 1 } },
  ])
  for (const client of [one, two]) {
    client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await client.until((text) => text.endsWith('ok'))
  }
})

it('a body that stands still is given up', async () => {
  await using api = await rawOrigin((socket) =>
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhel'),
  )
  await using gateway = await opened({ bounds: { stillTimeout: 500 } })
  await gateway.register({ port: api.port })
  using client = await rawClient(gateway.port)
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  expect(await client.ended()).toMatch(/hel$/)
})

it('an answer with a head of more than it takes is none', async () => {
  await using api = await rawOrigin((socket) =>
    socket.write(`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(9_000)}\r\ncontent-length: 0\r\n\r\n`),
  )
  await using gateway = await opened({ bounds: { headerBytes: 4_096 } })
  await gateway.register({ port: api.port })
  expect((await fetch(gateway.url)).status).toBe(502)
})
