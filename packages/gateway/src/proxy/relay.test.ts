import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { opened, origin, rawClient, rawOrigin } from '../../test/opened-gateway.ts'

function deferred<T>() {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

/** Both ways in: a lane takes what is plain, and `node:http` what is not. */
const ways = [
  { way: 'a lane', extra: '' },
  { way: 'node:http', extra: 'te: trailers\r\n' },
]

describe.each(ways)('through $way', ({ extra }) => {
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: shop.example:8080\r\n${extra}\r\n`

  it('a request reaches the instance with all that is its own, and who sent it', async () => {
    await using api = await rawOrigin((socket) =>
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'),
    )
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    using client = await rawClient(gateway.port)
    client.write(
      [
        'GET /a/../tickets/7?x=1&y=%2f HTTP/1.1',
        'Host: shop.example:8080',
        'Accept: text/plain',
        'X-Thing: a',
        'X-Thing: b',
        'Cookie: a=1',
        'Connection: keep-alive',
        'X-Forwarded-For: 6.6.6.6',
        'X-Forwarded-Host: evil.example',
        'X_Forwarded_For: 6.6.6.6',
        'Forwarded: for=6.6.6.6',
        'X-Real-IP: 6.6.6.6',
        'X-Seamark-Identity: {"sub":"root"}',
        'x_seamark_identity: {"sub":"root"}',
        'X-Seamark: root',
        `traceparent: 00-11111111111111111111111111111111-2222222222222222-01`,
        `${extra}\r\n`,
      ].join('\r\n'),
    )
    await client.until((text) => text.endsWith('ok'))
    const [head = ''] = api.received
    const lines = head.split('\r\n')
    expect(lines[0]).toBe('GET /tickets/7?x=1&y=%2f HTTP/1.1')
    const fields = lines.slice(1, -2).filter((line) => !line.startsWith('traceparent'))
    expect(fields).toEqual([
      'host: shop.example:8080',
      'accept: text/plain',
      'x-thing: a',
      'x-thing: b',
      'cookie: a=1',
      'x-forwarded-for: 127.0.0.1',
      'x-forwarded-proto: http',
      'x-forwarded-host: shop.example:8080',
      'forwarded: for=127.0.0.1;host="shop.example:8080";proto=http',
      ...(extra === '' ? [] : ['te: trailers', 'connection: te']),
    ])
    expect(lines.find((line) => line.startsWith('traceparent'))).toMatch(/00-1{32}-(?!2{16})\w{16}-01$/)
  })

  it('an answer comes back with all that is its own', async () => {
    await using api = await rawOrigin((socket) =>
      socket.write(
        'HTTP/1.1 418 Short and Stout\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-A: \u00e4\r\n' +
          'Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok',
        'latin1',
      ),
    )
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    using client = await rawClient(gateway.port)
    client.write(get('/'))
    const [head = '', body] = (await client.until((text) => text.endsWith('ok'))).split('\r\n\r\n')
    expect(body).toBe('ok')
    expect(head).toMatch(/^HTTP\/1.1 418 Short and Stout\r\n/)
    expect(head).toContain('Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-A: \u00e4\r\nContent-Length: 2')
    expect(head).not.toMatch(/x-hop/i)
    expect(head).toMatch(/date: /i)
  })

  it('connections go on, to the client and to the instance', async () => {
    await using api = await rawOrigin((socket) =>
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'),
    )
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    using client = await rawClient(gateway.port)
    for (let count = 1; count <= 5; count++) {
      client.write(get(`/${count}`))
      await client.until((text) => text.split('\r\n\r\nok').length > count)
    }
    expect(api.received).toHaveLength(1)
    expect(api.received[0]!.match(/^GET \S+/gm)).toEqual(['GET /1', 'GET /2', 'GET /3', 'GET /4', 'GET /5'])
  })

  it('requests that do not wait for answers are answered in their order', async () => {
    await using api = await origin((request, response) => response.end(`<${request.url}>`))
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    using client = await rawClient(gateway.port)
    client.write(get('/1') + get('/2') + get('/3').slice(0, 20))
    await client.until((text) => text.includes('</2>'))
    client.write(get('/3').slice(20) + get('/4'))
    const text = await client.until((text) => text.includes('</4>'))
    expect(text.match(/<\/\d>/g)).toEqual(['</1>', '</2>', '</3>', '</4>'])
  })

  it.each([
    ['HEAD', 200, 'content-length: 5\r\n'],
    ['HEAD', 200, 'transfer-encoding: chunked\r\n'],
    ['GET', 204, ''],
    ['GET', 304, 'etag: "x"\r\n'],
  ])('an answer to %s with %d has no body, and the next one comes', async (method, status, fields) => {
    await using api = await rawOrigin((socket, text) =>
      socket.write(
        text.includes('/next')
          ? 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext'
          : `HTTP/1.1 ${status} X\r\n${fields}\r\n`,
      ),
    )
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    using client = await rawClient(gateway.port)
    client.write(get('/first').replace('GET', method))
    await client.until((text) => text.endsWith('\r\n\r\n'))
    client.write(get('/next'))
    const text = await client.until((text) => text.endsWith('next'))
    expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} X\r\n`))
    expect(text.split('\r\n\r\n')).toHaveLength(3)
  })

  it('an event is there as soon as it is sent', async () => {
    const streams: import('node:http').ServerResponse[] = []
    await using api = await origin((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.flushHeaders()
      streams.push(response)
    })
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    using client = await rawClient(gateway.port)
    client.write(get('/events'))
    await client.until((text) => text.endsWith('\r\n\r\n'))
    for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
      streams[0]!.write(event)
      await client.until((text) => text.includes(event))
    }
    streams[0]!.end()
    expect(await client.until((text) => text.endsWith('0\r\n\r\n'))).toContain('9\r\ndata: 2\n\n\r\n')
  })

  it('trailers and early hints pass', async () => {
    await using api = await origin((_, response) => {
      response.writeEarlyHints({ link: '</style.css>; rel=preload' })
      response.writeHead(200, { trailer: 'x-sum' })
      response.write('body')
      response.addTrailers({ 'x-sum': '42' })
      response.end()
    })
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    using client = await rawClient(gateway.port)
    client.write(get('/'))
    const text = await client.until((text) => text.endsWith('x-sum: 42\r\n\r\n'))
    expect(text).toMatch(/^HTTP\/1.1 103 Early Hints\r\n/)
    expect(text).toMatch(/link: <\/style.css>; rel=preload/i)
    expect(text).toMatch(/HTTP\/1.1 200 OK\r\n/)
  })

  it('an instance hears that the client went away', async () => {
    const closed = deferred<void>()
    await using api = await origin((_, response) => {
      response.once('close', closed.resolve)
      response.writeHead(200)
      response.write('begun')
    })
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    const client = await rawClient(gateway.port)
    client.write(get('/'))
    await client.until((text) => text.includes('begun'))
    client.socket.destroy()
    await closed.promise
    const line = await gateway.logged(({ path }) => path === '/')
    expect(line).toMatchObject({ status: 200, error: 'cancelled' })
  })

  it('an answer that breaks off does not look whole', async () => {
    await using api = await rawOrigin((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n')
      setImmediate(() => socket.destroy())
    })
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    using client = await rawClient(gateway.port)
    client.write(get('/'))
    const text = await client.ended()
    expect(text).not.toContain('\r\n0\r\n')
  })

  it('an answer that is malformed is none', async () => {
    await using api = await rawOrigin((socket) =>
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx'),
    )
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    using client = await rawClient(gateway.port)
    client.write(get('/'))
    const text = await client.until((text) => text.includes('}}'))
    expect(text).toMatch(/^HTTP\/1.1 502 /)
    expect(text).not.toContain(String(api.port))
    const line = await gateway.logged(({ status }) => status === 502)
    expect(JSON.stringify(line)).toContain(`127.0.0.1:${api.port}`)
  })
})

