import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type ClientHttp2Session, connect as connectCurrent, constants } from 'node:http2'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { fakeClock } from '@seamark/core/testing'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { first, second } from '../../test/certificates.ts'
import { opened, origin, rawOrigin } from '../../test/opened-gateway.ts'

let folder: string
let tls: { cert: string; key: string }

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seamark-gateway-tls-'))
  tls = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
  await store(first)
})

afterEach(() => rm(folder, { recursive: true, force: true }))

async function store({ cert, key }: typeof first): Promise<void> {
  await writeFile(tls.cert, cert)
  await writeFile(tls.key, key)
}

interface Got {
  readonly headers: import('node:http2').IncomingHttpHeaders
  readonly body: string
  readonly trailers: import('node:http2').IncomingHttpHeaders
}

async function ask(
  session: ClientHttp2Session,
  headers: import('node:http2').OutgoingHttpHeaders,
  body?: string,
): Promise<Got> {
  const stream = session.request(headers, { endStream: body === undefined })
  let trailers = {}
  stream.on('trailers', (given) => {
    trailers = given
  })
  if (body !== undefined) stream.end(body)
  const [answered] = await once(stream, 'response')
  let text = ''
  for await (const chunk of stream.setEncoding('utf8')) text += chunk
  return { headers: answered, body: text, trailers }
}

it('speaks HTTP/2 to clients that do', async () => {
  await using api = await rawOrigin((socket, text) => {
    if (text.endsWith('\r\n\r\n'))
      socket.write(
        'HTTP/1.1 201 Created\r\nX-Thing: a\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: keep-alive\r\n' +
          'Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n',
      )
  })
  await using gateway = await opened({ tls })
  await gateway.register({ port: api.port })
  const session = connectCurrent(`https://127.0.0.1:${gateway.port}`, { ca: first.cert })
  const got = await ask(
    session,
    {
      ':method': 'POST',
      ':path': '/a?b',
      ':authority': 'shop.example',
      cookie: ['a=1', 'b=2'],
      'x-forwarded-for': '6.6.6.6',
    },
    'hello',
  )
  expect(got.headers).toMatchObject({ ':status': 201, 'x-thing': 'a', 'set-cookie': ['a=1', 'b=2'] })
  expect(got.headers.connection).toBeUndefined()
  expect(got.body).toBe('ok')
  expect(got.trailers).toMatchObject({ 'x-sum': '42' })
  session.close()
  const [heard = ''] = api.received
  expect(heard).toMatch(/^POST \/a\?b HTTP\/1\.1\r\nhost: shop\.example\r\n/)
  expect(heard).toContain('\r\ncookie: a=1; b=2\r\n')
  expect(heard).toContain(
    '\r\nx-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: https\r\nx-forwarded-host: shop.example\r\n',
  )
  expect(heard).toContain('\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n')
  expect(heard).not.toContain('\r\n:')
})

it('answers many streams of one connection, and errors by stream', async () => {
  await using api = await origin((request, response) => request.pipe(response))
  await using gateway = await opened({ tls, bounds: { streams: 10 } })
  await gateway.register({ port: api.port, route: { path: '/echo' } })
  const session = connectCurrent(`https://127.0.0.1:${gateway.port}`, { ca: first.cert })
  await once(session, 'remoteSettings')
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      ask(session, { ':method': 'POST', ':path': index % 5 === 0 ? '/none' : '/echo' }, `body ${index}`),
    ),
  )
  for (const [index, { headers, body }] of answers.entries())
    expect([headers[':status'], body.slice(0, 7)]).toEqual(
      index % 5 === 0 ? [404, '{"error'] : [200, `body ${index}`.slice(0, 7)],
    )
  session.close()
})

it('breaks off the stream whose instance broke off', async () => {
  await using api = await rawOrigin((socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello')
    setImmediate(() => socket.destroy())
  })
  await using gateway = await opened({ tls })
  await gateway.register({ port: api.port })
  const session = connectCurrent(`https://127.0.0.1:${gateway.port}`, { ca: first.cert })
  const stream = session.request({ ':path': '/' })
  stream.resume()
  const [error] = await once(stream, 'error')
  expect(error.message).toContain('NGHTTP2_INTERNAL_ERROR')
  session.close()
})

it('cancels at the instance what the client cancels', async () => {
  let closed: () => void = () => {}
  const isClosed = new Promise<void>((resolve) => {
    closed = resolve
  })
  await using api = await origin((_, response) => {
    response.once('close', closed)
    response.write('begun')
  })
  await using gateway = await opened({ tls })
  await gateway.register({ port: api.port })
  const session = connectCurrent(`https://127.0.0.1:${gateway.port}`, { ca: first.cert })
  const stream = session.request({ ':path': '/' })
  stream.on('error', () => {})
  await once(stream, 'data')
  stream.close(constants.NGHTTP2_CANCEL)
  await isClosed
  session.close()
})

