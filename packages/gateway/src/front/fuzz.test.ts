import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { text as textOf } from 'node:stream/consumers'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { opened, rawClient, rawOrigin } from '../../test/opened-gateway.ts'
import { requestPath } from '../routes/request-path.ts'

const seed = 20_261_121
const runs = 200

/** What breaks readers of HTTP/1.1 apart. */
const pieces = fc.constantFrom(
  ...[
    '\r\n',
    '\n',
    '\r',
    '\r\n\r\n',
    '\n\n',
    ' ',
    '\t',
    '\0',
    ':',
    ',',
    ';',
    '\x0b',
    '\x80',
    '"',
    '\r\n ',
    ' \r\n',
  ],
  ...['Content-Length: 0\r\n', 'Content-Length: 5\r\n', 'content-length:4\r\n', 'Content-Length: +3\r\n'],
  ...['Transfer-Encoding: chunked\r\n', 'Transfer-Encoding: identity\r\n', 'Transfer-Encoding : chunked\r\n'],
  ...[
    '0\r\n\r\n',
    '3\r\nabc\r\n',
    '1;a=b\r\n',
    'fffffffff\r\n',
    '00\r\n',
    'HTTP/1.1',
    'HTTP/1.0',
    '#',
    '\\',
    '%2e%2e/',
  ],
  ...[
    'Connection: close\r\n',
    'Connection: host, content-length\r\n',
    'Upgrade: websocket\r\n',
    'Expect: 100-continue\r\n',
  ],
  ...[
    'GET /s HTTP/1.1\r\nHost: x\r\n\r\n',
    'Host: y\r\n',
    'X-Seamark-Identity: a\r\n',
    'x_seamark_identity: a\r\n',
  ],
  ...[
    'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nz',
    'HTTP/1.1 100 Continue\r\n\r\n',
    'HTTP/1.1 103 E\r\nlink: </a>\r\n\r\n',
  ],
)
const mutation = fc.record({
  kind: fc.constantFrom('insert', 'replace', 'cut', 'line', 'double'),
  at: fc.integer({ min: 0, max: 999 }),
  length: fc.integer({ min: 1, max: 8 }),
  piece: pieces,
})
type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never

function mutated(text: string, mutations: readonly Mutation[]): string {
  let result = text
  for (const { kind, at, length, piece } of mutations) {
    const from = Math.floor((at / 1_000) * result.length)
    const line = Math.max(0, result.lastIndexOf('\r\n', from) + 2)
    const end = result.indexOf('\r\n', line) + 2
    if (kind === 'insert') result = result.slice(0, from) + piece + result.slice(from)
    else if (kind === 'replace') result = result.slice(0, from) + piece + result.slice(from + length)
    else if (kind === 'cut') result = result.slice(0, from) + result.slice(from + length)
    else if (kind === 'line') result = result.slice(0, line) + piece + result.slice(line)
    else if (end > line) result = result.slice(0, end) + result.slice(line)
  }
  return result
}

/** A request as a server of node's reads it. */
interface Heard {
  readonly method: string
  readonly path: string
  readonly fields: readonly string[]
  /** Nothing as long as it is not whole. */
  body: string | undefined
}