it('a body of any size passes both ways, unchanged, without being held as a whole', async () => {
  await using api = await origin((request, response) => {
    request.pipe(response)
  })
  await using gateway = await opened()
  await gateway.register({ port: api.port })
  const block = randomBytes(1_048_576)
  const sent = createHash('sha256')
  const got = createHash('sha256')
  const call = request({ port: gateway.port, method: 'POST' })
  const answered = once(call, 'response')
  const before = process.memoryUsage().rss
  const feeding = (async () => {
    for (let count = 0; count < 64; count++) {
      sent.update(block)
      if (!call.write(block)) await once(call, 'drain')
    }
    call.end()
  })()
  const [response] = (await answered) as [import('node:http').IncomingMessage]
  for await (const chunk of response) got.update(chunk)
  await feeding
  expect(got.digest('hex')).toBe(sent.digest('hex'))
  expect(process.memoryUsage().rss - before).toBeLessThan(250 * 1_048_576)
})

it('an answer that comes before the request was sent reaches its client', async () => {
  await using api = await rawOrigin((socket) =>
    socket.write('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno'),
  )
  await using gateway = await opened()
  await gateway.register({ port: api.port })
  using client = await rawClient(gateway.port)
  client.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n')
  client.socket.write(Buffer.alloc(10_000_000))
  expect(await client.until((text) => text.endsWith('no'))).toMatch(/^HTTP\/1\.1 403 /)
  // What is still to come is read, and thrown away; the connection can go on.
  client.socket.write(Buffer.alloc(20_000_000))
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await client.until((text) => text.split('\r\n\r\nno').length === 3)
})