it('ends a connection whose client resets streams as fast as it opens them', async () => {
  await using api = await origin((_, response) => response.end('ok'))
  await using gateway = await opened({ tls })
  await gateway.register({ port: api.port })
  const socket = connect({ port: gateway.port, host: '127.0.0.1', ca: first.cert, ALPNProtocols: ['h2'] })
  let isOver = false
  socket.on('error', () => {})
  socket.once('close', () => {
    isOver = true
  })
  await once(socket, 'secureConnect')
  const closed = once(socket, 'close')
  socket.resume()
  socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0, [])]))
  for (let stream = 1; !isOver; stream += 2) {
    // :method GET, :scheme https, :path /, :authority x; and at once RST_STREAM with CANCEL.
    socket.write(
      Buffer.concat([
        frame(1, 5, stream, [0x82, 0x87, 0x84, 0x41, 1, 120]),
        frame(3, 0, stream, [0, 0, 0, 8]),
      ]),
    )
    if (socket.writableNeedDrain) await Promise.race([once(socket, 'drain'), closed])
  }
  await closed
})

/** RFC 9113, 4.1. */
function frame(type: number, flags: number, stream: number, payload: readonly number[]): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, Buffer.from(payload)])
}

it('speaks HTTP/1.1 to others', async () => {
  await using api = await origin((incoming, response) => {
    response.setHeader('x-proto', String(incoming.headers['x-forwarded-proto']))
    incoming.pipe(response)
  })
  await using gateway = await opened({ tls })
  await gateway.register({ port: api.port })
  for (const headers of [{}, { te: 'trailers' }, { expect: '100-continue' }]) {
    const call = request({ port: gateway.port, host: '127.0.0.1', ca: first.cert, method: 'POST', headers })
    if ('expect' in headers) {
      call.flushHeaders()
      await once(call, 'continue')
    }
    call.end('hello')
    const [response] = await once(call, 'response')
    let text = ''
    for await (const chunk of response.setEncoding('utf8')) text += chunk
    expect([response.statusCode, response.headers['x-proto'], text]).toEqual([200, 'https', 'hello'])
  }
})

it('drains connections of both kinds', async () => {
  await using api = await origin((_, response) => response.end('ok'))
  await using gateway = await opened({ tls })
  await gateway.register({ port: api.port })
  const session = connectCurrent(`https://127.0.0.1:${gateway.port}`, { ca: first.cert })
  expect((await ask(session, { ':path': '/' })).body).toBe('ok')
  const sockets = ['', 'te: trailers\r\n'].map((extra) => {
    const socket = connect({ port: gateway.port, host: '127.0.0.1', ca: first.cert })
    socket.write(`GET / HTTP/1.1\r\nHost: x\r\n${extra}\r\n`)
    return socket
  })
  for (const socket of sockets) await once(socket, 'data')
  const ends = [once(session, 'close'), ...sockets.map((socket) => once(socket.resume(), 'end'))]
  const closed = gateway.close()
  await Promise.all(ends)
  await closed
})

/** The name of whom the certificate is that the gateway shows. */
async function shown(port: number): Promise<string | undefined> {
  const socket: TLSSocket = connect({ port, host: '127.0.0.1', ca: [first.cert, second.cert] })
  await once(socket, 'secureConnect')
  const { CN } = socket.getPeerCertificate().subject
  socket.destroy()
  return Array.isArray(CN) ? CN[0] : CN
}

it('takes another certificate when its files change, and stays with the last good one', async () => {
  const clock = fakeClock()
  await using gateway = await opened({ tls, clock })
  expect(await shown(gateway.port)).toBe('first.example')
  const told = async (event: string) => {
    while (!gateway.notices.some((notice) => notice.event === event)) {
      await clock.advance(5_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  await writeFile(tls.cert, 'nonsense')
  await told('certificate_unusable')
  expect(await shown(gateway.port)).toBe('first.example')
  // Its key is still the first one's.
  await writeFile(tls.cert, second.cert)
  await writeFile(tls.key, second.key)
  await told('certificate_renewed')
  expect(await shown(gateway.port)).toBe('second.example')
  expect(gateway.notices.filter(({ event }) => event === 'certificate_unusable').length).toBeLessThan(3)
})

it('is not opened with a certificate that cannot be used', async () => {
  await writeFile(tls.key, second.key)
  await expect(opened({ tls })).rejects.toMatchObject({ code: 'configuration', field: 'tls' })
})

it('reaches instances with TLS, and verifies who they are', async () => {
  const { createServer } = await import('node:https')
  const server = createServer(first, (_, response) => response.end('secret')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as import('node:net').AddressInfo
  {
    await using gateway = await opened({ ca: first.cert })
    await gateway.register({ port, scheme: 'https' })
    for (let count = 0; count < 3; count++) expect(await (await fetch(gateway.url)).text()).toBe('secret')
  }
  {
    await using gateway = await opened({ ca: second.cert })
    await gateway.register({ port, scheme: 'https' })
    expect((await fetch(gateway.url)).status).toBe(502)
  }
  server.closeAllConnections()
  server.close()
})