/** Remembers whole requests, and what was none. */
async function listener() {
  const heard: Heard[] = []
  const faults: string[] = []
  const server = createServer({ requireHostHeader: false }, async (request, response) => {
    const { method = '', url = '', rawHeaders } = request
    const fields = rawHeaders.flatMap((_, at) =>
      at % 2 === 0 ? [`${rawHeaders[at]!.toLowerCase()}: ${rawHeaders[at + 1]}`] : [],
    )
    const said: Heard = { method, path: url, fields, body: undefined }
    heard.push(said)
    try {
      said.body = await textOf(request)
      response.end('ok')
    } catch {
      // It was given up.
    }
  })
  server.on('checkContinue', (request, response) => server.emit('request', request, response))
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // One that ends in the middle was given up: it is nothing that somebody else may take for a request.
    if (error.code !== 'HPE_INVALID_EOF_STATE' && error.code !== 'ECONNRESET') faults.push(String(error))
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    heard,
    faults,
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** What the gateway says itself, or says anew. */
const itsOwn =
  /^(?:host|connection|te|transfer-encoding|content-length|cookie|forwarded|x-forwarded-[a-z]+|traceparent|tracestate):/

it('whatever a client sends, an instance reads nothing that a strict reader would not have read', async () => {
  await using direct = await listener()
  await using api = await listener()
  await using gateway = await opened({ requestLog: false })
  await gateway.register({ port: api.port })
  let count = 0
  let passed = 0
  const templates = [
    (mark: string) => `GET /${mark}?q=${mark} HTTP/1.1\r\nHost: x\r\nX-Mark: ${mark}\r\nAccept: */*\r\n\r\n`,
    (mark: string) =>
      `POST /${mark}?q HTTP/1.1\r\nHost: x\r\nX-Mark: ${mark}\r\nContent-Length: 5\r\n\r\nhello`,
    (mark: string) =>
      `PUT /${mark} HTTP/1.1\r\nHost: x\r\nX-Mark: ${mark}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
  ]
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...templates),
      fc.constantFrom(...templates),
      fc.array(mutation, { minLength: 1, maxLength: 3 }),
      async (first, second, mutations) => {
        const mark = `m${++count}z`
        const text =
          mutated(first(mark) + second(mark), mutations) +
          `GET /${mark}/last HTTP/1.1\r\nHost: x\r\nX-Mark: ${mark}\r\nConnection: close\r\n\r\n`
        direct.heard.length = 0
        const socket = connect({ port: direct.port, host: '127.0.0.1', allowHalfOpen: true })
        socket.on('error', () => {})
        socket.resume()
        socket.end(text, 'latin1')
        await once(socket, 'close')

        using client = await rawClient(gateway.port)
        client.write(text)
        // It may wait for more, as a body is longer than what came: then there is nothing more to see.
        await Promise.race([client.ended(), quiet(client.socket)])
        const isMine = (heard: Heard) => heard.body !== undefined && JSON.stringify(heard).includes(mark)
        const arrived = api.heard.filter(isMine)
        passed += arrived.length
        expect(api.faults).toEqual([])
        for (const [index, { method, path, fields, body }] of arrived.entries()) {
          const expected = direct.heard[index]
          expect({ method, path, body }).toEqual({
            method: expected?.method,
            path: expected && pathOf(expected.path),
            body: expected?.body,
          })
          for (const field of fields) {
            if (!itsOwn.test(field)) expect(expected?.fields).toContain(field)
            expect(field).not.toMatch(/^x[-_]seamark/)
          }
        }
        api.heard.length = 0
      },
    ),
    { seed, numRuns: runs },
  )
  expect(passed).toBeGreaterThan(runs / 2)
}, 60_000)

function pathOf(target: string): string {
  const found = requestPath(target.replace(/^https?:\/\/[^/?]*/i, '') || '/')
  return found === undefined ? 'none' : found.path + found.query
}

/** Once nothing came for a while. It makes the test see less, never something else. */
function quiet(socket: import('node:net').Socket): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 100)
    socket.on('data', () => timer.refresh())
    socket.once('close', () => clearTimeout(timer))
  })
}

/** An answer as a client of node's reads it; `undefined` when it was not whole. */
async function got(port: number, path: string): Promise<{ status: number; body: string } | undefined> {
  const asked = request({
    port,
    host: '127.0.0.1',
    path,
    agent: false,
    headers: { connection: 'keep-alive' },
  })
  asked.on('error', () => {})
  asked.on('upgrade', (_, socket) => socket.destroy(new Error('Nobody asked for that.')))
  asked.end()
  try {
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    return { status: response.statusCode!, body: await textOf(response) }
  } catch {
    return undefined
  } finally {
    asked.destroy()
  }
}

it('whatever an instance answers, no client takes it for an answer that it is not, and the next one gets its own', async () => {
  let bad = ''
  let isKept = false
  const answers = (isOnce: boolean) => (socket: import('node:net').Socket, heard: string) => {
    const lines = heard.match(/^[A-Z]+ \/\S* HTTP\/1\.1$/gm)
    if (!heard.endsWith('\r\n\r\n') || lines === null) return
    const path = lines.at(-1)!.split(' ')[1]!
    if (path === '/bad') {
      socket.write(bad, 'latin1')
      if (isOnce || !isKept) socket.end()
    } else socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${path.length}\r\n\r\n${path}`)
  }
  await using direct = await rawOrigin(answers(true))
  await using api = await rawOrigin(answers(false))
  await using gateway = await opened({ requestLog: false, bounds: { answerTimeout: 1_000 } })
  await gateway.register({ port: api.port })
  let passed = 0
  let count = 0
  const templates = [
    'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello',
    'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5;a=b\r\nthere\r\n0\r\nX-Sum: 1\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno',
    'HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n',
  ]
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...templates),
      fc.array(mutation, { minLength: 0, maxLength: 3 }),
      fc.option(pieces),
      async (template, mutations, extra) => {
        // Kept, when all that is wrong is what comes behind it.
        isKept = mutations.length === 0
        bad = mutated(template, mutations) + (extra ?? '')
        const [through, past] = [await got(gateway.port, '/bad'), await got(direct.port, '/bad')]
        const isRefused = through?.status === 502 || through?.status === 504
        if (through !== undefined && !isRefused) {
          passed++
          expect(through).toEqual(past)
        }
        const path = `/good/${++count}`
        expect(await got(gateway.port, path)).toEqual({ status: 200, body: path })
      },
    ),
    { seed, numRuns: runs },
  )
  expect(passed).toBeGreaterThan(runs / 10)
}, 60_000)