it('a client that does not read is not read for', async () => {
  let written = 0
  const stopped = deferred<void>()
  await using api = await origin((_, response) => {
    const block = Buffer.alloc(65_536)
    const more = () => {
      while (response.write(block)) written += block.length
      written += block.length
      if (written < 256 * 1_048_576) response.once('drain', more)
    }
    more()
    // As long as nothing was read for a while, all buffers are full.
    let before = -1
    const look = setInterval(() => {
      if (before === written) {
        clearInterval(look)
        stopped.resolve()
      }
      before = written
    }, 300)
    response.once('close', () => clearInterval(look))
  })
  await using gateway = await opened()
  await gateway.register({ port: api.port })
  const { connect } = await import('node:net')
  const socket = connect({ port: gateway.port, host: '127.0.0.1' })
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.pause()
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await stopped.promise
  expect(written).toBeLessThan(64 * 1_048_576)
  socket.destroy()
})

it('a path is rewritten, a host is matched', async () => {
  await using api = await origin((request, response) => response.end(`${request.headers.host}${request.url}`))
  await using gateway = await opened()
  await gateway.register({ port: api.port, route: { path: '/api/v2', rewrite: '/', host: '*.shop.example' } })
  const ask = async (host: string, path: string) => {
    using client = await rawClient(gateway.port)
    client.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    return await client.ended()
  }
  expect(await ask('EU.Shop.Example', '/api/v2/items?x')).toContain('EU.Shop.Example/items?x')
  expect(await ask('eu.shop.example', '/api/v2')).toContain('eu.shop.example/')
  expect(await ask('shop.example', '/api/v2/items')).toMatch(/^HTTP\/1.1 404 /)
})

