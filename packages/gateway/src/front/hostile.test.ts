import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type ClientHttp2Session, connect as connectCurrent, type OutgoingHttpHeaders } from 'node:http2'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fakeClock } from '@seamark/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { first } from '../../test/certificates.ts'
import { type OpenedGateway, opened, rawClient, rawOrigin } from '../../test/opened-gateway.ts'

const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'

let folder: string
let tls: { cert: string; key: string }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seamark-gateway-hostile-'))
  tls = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
  await writeFile(tls.cert, first.cert)
  await writeFile(tls.key, first.key)
})

afterAll(() => rm(folder, { recursive: true, force: true }))

function session({ port }: OpenedGateway): ClientHttp2Session {
  return connectCurrent(`https://127.0.0.1:${port}`, { ca: first.cert })
}

async function ask(current: ClientHttp2Session, headers: OutgoingHttpHeaders) {
  const stream = current.request(headers)
  let trailers = {}
  stream.on('trailers', (given) => {
    trailers = given
  })
  const [answered] = await once(stream, 'response')
  let body = ''
  for await (const chunk of stream.setEncoding('utf8')) body += chunk
  return { headers: answered, body, trailers }
}

describe('a client', () => {
  it('says nothing in trailers that it may not say in headers', async () => {
    await using api = await rawOrigin((socket, text) => {
      if (text.includes('0\r\n')) socket.write(ok)
    })
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    using client = await rawClient(gateway.port)
    client.write(
      'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n' +
        'X-Seamark-Identity: {"sub":"root"}\r\nX_Seamark_Identity: b\r\nX-Forwarded-For: 6.6.6.6\r\n' +
        'Host: other\r\nCookie: a\r\nAuthorization: b\r\nX-Sum: 42\r\n\r\n',
    )
    await client.until((text) => text.endsWith('ok'))
    expect(api.received[0]!.split('0\r\n')[1]).toBe('X-Sum: 42\r\n\r\n')
  })

  it.each([
    'X-Seamark-Identity',
    'x_seamark_identity',
    'x-seamark_identity',
    'X.Seamark.Identity',
    'x~seamark~identity',
  ])('cannot say %s', async (name) => {
    await using api = await rawOrigin((socket) => socket.write(ok))
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    // As what is read at once, and as what a parser reads.
    for (const connection of ['keep-alive', `close, ${name}, host`]) {
      using client = await rawClient(gateway.port)
      client.write(
        `GET / HTTP/1.1\r\nHost: x\r\n${name}: forged\r\n${name}: twice\r\nConnection: ${connection}\r\n\r\n`,
      )
      await client.until((text) => text.endsWith('ok'))
    }
    expect(api.received.join('')).not.toMatch(/forged|twice/)
    expect(api.received.join('').match(/^host: x$/gm)).toHaveLength(2)
  })

  it('that is refused is not heard any more, whatever it sent behind', async () => {
    await using api = await rawOrigin((socket) => socket.write(ok))
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    for (const text of [
      'GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n',
      'POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ]) {
      using client = await rawClient(gateway.port)
      client.write(`${text}GET /behind HTTP/1.1\r\nHost: x\r\n\r\n`)
      expect(await client.ended()).toMatch(/^HTTP\/1\.1 400 .*}}$/s)
    }
    expect(api.received).toEqual([])
  })

  it.each([
    ['is no HTTP', 'nonsense\r\n\r\n'],
    ['is the last', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['asks for another protocol', 'GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n'],
  ])('whose request %s holds no connection that was ended', async (_, text) => {
    const clock = fakeClock()
    await using api = await rawOrigin((socket) => socket.write(ok))
    await using gateway = await opened({ clock, bounds: { requestsPerConnection: 1 } })
    await gateway.register({ port: api.port })
    using client = await rawClient(gateway.port)
    client.write(text)
    await client.ended()
    const closed = new Promise((resolve) => client.socket.once('close', resolve))
    // It does not end its side, and goes on.
    const writing = setInterval(() => {
      clock.advance(1_000)
      client.write('x')
    }, 5)
    await closed
    clearInterval(writing)
    expect(client.text).toMatch(/^HTTP\/1\.1 (200|400) /)
  })

  it('that begins no TLS is not waited for', async () => {
    await using gateway = await opened({ tls, bounds: { headersTimeout: 100 } })
    const socket = connect(gateway.port, '127.0.0.1').resume()
    socket.on('error', () => {})
    await new Promise((resolve) => socket.once('close', resolve))
  })

  it('that takes nothing of an answer over HTTP/2 does not hold it for ever', async () => {
    const clock = fakeClock()
    await using api = await rawOrigin((socket) =>
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 30000\r\n\r\n${'y'.repeat(30_000)}`),
    )
    await using gateway = await opened({ tls, clock })
    await gateway.register({ port: api.port })
    const current = connectCurrent(`https://127.0.0.1:${gateway.port}`, {
      ca: first.cert,
      settings: { initialWindowSize: 0 },
    })
    await once(current, 'remoteSettings')
    const stream = current.request({ ':path': '/' })
    const broken = new Promise((resolve) => stream.once('error', resolve))
    await gateway.logged(({ status }) => status === 200)
    await clock.advance(300_000)
    await broken
    current.destroy()
  })

  it('that asks for a tunnel over HTTP/2 is refused', async () => {
    await using gateway = await opened({ tls })
    const current = session(gateway)
    const got = await ask(current, { ':method': 'CONNECT', ':authority': 'shop.example:443' })
    expect(got.headers[':status']).toBe(400)
    expect(JSON.parse(got.body)).toMatchObject({ error: { code: 'invalid_request' } })
    current.destroy()
  })

  it('that sends many requests and reads no answer gets no more of them than fit', async () => {
    const answer = `HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n${'y'.repeat(1_000_000)}`
    const count = 100
    await using api = await rawOrigin((socket) => socket.write(answer))
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    const socket = connect(gateway.port, '127.0.0.1').pause()
    await once(socket, 'connect')
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(count))
    // The system holds some MB of them.
    await gateway.logged(({ status }) => status === 200)
    let before = -1
    let asked = 0
    while (asked !== before) {
      before = asked
      await new Promise((resolve) => setTimeout(resolve, 200))
      asked = api.received.join('').split('\r\n\r\n').length - 1
    }
    expect(asked).toBeLessThan(count / 2)
    let bytes = 0
    socket.on('data', (chunk) => {
      bytes += chunk.length
    })
    socket.resume()
    while (bytes < count * 1_000_000) await once(socket, 'data')
    expect(api.received.join('').split('\r\n\r\n').length - 1).toBe(count)
    socket.destroy()
  })
})

