import { createServer, type IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { defaultBounds } from './bounds.ts'
import { readRequest } from './request-reader.ts'

const plain = [
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /tickets/7?x=1 HTTP/1.1\r\nHost: shop.example:8080\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n',
  'HEAD /a HTTP/1.1\r\nhost: [::1]:80\r\nCookie: a=1; b="2"\r\nX-Empty:\r\n\r\n',
  'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello',
  'DELETE /a%20b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
  'PATCH /a HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nGET / HTTP/1',
]

describe('a plain request', () => {
  it.each(plain)('%j is read', (text) => {
    const read = readRequest(Buffer.from(text, 'latin1'), defaultBounds)
    const [method, target = ''] = text.split(' ')
    expect(read?.said).toMatchObject({ method })
    expect(`${read?.said.path}${read?.said.query}`).toBe(target)
    expect(text.slice(read?.end)).toBe(text.startsWith('PATCH') ? '1' : '')
  })

  it.each(plain)('%j is none when it is cut', (text) => {
    const whole = readRequest(Buffer.from(text), defaultBounds)!.end
    for (let end = 0; end < whole; end++)
      expect(readRequest(Buffer.from(text.slice(0, end)), defaultBounds)).toBeUndefined()
  })

  it('is the same to node:http, whatever it is made of', async () => {
    const part = fc.constantFrom(
      ...[
        '\r\n',
        '\n',
        '\r',
        ' ',
        '\t',
        ':',
        ',',
        '0',
        '5',
        'x',
        '\0',
        '\u00e4',
        '/',
        '..',
        '%2e',
        '#',
        '?',
        ';',
      ],
      ...['Content-Length: 3\r\n', 'Content-Length: 0\r\n', 'Transfer-Encoding: chunked\r\n', 'Host: b\r\n'],
      ...[
        'Connection: close\r\n',
        'Expect: 100-continue\r\n',
        'Upgrade: h2c\r\n',
        'TE: trailers\r\n',
        ' a\r\n',
      ],
      ...['HTTP/1.0', 'GET / HTTP/1.1\r\n', '\r\n\r\n', 'chunked', 'identity'],
    )
    const change = fc.record({
      at: fc.nat(),
      remove: fc.nat({ max: 3 }),
      put: fc.oneof(part, fc.constant('')),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...plain),
        fc.array(change, { maxLength: 4 }),
        fc.constantFrom('', plain[0], plain[3]),
        async (text, changes, behind) => {
          let changed = text
          for (const { at, remove, put } of changes) {
            const place = at % changed.length
            changed = changed.slice(0, place) + put + changed.slice(place + remove)
          }
          const bytes = Buffer.from(changed + behind, 'latin1')
          const read = readRequest(bytes, defaultBounds)
          if (read === undefined) return
          const { said, end } = read
          const [parsed] = await parsedBy(bytes.subarray(0, end))
          expect(parsed).toBeDefined()
          expect(parsed!.count).toBe(1)
          expect(parsed!.method).toBe(said.method)
          expect(parsed!.body).toBe(Buffer.isBuffer(said.body) ? said.body.toString('latin1') : '')
          const fields = parsed!.rawHeaders.map((text, at) => (at % 2 === 0 ? text.toLowerCase() : text))
          const kept = fields.filter((_, at) => fields[at - (at % 2)] !== 'connection')
          expect(said.fields).toEqual(kept)
        },
      ),
      { numRuns: 3_000 },
    )
  })
})

interface Parsed {
  readonly method: string
  readonly rawHeaders: string[]
  readonly body: string
  readonly count: number
}

/** What `node:http` makes of these bytes. */
function parsedBy(bytes: Buffer): Promise<Parsed[]> {
  return new Promise((resolve) => {
    const found: { request: IncomingMessage; body: string }[] = []
    const server = createServer((request, response) => {
      const entry = { request, body: '' }
      found.push(entry)
      request.setEncoding('latin1').on('data', (text) => {
        entry.body += text
      })
      request.on('end', () => response.end())
    })
    const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() })
    server.on('clientError', () => socket.destroy())
    socket.on('error', () => {})
    socket.once('close', () =>
      resolve(
        found.map(({ request, body }) => ({
          method: request.method!,
          rawHeaders: request.rawHeaders,
          body,
          count: found.length,
        })),
      ),
    )
    server.emit('connection', socket)
    socket.push(bytes)
    socket.push(null)
  })
}