describe('errors are told apart:', () => {
  it('404 where there is no route, 405 where there is one for other methods', async () => {
    await using api = await origin((_, response) => response.end())
    await using gateway = await opened()
    await gateway.register({ port: api.port, route: { path: '/tickets', methods: ['GET', 'HEAD'] } })
    const none = await fetch(`${gateway.url}/other`)
    expect(none.status).toBe(404)
    expect(await none.json()).toMatchObject({ error: { code: 'route_not_found' } })
    const other = await fetch(`${gateway.url}/tickets`, { method: 'DELETE' })
    expect(other.status).toBe(405)
    expect(other.headers.get('allow')).toBe('GET, HEAD')
    expect(await other.json()).toMatchObject({ error: { code: 'method_not_allowed' } })
  })

  it('503 with Retry-After where a service has nobody', async () => {
    await using api = await origin((_, response) => response.end('here'))
    await using gateway = await opened({ file: { routes: [{ path: '/', service: 'api' }] } })
    const none = await fetch(gateway.url)
    expect(none.status).toBe(503)
    expect(none.headers.get('retry-after')).toBe('1')
    expect(await none.json()).toMatchObject({ error: { code: 'unavailable' } })
    await gateway.register({ port: api.port, route: undefined })
    expect(await (await fetch(gateway.url)).text()).toBe('here')
  })

  it('502 where nobody of it could be reached; who that was is for the log', async () => {
    const gone = await origin(() => {})
    await gone[Symbol.asyncDispose]()
    await using gateway = await opened()
    await gateway.register({ port: gone.port })
    const failed = await fetch(gateway.url)
    expect(failed.status).toBe(502)
    const text = await failed.text()
    expect(JSON.parse(text)).toMatchObject({ error: { code: 'attempts_failed' } })
    expect(text).not.toContain(String(gone.port))
    expect(JSON.stringify(await gateway.logged(({ status }) => status === 502))).toContain(String(gone.port))
  })

  it('504 where it did not answer in time', async () => {
    await using api = await origin(() => {})
    await using gateway = await opened()
    await gateway.register({ port: api.port, route: { timeout: 50 } })
    const late = await fetch(gateway.url)
    expect(late.status).toBe(504)
    expect(await late.json()).toMatchObject({ error: { code: 'timeout' } })
  })
})

