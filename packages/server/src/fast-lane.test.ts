import { once } from 'node:events'
import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { hostGuard } from '@seamark/core'
import fc from 'fast-check'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { condition } from '../test/condition.ts'
import { serving } from '../test/serving.ts'
import { answer } from './answer.ts'
import { AnswerCache } from './answer-cache.ts'
import { type Bounds, defaultBounds } from './bounds.ts'
import { refuseConnection } from './error-answer.ts'
import { FastLane } from './fast-lane.ts'
import { front } from './front.ts'
import { Metrics } from './metrics.ts'

interface Contestant {
  readonly http: HttpServer
  readonly port: number
  /** Requests that node:http parsed. */
  readonly parsed: { count: number }
  readonly stage: { warm: boolean; draining: boolean }
  readonly metrics: Metrics
  /** The server's end of the connections. */
  readonly sockets: Socket[]
}

/** What both servers keep ready. */
const answers = new AnswerCache(10_000_000)
let revision = 1
for (const [url, size] of [
  ['/kept', 300],
  ['/kept?b=1', 10],
  ['/large', 16_000],
  ['/huge', 40_000],
  ['/untagged', 20],
] as const) {
  const make = () => {
    const made = revision
    const json = JSON.stringify({ url, made, padding: 'x'.repeat(size) })
    return {
      answer: answer({
        route: url,
        json,
        headers: ['X-Index', String(made)],
        ...(url !== '/untagged' && { tag: `t${made}` }),
      }),
      holds: () => made === revision,
    }
  }
  answers.getOrMake(url, make)
}

/** Answers as soon as it can with all that node:http made of the request. */
function echo(request: IncomingMessage, response: ServerResponse): void {
  const { method, url, rawHeaders } = request
  let body = ''
  const end = () => response.end(JSON.stringify({ method, url, rawHeaders, body }))
  if (method === 'GET' || method === 'HEAD') {
    end()
    return
  }
  request.setEncoding('latin1')
  request.on('data', (text) => {
    body += text
  })
  request.on('end', end)
}

/**
 * The fast lane, or node:http without it, or node:http while somebody listens to what arrives: then it parses all of a
 * packet before it goes on with anything else.
 */