describe('over HTTP/2, an instance', () => {
  it.each([
    ['says a field twice', 'x-content-type-options: nosniff\r\nx-content-type-options: nosniff\r\n'],
    [
      'says what only HTTP/1.1 has',
      'http2-settings: a\r\nkeep-alive: timeout=5\r\nproxy-connection: close\r\n',
    ],
  ])('that %s is understood', async (_, fields) => {
    await using api = await rawOrigin((socket) =>
      socket.write(`HTTP/1.1 200 OK\r\n${fields}content-length: 2\r\n\r\nok`),
    )
    await using gateway = await opened({ tls })
    await gateway.register({ port: api.port })
    const current = session(gateway)
    expect(await ask(current, { ':path': '/' })).toMatchObject({ headers: { ':status': 200 }, body: 'ok' })
    current.destroy()
  })

  it('whose trailers are none that HTTP/2 has ends no gateway', async () => {
    await using api = await rawOrigin((socket) =>
      socket.write(
        'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n' +
          'Connection: close\r\nUpgrade: a\r\nSet-Cookie: a=b\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n',
      ),
    )
    await using gateway = await opened({ tls })
    await gateway.register({ port: api.port })
    const current = session(gateway)
    const { body, trailers } = await ask(current, { ':path': '/' })
    expect([body, Object.keys(trailers)]).toEqual(['ok', ['x-sum']])
    current.destroy()
  })
})

describe('an instance', () => {
  it('that hints at what is no link has its answer passed on', async () => {
    await using api = await rawOrigin((socket) =>
      socket.write(`HTTP/1.1 103 Early Hints\r\nlink: nonsense\r\n\r\n${ok}`),
    )
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    using client = await rawClient(gateway.port)
    client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    expect(await client.ended()).toMatch(/^HTTP\/1\.1 200 OK\r\n.*ok$/s)
  })

  it('that never comes to its answer is given up', async () => {
    await using api = await rawOrigin((socket) =>
      socket.write('HTTP/1.1 102 Processing\r\n\r\n'.repeat(10_000) + ok),
    )
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    expect((await fetch(gateway.url)).status).toBe(502)
  })

  it('that should speak TLS, and closes every connection, is one that does not answer', async () => {
    const server = createServer((socket) => socket.destroySoon()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    await using gateway = await opened()
    await gateway.register({ port: (server.address() as AddressInfo).port, scheme: 'https' })
    expect((await fetch(gateway.url)).status).toBe(502)
    server.close()
  })
})