it('an upload may take as long as it moves; then the time for an answer begins', async () => {
  await using api = await origin((request, response) => {
    if (request.url === '/never') request.resume()
    else request.pipe(response)
  })
  await using gateway = await opened()
  await gateway.register({ port: api.port, route: { timeout: 300 } })
  const call = request({ port: gateway.port, method: 'POST' })
  const answered = once(call, 'response')
  for (let count = 0; count < 10; count++) {
    call.write('x')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  call.end()
  const [response] = await answered
  expect(response.statusCode).toBe(200)
  response.resume()
  const late = request({ port: gateway.port, method: 'POST', path: '/never' })
  late.write('x')
  late.end()
  const [failed] = await once(late, 'response')
  expect(failed.statusCode).toBe(504)
  failed.resume()
})

it('a client that breaks off its request, or stops sending it, is no failure of the instance', async () => {
  const heard: string[] = []
  await using api = await origin((request, response) => {
    heard.push(request.url!)
    request.on('error', () => {})
    if (request.method === 'GET') response.end('ok')
  })
  await using gateway = await opened({
    bounds: { stillTimeout: 500 },
    file: { services: { api: { circuit: { failures: 0.1, volume: 2, window: '1m', rest: '1m' } } } },
  })
  await gateway.register({ port: api.port })
  for (let count = 0; count < 5; count++) {
    using client = await rawClient(gateway.port)
    client.write(`POST /${count} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc`)
    while (!heard.includes(`/${count}`)) await turn()
    client.socket.end()
    await client.ended()
  }
  using client = await rawClient(gateway.port)
  client.write('POST /still HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc')
  await client.until((text) => text.includes('}}'))
  expect(client.text).toMatch(/^HTTP\/1\.1 408 /)
  expect((await fetch(gateway.url)).status).toBe(200)
})

describe('another instance is tried', () => {
  it('when one cannot be reached, whatever was to be sent', async () => {
    const gone = await origin(() => {})
    await gone[Symbol.asyncDispose]()
    await using api = await origin((request, response) => request.pipe(response))
    await using gateway = await opened()
    await gateway.register({ port: gone.port })
    await gateway.register({ port: api.port })
    for (let count = 0; count < 20; count++) {
      const response = await fetch(gateway.url, { method: 'POST', body: `body ${count}` })
      expect([response.status, await response.text()]).toEqual([200, `body ${count}`])
    }
  })

  it('when one breaks, if the request may be repeated', async () => {
    await using broken = await rawOrigin((socket) => socket.destroy())
    await using api = await origin((_, response) => response.end('ok'))
    await using gateway = await opened({ bounds: { retries: 1 } })
    await gateway.register({ port: broken.port })
    await gateway.register({ port: api.port })
    const statuses = new Set<number>()
    for (let count = 0; count < 30; count++)
      statuses.add((await fetch(gateway.url, { method: 'POST', body: 'x' })).status)
    expect(statuses).toEqual(new Set([200, 502]))
    for (let count = 0; count < 10; count++) expect((await fetch(gateway.url)).status).toBe(200)
  })

  it('when one says 503, and rests as long as it asks for', async () => {
    let asked = 0
    await using busy = await origin((_, response) => {
      asked++
      response.writeHead(503, { 'retry-after': '60' }).end()
    })
    await using api = await origin((_, response) => response.end('ok'))
    await using gateway = await opened()
    await gateway.register({ port: busy.port })
    await gateway.register({ port: api.port })
    for (let count = 0; count < 30; count++) expect((await fetch(gateway.url)).status).toBe(200)
    expect(asked).toBeLessThan(2)
  })
})

it('connections to an instance that left are closed', async () => {
  await using api = await rawOrigin((socket) =>
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'),
  )
  await using gateway = await opened()
  const leave = await gateway.register({ port: api.port })
  await (await fetch(gateway.url)).text()
  const [socket] = api.sockets
  const closed = once(socket!, 'close')
  await leave()
  await closed
})

it('a fallback answers while a service has nobody', async () => {
  await using other = await origin((_, response) => response.end('other'))
  await using gateway = await opened({
    file: {
      routes: [
        { path: '/static', service: 'api', fallback: { type: 'static', status: 200, body: 'sorry' } },
        { path: '/other', service: 'api', fallback: { type: 'service', service: 'other' } },
      ],
    },
  })
  await gateway.register({ service: 'other', port: other.port, route: undefined })
  expect(await (await fetch(`${gateway.url}/static`)).text()).toBe('sorry')
  expect(await (await fetch(`${gateway.url}/other`)).text()).toBe('other')
  const line = await gateway.logged(({ path }) => path === '/static')
  expect(line).toMatchObject({ status: 200, error: 'unavailable' })
})

it('what a trusted proxy says of clients is kept', async () => {
  await using api = await origin((request, response) => response.end(JSON.stringify(request.headers)))
  await using gateway = await opened({ trustedProxies: ['127.0.0.0/8', '10.0.0.0/8'] })
  await gateway.register({ port: api.port })
  const response = await fetch(gateway.url, {
    headers: {
      'x-forwarded-for': '6.6.6.6, 192.0.2.7, 10.1.1.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.example',
      forwarded: 'for=192.0.2.7;proto=https',
    },
  })
  const host = new URL(gateway.url).host
  expect(await response.json()).toMatchObject({
    'x-forwarded-for': '6.6.6.6, 192.0.2.7, 10.1.1.1, 127.0.0.1',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'shop.example',
    forwarded: `for=192.0.2.7;proto=https, for=127.0.0.1;host="${host}";proto=http`,
  })
  expect((await gateway.logged(({ client }) => client !== undefined)).client).toBe('192.0.2.7')
})

it('drains: what is under way is finished, and what idles is closed', async () => {
  const asked = deferred<import('node:http').ServerResponse>()
  await using api = await origin((request, response) => {
    if (request.url === '/slow') asked.resolve(response)
    else response.end('ok')
  })
  await using gateway = await opened()
  await gateway.register({ port: api.port })
  using idle = await rawClient(gateway.port)
  idle.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await idle.until((text) => text.endsWith('ok'))
  const slow = fetch(`${gateway.url}/slow`)
  const response = await asked.promise
  const closed = gateway.close()
  await idle.ended()
  await turn()
  await expect(fetch(gateway.url)).rejects.toThrow()
  response.end('done')
  expect(await (await slow).text()).toBe('done')
  await closed
})