async function contestant(
  kind: 'fast' | 'slow' | 'listened',
  timeouts: object = {},
  bounds: Bounds = defaultBounds,
): Promise<Contestant> {
  const metrics = new Metrics()
  const stage = { warm: true, draining: false }
  const context = { answers, bounds, log: pino({ level: 'silent' }), metrics, stage }
  const guard = hostGuard({ host: '127.0.0.1', allowedHosts: [] })
  const lane = new FastLane({ context, guard })
  const listener = front({ context, guard, lane, handler: echo })
  const parsed = { count: 0 }
  const sockets: Socket[] = []
  const { keepAliveTimeout, headersTimeout, requestTimeout, headerBytes } = bounds
  const http = createServer(
    {
      keepAliveTimeout,
      headersTimeout,
      requestTimeout,
      maxHeaderSize: headerBytes,
      requireHostHeader: false,
      ...timeouts,
    },
    (request, response) => {
      parsed.count++
      listener(request, response)
    },
  )
  http.on('clientError', refuseConnection)
  http.on('connection', (socket) => {
    sockets.push(socket)
    socket.once('close', () => sockets.splice(sockets.indexOf(socket), 1))
    if (kind === 'fast') lane.enter(socket)
    if (kind === 'listened') socket.on('data', () => {})
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  return { http, port: (http.address() as AddressInfo).port, parsed, stage, metrics, sockets }
}

async function closed({ http, metrics }: Contestant): Promise<void> {
  http.closeAllConnections()
  await new Promise((resolve) => http.close(resolve))
  metrics.close()
}

const lines = (...lines: string[]) => `${lines.join('\r\n')}\r\n\r\n`
const get = (url: string, ...fields: string[]) => lines(`GET ${url} HTTP/1.1`, 'Host: localhost', ...fields)
const first = get('/kept')

/** A connection; what comes in is told of as latin1, without the moment. */
class Client {
  readonly socket: Socket
  received = ''

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.socket.setEncoding('latin1')
    this.socket.on('data', (text: string) => {
      this.received += text
    })
    // A server that has answered may close while it is still being sent to.
    this.socket.on('error', () => {})
  }

  send(text: string): void {
    this.socket.write(text, 'latin1')
  }

  get answers(): number {
    return this.text.match(/HTTP\/1\.1 \d/g)?.length ?? 0
  }

  get text(): string {
    return this.received.replaceAll(/^Date: [\w ,:]+ GMT\r\n/gm, '')
  }

  async answered(count: number): Promise<void> {
    await condition(() => count === 0 || this.socket.destroyed || (this.answers >= count && this.#isWhole()))
  }

  /** Says that nothing more comes, and waits for the rest. */
  async end(): Promise<string> {
    this.socket.end()
    if (!this.socket.closed) await once(this.socket, 'close')
    return this.text
  }

  #isWhole(): boolean {
    const head = this.text.lastIndexOf('HTTP/1.1 ')
    const body = this.text.indexOf('\r\n\r\n', head) + 4
    const length = /\r\ncontent-length: (\d+)/i.exec(this.text.slice(head, body))?.[1] ?? 0
    return body >= 4 && this.text.length >= body + Number(length)
  }
}

/** What one who asked for something kept before is answered to these pieces, each sent when the last was read. */
async function conversation({ port, sockets }: Contestant, ...pieces: readonly string[]): Promise<string> {
  const client = new Client(port)
  client.send(first)
  await client.answered(1)
  const socket = sockets.find(({ remotePort }) => remotePort === client.socket.localPort)!
  let sent = first.length
  for (const piece of pieces) {
    client.send(piece)
    sent += piece.length
    await condition(() => socket.destroyed || socket.bytesRead >= sent)
  }
  return client.end()
}

let fast: Contestant
let slow: Contestant
let listened: Contestant

beforeAll(async () => {
  fast = await contestant('fast')
  slow = await contestant('slow')
  listened = await contestant('listened')
})

beforeEach(() => {
  for (const { parsed } of [fast, slow, listened]) parsed.count = 0
})

afterAll(async () => {
  for (const one of [fast, slow, listened]) await closed(one)
})

/** Both answer the same, byte for byte; says how many requests node:http parsed on the fast one, after the first. */
async function same(...pieces: readonly string[]): Promise<number> {
  const before = fast.parsed.count
  const [one, other] = await Promise.all([conversation(fast, ...pieces), conversation(slow, ...pieces)])
  expect(one).toBe(other)
  return fast.parsed.count - before - 1
}

describe('what is kept', () => {
  it.each([
    ['a request', get('/kept')],
    ['a query', get('/kept?b=1')],
    ['an answer without a tag', get('/untagged')],
    ['a large answer', get('/large')],
    ['a tag that is known', get('/kept', 'If-None-Match: "t1"')],
    ['a tag that is known, weakly', get('/kept', 'if-none-match: W/"t1"')],
    ['one of several tags', get('/kept', 'if-none-match: "a", "t1"')],
    ['any tag', get('/kept', 'if-none-match: *')],
    ['a tag that is not known', get('/kept', 'if-none-match: "t0"')],
    ['any tag, of an answer without one', get('/untagged', 'if-none-match: *')],
    ['a client that says it keeps the connection', get('/kept', 'Connection: keep-alive')],
    [
      'a browser',
      get(
        '/kept',
        'User-Agent: Mozilla/5.0 (X11; Linux x86_64)',
        'Accept-Encoding: gzip, deflate, br',
        'Accept: text/html,*/*;q=0.8',
        'Cache-Control: max-age=0',
        'Cookie: a=b',
        'Sec-Fetch-Mode: navigate',
      ),
    ],
    ['conditions that mean nothing here', get('/kept', 'Range: bytes=0-1', 'If-Modified-Since: x')],
    ['many fields', get('/kept', ...Array.from({ length: 60 }, (_, n) => `f${n}: x`))],
    ['another host of ours', lines('GET /kept HTTP/1.1', 'hOsT: [::1]:1')],
  ])('is answered as node:http does, and without it: %s', async (_name, request) => {
    expect(await same(request)).toBe(0)
    expect(await same(request, request, get('/kept'))).toBe(0)
  })

  it('is answered in order to one who does not wait', async () => {
    const requests = [get('/kept'), get('/large'), get('/kept', 'if-none-match: "t1"'), get('/kept?b=1')]
    expect(await same(requests.join(''))).toBe(0)
  })

  it('is told anew once it changed', async () => {
    const client = new Client(fast.port)
    client.send(first)
    await client.answered(1)
    client.send(get('/kept'))
    await client.answered(2)
    revision++
    answers.invalidate()
    try {
      client.send(get('/kept'))
      await client.answered(3)
      expect(await client.end()).toMatch(/"made":1.*"made":1.*"made":2/s)
      expect(fast.parsed.count).toBe(1)
    } finally {
      revision = 1
      answers.invalidate()
    }
  })

  it('comes with the date', async () => {
    const client = new Client(fast.port)
    client.send(first)
    await client.answered(1)
    client.send(first)
    await client.answered(2)
    await client.end()
    const dates = [...client.received.matchAll(/^Date: (.+)\r$/gm)].map(([, date = '']) => Date.parse(date))
    expect(dates).toHaveLength(2)
    for (const date of dates) expect(Math.abs(Date.now() - date)).toBeLessThan(60_000)
  })

  it('is counted', async () => {
    const count = (status: number) => fast.metrics.answered('GET', '/kept?b=1', status).count
    const before = [count(200), count(304)]
    await conversation(fast, get('/kept?b=1'), get('/kept?b=1', 'if-none-match: *'), get('/kept?b=1'))
    expect([count(200), count(304)]).toEqual([before[0]! + 2, before[1]! + 1])
  })

  it('is for node:http if it is too large to be written at once', async () => {
    expect(await same(get('/huge'))).toBe(1)
  })
})

describe('what is not kept', () => {
  const others = [
    get('/other'),
    get('/kept?c=1'),
    get('/kept%20'),
    lines('HEAD /kept HTTP/1.1', 'host: localhost'),
    lines('DELETE /kept HTTP/1.1', 'host: localhost'),
    `${lines('PUT /kept HTTP/1.1', 'host: localhost', 'content-length: 5')}hello`,
    lines('POST /kept HTTP/1.1', 'host: localhost'),
  ]
  it.each(others)('is for node:http, and what is kept is answered without it again: %j', async (request) => {
    const client = new Client(fast.port)
    for (const [index, text] of [first, get('/kept'), request, get('/kept'), get('/kept')].entries()) {
      client.send(text)
      await client.answered(index + 1)
    }
    expect(fast.parsed.count).toBe(2)
    await client.end()
    expect(await same(request)).toBe(1)
  })

  it('is for node:http also behind what is kept', async () => {
    for (const request of others) {
      fast.parsed.count = 0
      expect(await same(get('/kept') + get('/kept') + request)).toBe(1)
    }
  })

  it('keeps its place in the order', async () => {
    await same(get('/other') + get('/kept'))
    await same(get('/kept') + get('/other') + get('/kept'))
    await same(get('/other') + get('/other') + get('/kept'), get('/kept'))
  })
})

/** What attackers, and broken clients, send: each is followed by a request that they would like to hide, or to reveal. */
const hidden = get('/hidden')
const strange: Record<string, string> = {
  'a length and chunks': `${lines('POST /kept HTTP/1.1', 'host: localhost', 'content-length: 4', 'transfer-encoding: chunked')}0\r\n\r\n`,
  'chunks and a length': `${lines('POST /kept HTTP/1.1', 'host: localhost', 'transfer-encoding: chunked', 'content-length: 4')}0\r\n\r\n`,
  'chunks with GET': `${get('/kept', 'transfer-encoding: chunked')}0\r\n\r\n`,
  'chunks that are none': `${get('/kept', 'transfer-encoding: xchunked')}0\r\n\r\n`,
  'chunks, with a tab': `${get('/kept', 'transfer-encoding:\tchunked')}0\r\n\r\n`,
  'chunks, with whitespace before the colon': `${get('/kept', 'transfer-encoding : chunked')}0\r\n\r\n`,
  'chunks on a second line': `${get('/kept', 'transfer-encoding:', ' chunked')}0\r\n\r\n`,
  'chunks twice': `${get('/kept', 'transfer-encoding: chunked', 'transfer-encoding: identity')}0\r\n\r\n`,
  'a length with GET': `${get('/kept', `content-length: ${hidden.length}`)}`,
  'two lengths': `${get('/kept', 'content-length: 0', `content-length: ${hidden.length}`)}`,
  'two equal lengths': `${get('/kept', 'content-length: 0', 'content-length: 0')}`,
  'a list of lengths': `${get('/kept', `content-length: 0, ${hidden.length}`)}`,
  'a length with a sign': `${get('/kept', `content-length: +${hidden.length}`)}`,
  'a length below zero': `${get('/kept', 'content-length: -1')}`,
  'a length in another base': `${get('/kept', 'content-length: 0x10')}`,
  'a length with zeros before': `${lines('PUT /kept HTTP/1.1', 'host: localhost', `content-length: 00${hidden.length}`)}`,
  'a length that overflows': `${lines('PUT /kept HTTP/1.1', 'host: localhost', 'content-length: 18446744073709551616')}`,
  'a length with whitespace before the colon': `${get('/kept', `content-length : ${hidden.length}`)}`,
  'a length behind a carriage return': `${get('/kept', `a: b\rcontent-length: ${hidden.length}`)}`,
  'a length behind a line feed': `${get('/kept', `a: b\ncontent-length: ${hidden.length}`)}`,
  'a length with a zero in its name': `${get('/kept', `content\0-length: ${hidden.length}`)}`,
  'line feeds only': get('/kept').replaceAll('\r\n', '\n'),
  'a line feed at the end': `${get('/kept').slice(0, -2)}\n`,
  'a carriage return too many': get('/kept').replace('\r\n', '\r\r\n'),
  'an empty line before': `\r\n\r\n${get('/kept')}`,
  'whitespace before': ` ${get('/kept')}`,
  'a field before the first line': `a: b\r\n${get('/kept')}`,
  'a value on two lines': get('/kept', 'a: b', '\tc'),
  'whitespace before the first field': lines('GET /kept HTTP/1.1', ' host: localhost'),
  'a field without a colon': get('/kept', 'abc'),
  'a field without a name': get('/kept', ': abc'),
  'a name with a space': get('/kept', 'a b: c'),
  'a zero in a value': get('/kept', 'a: b\0c'),
  'a control character in a value': get('/kept', 'a: b\x01c'),
  'latin1 in a value': get('/kept', 'a: \xe9'),
  'latin1 in the URL': get('/k\xe9pt'),
  'a zero in the URL': get('/kept\0'),
  'a space in the URL': get('/kept x'),
  'a fragment': get('/kept#a'),
  'an absolute URL': get('http://localhost/kept'),
  'an absolute URL of another host': get('http://evil.example/kept'),
  'a URL with two slashes': get('//kept'),
  'no URL': get(''),
  'HTTP/1.0': lines('GET /kept HTTP/1.0', 'host: localhost'),
  'HTTP/1.0, kept alive': lines('GET /kept HTTP/1.0', 'host: localhost', 'connection: keep-alive'),
  'HTTP/0.9': 'GET /kept\r\n\r\n',
  'HTTP/1.2': lines('GET /kept HTTP/1.2', 'host: localhost'),
  'HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'a version in lower case': lines('GET /kept http/1.1', 'host: localhost'),
  'a method in lower case': lines('get /kept HTTP/1.1', 'host: localhost'),
  'a tab between': lines('GET\t/kept\tHTTP/1.1', 'host: localhost'),
  'two spaces': lines('GET  /kept HTTP/1.1', 'host: localhost'),
  'a space behind the version': lines('GET /kept HTTP/1.1 ', 'host: localhost'),
  'no Host': lines('GET /kept HTTP/1.1', 'accept: */*'),
  'no fields at all': lines('GET /kept HTTP/1.1'),
  'an empty Host': lines('GET /kept HTTP/1.1', 'host:'),
  'a foreign Host': lines('GET /kept HTTP/1.1', 'host: evil.example'),
  'a Host with a user': lines('GET /kept HTTP/1.1', 'host: localhost@evil.example'),
  'two Hosts': get('/kept', 'host: evil.example'),
  'two Hosts, the foreign one first': lines('GET /kept HTTP/1.1', 'host: evil.example', 'host: localhost'),
  'a Host with a comma': lines('GET /kept HTTP/1.1', 'host: localhost, evil.example'),
  'two tags': get('/kept', 'if-none-match: "a"', 'if-none-match: "t1"'),
  'the end of the connection': get('/kept', 'connection: close'),
  'the end of the connection, and its life': get('/kept', 'connection: close', 'connection: keep-alive'),
  'the end of the connection in a list': get('/kept', 'connection: keep-alive, close'),
  'an upgrade': get('/kept', 'connection: upgrade', 'upgrade: websocket'),
  'an upgrade to HTTP/2': get(
    '/kept',
    'connection: upgrade, http2-settings',
    'upgrade: h2c',
    'http2-settings: ',
  ),
  'an upgrade that the connection does not name': get('/kept', 'upgrade: websocket'),
  'a tunnel': lines('CONNECT localhost:80 HTTP/1.1', 'host: localhost:80'),
  'an expectation': get('/kept', 'expect: 100-continue'),
  'an expectation of something else': get('/kept', 'expect: wonders'),
  trailers: get('/kept', 'trailer: host', 'te: trailers'),
  'no HTTP': 'hello\r\n\r\n',
  TLS: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  zeros: '\0'.repeat(100),
  'headers that are too long': get('/kept', `a: ${'x'.repeat(70_000)}`),
  'too many fields': get('/kept', ...Array.from({ length: 1_500 }, (_, n) => `f${n}: x`)),
  'a URL that is too long': get(`/kept?${'x'.repeat(40_000)}`),
  'a percent sign': get('/kept%'),
}

describe('what is strange', () => {
  it.each(Object.entries(strange))('is for node:http: %s', async (_name, request) => {
    await same(request)
    await same(request + hidden)
    await same(request, hidden)
    await same(get('/kept') + request + hidden)
    await same(get('/kept') + request, hidden)
  })

  it('leaves the answers that came before as they are', async () => {
    const answer = await conversation(fast, `${get('/kept')}hello\r\n\r\n`)
    expect(answer).toMatch(/^HTTP\/1\.1 200.*HTTP\/1\.1 200.*HTTP\/1\.1 400/s)
  })

  it.each(Object.entries(strange))('is never answered without it: %s', async (_name, request) => {
    const answered = await same(request)
    await conversation(slow, request)
    expect(answered).toBe((slow.parsed.count - 2) / 2)
  })
})

describe('a request in pieces', () => {
  it('is for node:http, wherever it is cut', async () => {
    const text = get('/kept', 'accept: */*')
    for (let at = 1; at < text.length; at++) await same(text.slice(0, at), text.slice(at), hidden)
  })

  it('is for node:http also if its body comes later', async () => {
    const head = lines('PUT /a HTTP/1.1', 'host: localhost', 'content-length: 5')
    await same(head, 'hello', get('/kept'))
    await same(`${head}he`, `llo${get('/kept')}`)
    await same(`${head}hello${get('/kept')}`)
  })

  it('that never ends is refused', async () => {
    await same('GET /kept HTTP/1.1\r\nhost: localhost\r\n')
    await same(lines('PUT /a HTTP/1.1', 'host: localhost', 'content-length: 5'))
  })
})

it('is out of the way of a server that takes short headers only', async () => {
  const bounds = { ...defaultBounds, headerBytes: 1_000 }
  const both = [await contestant('fast', {}, bounds), await contestant('slow', {}, bounds)] as const
  try {
    for (const field of [`a: ${'x'.repeat(500)}`, `a: ${'x'.repeat(1_000)}`]) {
      const [one, other] = await Promise.all(both.map((one) => conversation(one, get('/kept', field))))
      expect(one).toBe(other)
    }
  } finally {
    for (const one of both) await closed(one)
  }
})

describe('a connection', () => {
  it('whose client does not read is not read either, and goes on when it does', async () => {
    const before = fast.parsed.count
    const client = new Client(fast.port)
    client.send(first)
    await client.answered(1)
    const socket = fast.sockets.find(({ remotePort }) => remotePort === client.socket.localPort)!
    client.socket.pause()
    const together = 100
    const requests = get('/large').repeat(together)
    let sent = 0
    while (!socket.isPaused()) {
      client.send(requests)
      sent++
      await condition(() => socket.isPaused() || socket.bytesRead === first.length + sent * requests.length)
    }
    // Not more than what one packet asked for.
    expect(socket.writableLength).toBeLessThan(together * 17_000)
    client.socket.resume()
    await client.answered(1 + sent * together)
    client.send(get('/kept'))
    await client.answered(2 + sent * together)
    expect(fast.parsed.count - before).toBe(1)
    await client.end()
  })

  it('lives on while the lane answers, and ends when it idles', async () => {
    const one = await contestant('fast', {
      keepAliveTimeout: 2_000,
      headersTimeout: 100,
      requestTimeout: 200,
      connectionsCheckingInterval: 20,
    })
    try {
      const client = new Client(one.port)
      client.send(first)
      await client.answered(1)
      const begun = performance.now()
      let count = 1
      // Longer than any of these times.
      while (performance.now() - begun < 700) {
        client.send(first)
        await client.answered(++count)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      expect(client.socket.closed).toBe(false)
      expect(one.parsed.count).toBe(1)
      expect(client.answers).toBe(count)
      if (!client.socket.closed) await once(client.socket, 'close')
      expect(client.answers).toBe(count)
    } finally {
      await closed(one)
    }
  })

  it.each([
    ['nothing', []],
    ['half', ['GET /kept HTTP/1.1\r\n']],
    ['half, after something whole', [first, 'GET /kept HTTP/1.1\r\n']],
  ])('that asks %s is told so after a while, as by node:http', async (_name, pieces) => {
    const timeouts = { headersTimeout: 1_000, requestTimeout: 1_000, connectionsCheckingInterval: 20 }
    const both = [await contestant('fast', timeouts), await contestant('slow', timeouts)]
    try {
      const [one, other] = await Promise.all(
        both.map(async ({ port }) => {
          const client = new Client(port)
          for (const [index, piece] of pieces.entries()) {
            await client.answered(index)
            client.send(piece)
          }
          if (!client.socket.closed) await once(client.socket, 'close')
          return client.text
        }),
      )
      expect(one).toContain('took too long')
      expect(one).toBe(other)
    } finally {
      for (const one of both) await closed(one)
    }
  })

  it('that idles is closed with the server, after whatever it asked', async () => {
    const one = await contestant('fast')
    const clients = [new Client(one.port), new Client(one.port), new Client(one.port)]
    const requests = [first, get('/kept'), get('/other'), get('/large')]
    for (const [index, client] of clients.entries())
      for (const [at, request] of requests.slice(0, index + 2).entries()) {
        client.send(request)
        await client.answered(at + 1)
      }
    const ended = Promise.all(clients.map(({ socket }) => once(socket, 'close')))
    await new Promise((resolve) => one.http.close(resolve))
    await ended
    one.metrics.close()
  })

  it('is told that the server drains', async () => {
    const told = [fast, slow].map(async ({ port, stage }) => {
      const client = new Client(port)
      client.send(first)
      await client.answered(1)
      stage.draining = true
      client.send(get('/kept'))
      await once(client.socket, 'close')
      stage.draining = false
      return client.text
    })
    const [one, other] = await Promise.all(told)
    expect(one).toContain('503')
    expect(one).toBe(other)
  })

  it('may break off at any time', async () => {
    for (const request of [first, get('/large').repeat(200), get('/kept') + get('/other'), 'GET /kept HT']) {
      const client = new Client(fast.port)
      client.send(first)
      await client.answered(1)
      client.send(request)
      client.socket.resetAndDestroy()
      await once(client.socket, 'close')
    }
    await condition(() => fast.sockets.length === 0)
    expect(await same(get('/kept'))).toBe(0)
  })
})

describe('a server', () => {
  it.each(['/api/v1/namespaces/default/services/api?health=passing', '/v1/health/service/api?passing'])(
    'answers the same with it and without: %s',
    async (path) => {
      await using served = await serving()
      await served.register('api', 'a', { tags: ['blue'] })
      const client = new Client(served.server.port)
      const texts: string[] = []
      // Routed, then kept and answered by the lane; and so again after a change.
      for (let count = 1; count <= 6; count++) {
        if (count === 4) await served.register('api', 'b')
        client.received = ''
        client.send(get(path))
        await client.answered(1)
        texts.push(client.text)
      }
      await client.end()
      expect(new Set(texts.slice(0, 3)).size).toBe(1)
      expect(new Set(texts.slice(3)).size).toBe(1)
      expect(texts[0]).toContain('"a"')
      expect(texts[0]).not.toContain('"b"')
      expect(texts[5]).toContain('"b"')
    },
  )
})

describe('fuzz', () => {
  const valid = [
    first,
    get('/kept?b=1', 'if-none-match: "t1"', 'connection: keep-alive'),
    get('/other', 'accept: */*'),
    `${lines('PUT /other HTTP/1.1', 'host: 127.0.0.1', 'content-length: 3')}abc`,
    `${lines('POST /other HTTP/1.1', 'host: 127.0.0.1', 'transfer-encoding: chunked')}3\r\nabc\r\n0\r\n\r\n`,
  ]
  const fragment = fc.oneof(
    fc.constantFrom(
      ...['\r', '\n', '\r\n', '\r\n\r\n', ' ', '\t', '\0', ':', ',', '/', '\xff', '0', 'a: b\r\n'],
      ...['host: localhost\r\n', 'Host: evil\r\n', 'content-length: 5\r\n', 'Content-Length: 0\r\n'],
      ...['transfer-encoding: chunked\r\n', 'connection: close\r\n', 'expect: 100-continue\r\n', 'HTTP/1.1'],
      ...['GET /hidden HTTP/1.1\r\n', 'upgrade: a\r\n', 'if-none-match: *\r\n', ...valid],
    ),
    fc.string({
      unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
      maxLength: 4,
    }),
  )
  /** At a place (a share of the text), some characters are taken away and others put in. */
  const mutation = fc.record({
    place: fc.double({ min: 0, max: 1, noNaN: true }),
    taken: fc.oneof(fc.constant(0), fc.nat(3), fc.nat(40)),
    put: fc.oneof(fc.constant(''), fragment),
  })
  const bytes = fc
    .tuple(
      fc.array(fc.constantFrom(...valid), { minLength: 1, maxLength: 3 }).map((texts) => texts.join('')),
      fc.array(mutation, { maxLength: 3 }),
    )
    .map(([text, mutations]) =>
      mutations.reduce((text, { place, taken, put }) => {
        const at = Math.floor(place * text.length)
        return text.slice(0, at) + put + text.slice(at + taken)
      }, text),
    )
  const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 2 })

  it('answers as node:http does, whatever is sent and however it is cut', async () => {
    let alone = 0
    await fc.assert(
      fc.asyncProperty(bytes, cuts, async (text, cuts) => {
        const places = [
          0,
          ...cuts.map((cut) => Math.floor(cut * text.length)).sort((a, b) => a - b),
          text.length,
        ]
        const pieces = places.slice(1).map((end, index) => text.slice(places[index], end))
        const sent = pieces.filter((piece) => piece !== '')
        const before = listened.parsed.count - fast.parsed.count
        const [one, other] = await Promise.all([conversation(fast, ...sent), conversation(listened, ...sent)])
        expect(one).toBe(other)
        alone += listened.parsed.count - fast.parsed.count - before
      }),
      { numRuns: 2_000, seed: 20_261_121 },
    )
    // It would prove little if the lane never answered.
    expect(alone).toBeGreaterThan(200)
  }, 120_000)
})
