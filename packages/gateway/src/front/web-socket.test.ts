import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { opened, origin, rawClient, rawOrigin } from '../../test/opened-gateway.ts'

const handshake = [
  'GET /chat HTTP/1.1',
  'Host: shop.example',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '\r\n',
].join('\r\n')

it('carries WebSockets, both ways', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  const heard: string[] = []
  server.on('connection', (socket, request) => {
    heard.push(`${request.url} ${request.headers['x-forwarded-for']} ${request.headers.host}`)
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  await using gateway = await opened()
  await gateway.register({
    port: (server.address() as AddressInfo).port,
    route: { path: '/ws', rewrite: '/' },
  })
  const client = new WebSocket(`ws://127.0.0.1:${gateway.port}/ws/chat?a=1`, ['chat'])
  await once(client, 'open')
  expect(client.protocol).toBe('chat')
  expect(heard).toEqual([`/chat?a=1 127.0.0.1 127.0.0.1:${gateway.port}`])
  client.send('hello')
  expect(String((await once(client, 'message'))[0])).toBe('hello')
  const large = Buffer.alloc(5_000_000, 'x')
  client.send(large)
  expect(large.equals((await once(client, 'message'))[0])).toBe(true)
  client.close(4_001, 'enough')
  expect(await once(client, 'close')).toEqual([4_001, Buffer.from('enough')])
  const line = await gateway.logged(({ path }) => path === '/ws/chat')
  expect(line).toMatchObject({ status: 101 })
  server.close()
})

it('ends both sides when one of them breaks', async () => {
  await using api = await rawOrigin((socket, text) => {
    if (text.endsWith('\r\n\r\n'))
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nwelcome',
      )
  })
  await using gateway = await opened()
  await gateway.register({ port: api.port })
  {
    using client = await rawClient(gateway.port)
    client.write(handshake)
    await client.until((text) => text.endsWith('welcome'))
    const [socket] = api.sockets
    const closed = once(socket!, 'close')
    client.socket.resetAndDestroy()
    await closed
  }
  using client = await rawClient(gateway.port)
  client.write(`${handshake}early`)
  await client.until((text) => text.endsWith('welcome'))
  const [socket] = api.sockets
  while (!api.received.at(-1)!.endsWith('early')) await once(socket!, 'data')
  socket!.resetAndDestroy()
  await client.ended()
})

it('lets one side go on when the other one has said all', async () => {
  await using api = await rawOrigin((socket, text) => {
    if (text.endsWith('\r\n\r\n'))
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    if (text.endsWith('question')) socket.prependOnceListener('end', () => socket.end('answer'))
  })
  await using gateway = await opened()
  await gateway.register({ port: api.port })
  using client = await rawClient(gateway.port)
  client.write(handshake)
  await client.until((text) => text.endsWith('\r\n\r\n'))
  client.socket.end('question')
  expect(await client.ended()).toMatch(/answer$/)
})

it('passes on what an instance answers instead', async () => {
  await using api = await origin((_, response) => response.end('none'))
  api.server.on('upgrade', (_, socket) =>
    socket.end('HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 5\r\n\r\nsorry'),
  )
  await using gateway = await opened()
  await gateway.register({ port: api.port })
  using client = await rawClient(gateway.port)
  client.write(handshake)
  const text = await client.ended()
  expect(text).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/)
  expect(text).toMatch(/\r\nWWW-Authenticate: Basic\r\n/)
  expect(text).toMatch(/sorry$/)
})

it('says what is wrong when there is nobody, or no route', async () => {
  await using gateway = await opened({ file: { routes: [{ path: '/chat', service: 'api' }] } })
  using client = await rawClient(gateway.port)
  client.write(handshake)
  expect(await client.ended()).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n/)
  using other = await rawClient(gateway.port)
  other.write(handshake.replace('/chat', '/other'))
  expect(await other.ended()).toMatch(/^HTTP\/1\.1 404 Not Found\r\n/)
})

it('ends one on which nothing passes', async () => {
  await using api = await rawOrigin((socket) =>
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
  )
  await using gateway = await opened({ bounds: { upgradeTimeout: 50 } })
  await gateway.register({ port: api.port })
  using client = await rawClient(gateway.port)
  client.write(handshake)
  expect(await client.ended()).toMatch(/^HTTP\/1\.1 101 /)
})
