import { describe, expect, it } from 'vitest'
import { opened, rawClient, rawOrigin } from '../../test/opened-gateway.ts'

const host = 'Host: shop.example\r\n'
const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: shop.example\r\n\r\n'

/** What attackers send. Each is refused with 400 and its connection closed, or reaches the instance as this one request. */
const cases: readonly [
  what: string,
  text: string,
  reaches?: { readonly line: string; readonly body?: string },
][] = [
  [
    'a length and chunks',
    `POST /a HTTP/1.1\r\n${host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    'chunks and a length',
    `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    'two lengths',
    `POST /a HTTP/1.1\r\n${host}Content-Length: 0\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
  ],
  ['two equal lengths', `POST /a HTTP/1.1\r\n${host}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx`],
  ['a list of lengths', `POST /a HTTP/1.1\r\n${host}Content-Length: 1, 1\r\n\r\nx`],
  ['a length with a sign', `POST /a HTTP/1.1\r\n${host}Content-Length: +1\r\n\r\nx`],
  ['a length in hexadecimal', `POST /a HTTP/1.1\r\n${host}Content-Length: 0x1\r\n\r\nx`],
  [
    'a length with an underscore',
    `POST /a HTTP/1.1\r\n${host}Content_Length: 48\r\nContent-Length: 0\r\n\r\n`,
    { line: 'POST /a HTTP/1.1' },
  ],
  ['a negative length', `POST /a HTTP/1.1\r\n${host}Content-Length: -1\r\n\r\nx`],
  ['an empty length', `POST /a HTTP/1.1\r\n${host}Content-Length: \r\n\r\n`],
  [
    'whitespace before the colon of a length',
    `POST /a HTTP/1.1\r\n${host}Content-Length : ${smuggled.length}\r\n\r\n${smuggled}`,
  ],
  ['another coding', `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`],
  ['identity', `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx`],
  ['chunked twice', `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`],
  [
    'chunked, and then not',
    `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    'two codings',
    `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    'a coding in quotes',
    `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    'a coding behind a vertical tab',
    `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    'whitespace before the colon of a coding',
    `POST /a HTTP/1.1\r\n${host}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  ['a coding on a folded line', `POST /a HTTP/1.1\r\n${host}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`],
  ['a folded line', `GET /a HTTP/1.1\r\n${host}X: a\r\n b\r\n\r\n`],
  ['a line feed alone after a field', `GET /a HTTP/1.1\r\n${host}X: a\nY: b\r\n\r\n`],
  ['line feeds alone', 'GET /a HTTP/1.1\nHost: shop.example\n\n'],
  ['a carriage return alone', `GET /a HTTP/1.1\r\n${host}X: a\rY: b\r\n\r\n`],
  ['NUL in a value', `GET /a HTTP/1.1\r\n${host}X: a\0b\r\n\r\n`],
  ['NUL in a name', `GET /a HTTP/1.1\r\n${host}X\0: a\r\n\r\n`],
  ['a name of nothing', `GET /a HTTP/1.1\r\n${host}: a\r\n\r\n`],
  ['a line without a colon', `GET /a HTTP/1.1\r\n${host}hello\r\n\r\n`],
  ['whitespace before the first field', `GET /a HTTP/1.1\r\n X: a\r\n${host}\r\n`],
  ['a space in the target', `GET /a b HTTP/1.1\r\n${host}\r\n`],
  ['two spaces before the target', `GET  /a HTTP/1.1\r\n${host}\r\n`, { line: 'GET /a HTTP/1.1' }],
  ['a tab in the request line', `GET\t/a HTTP/1.1\r\n${host}\r\n`],
  ['HTTP/0.9', 'GET /a\r\n\r\n'],
  ['HTTP/2.0 in text', `GET /a HTTP/2.0\r\n${host}\r\n`],
  ['HTTP/1.2', `GET /a HTTP/1.2\r\n${host}\r\n`],
  ['a version in lower case', `GET /a http/1.1\r\n${host}\r\n`],
  ['no Host', 'GET /a HTTP/1.1\r\n\r\n'],
  ['two Hosts', `GET /a HTTP/1.1\r\n${host}Host: other.example\r\n\r\n`],
  ['two equal Hosts', `GET /a HTTP/1.1\r\n${host}${host}\r\n`],
  ['a Host with a path', 'GET /a HTTP/1.1\r\nHost: shop.example/a\r\n\r\n'],
  ['a Host with a user', 'GET /a HTTP/1.1\r\nHost: user@shop.example\r\n\r\n'],
  ['a Host with whitespace', 'GET /a HTTP/1.1\r\nHost: shop.example other\r\n\r\n'],
  ['a list of Hosts', 'GET /a HTTP/1.1\r\nHost: shop.example, other.example\r\n\r\n'],
  ['a URL of another host', `GET http://other.example/a HTTP/1.1\r\n${host}\r\n`],
  [
    'a URL of the same host',
    `GET http://shop.example/a HTTP/1.1\r\n${host}\r\n`,
    { line: 'GET /a HTTP/1.1' },
  ],
  ['a URL without a path', `GET http://shop.example HTTP/1.1\r\n${host}\r\n`, { line: 'GET / HTTP/1.1' }],
  ['a URL of another scheme', `GET ftp://shop.example/a HTTP/1.1\r\n${host}\r\n`],
  ['a target that is an authority', `GET shop.example:80 HTTP/1.1\r\n${host}\r\n`],
  ['CONNECT', `CONNECT shop.example:443 HTTP/1.1\r\n${host}\r\n`],
  ['a fragment', `GET /a#b HTTP/1.1\r\n${host}\r\n`],
  ['a backslash', `GET /a\\b HTTP/1.1\r\n${host}\r\n`],
  ['dot segments that are encoded', `GET /a/%2e%2e/b HTTP/1.1\r\n${host}\r\n`],
  ['dot segments behind an encoded slash', `GET /a/..%2fb HTTP/1.1\r\n${host}\r\n`],
  ['an encoded NUL', `GET /a%00 HTTP/1.1\r\n${host}\r\n`],
  ['a percent sign that encodes nothing', `GET /a%zz HTTP/1.1\r\n${host}\r\n`],
  ['dot segments', `GET /a/./b/../../c HTTP/1.1\r\n${host}\r\n`, { line: 'GET /c HTTP/1.1' }],
  [
    'more dot segments than there are segments',
    `GET /../../a HTTP/1.1\r\n${host}\r\n`,
    { line: 'GET /a HTTP/1.1' },
  ],
  ['an encoded slash', `GET /a%2Fb HTTP/1.1\r\n${host}\r\n`, { line: 'GET /a%2Fb HTTP/1.1' }],
  [
    'an encoded line end in the query',
    `GET /a?b=%0d%0aX:%20c HTTP/1.1\r\n${host}\r\n`,
    { line: 'GET /a?b=%0d%0aX:%20c HTTP/1.1' },
  ],
  [
    'a chunk size in another notation',
    `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n`,
  ],
  [
    'a chunk without a size',
    `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n;a=b\r\n0\r\n\r\n`,
  ],
  [
    'a chunk size that is too large',
    `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff1\r\nx\r\n0\r\n\r\n`,
  ],
  [
    'a chunk that is longer than it says',
    `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n`,
  ],
  [
    'chunks that end with line feeds alone',
    `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n`,
  ],
  [
    'a chunk with an extension',
    `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\n\r\n`,
    { line: 'POST /a HTTP/1.1', body: 'x' },
  ],
  [
    'a chunk whose extension has a line feed alone',
    `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1;a\nx\r\n0\r\n\r\n`,
  ],
  [
    'Chunked',
    `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n`,
    { line: 'POST /a HTTP/1.1', body: 'x' },
  ],
  [
    'a length for GET',
    `GET /a HTTP/1.1\r\n${host}Content-Length: 3\r\n\r\nxyz`,
    { line: 'GET /a HTTP/1.1', body: 'xyz' },
  ],
  [
    'a length that Connection names',
    `POST /a HTTP/1.1\r\n${host}Connection: content-length, keep-alive\r\nContent-Length: 3\r\n\r\nxyz`,
    { line: 'POST /a HTTP/1.1', body: 'xyz' },
  ],
  [
    'an upgrade to HTTP/2',
    `GET /a HTTP/1.1\r\n${host}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n`,
    { line: 'GET /a HTTP/1.1' },
  ],
  [
    'an upgrade with a body',
    `GET /a HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
  ],
]

describe('one who sends', () => {
  it.each(cases)('%s smuggles nothing', async (_, text, reaches) => {
    await using api = await rawOrigin((socket, heard) => {
      if (whole(heard)) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
    })
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    using client = await rawClient(gateway.port)
    client.write(text)
    if (reaches === undefined) {
      const answered = await client.ended()
      expect(answered).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
      expect(answered).toMatch(/\r\nconnection: close\r\n/i)
      expect(answered.match(/HTTP\/1\.1/g)).toHaveLength(1)
      expect(answered).not.toContain('smuggled')
      // What came of it before that is no request.
      expect(api.received.filter(whole)).toEqual([])
    } else {
      await client.until((answered) => answered.endsWith('ok'))
      expect(api.received).toHaveLength(1)
      const [head = '', body = ''] = api.received[0]!.split(/\r\n\r\n(.*)/s)
      expect(head.split('\r\n')[0]).toBe(reaches.line)
      expect(head.match(/^host: shop\.example$/gm)).toHaveLength(1)
      expect(head).not.toMatch(/^(connection|upgrade|http2-settings):/m)
      expect((head.match(/^(content-length|transfer-encoding): /gm) ?? []).length).toBeLessThan(2)
      expect(contentOf(head, body)).toBe(reaches.body ?? '')
    }
  })

  it('a request behind another one is asked for by itself, and only then', async () => {
    await using api = await rawOrigin((socket) =>
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'),
    )
    await using gateway = await opened()
    await gateway.register({ port: api.port })
    using client = await rawClient(gateway.port)
    client.write(`GET /a HTTP/1.1\r\n${host}\r\nGET /b HTTP/1.1\r\n${host}X : y\r\n\r\n${smuggled}`)
    const answered = await client.ended()
    expect(answered.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400'])
    expect(api.received.join('').match(/^[A-Z]+ \S+ HTTP/gm)).toEqual(['GET /a HTTP'])
  })
})

/** Whether a whole request is there. */
function whole(text: string): boolean {
  const [head = '', body] = text.split(/\r\n\r\n(.*)/s)
  if (body === undefined) return false
  if (/^transfer-encoding: chunked$/m.test(head)) return body.endsWith('0\r\n\r\n')
  return body.length >= Number(/^content-length: (\d+)$/m.exec(head)?.[1] ?? 0)
}

function contentOf(head: string, body: string): string {
  return /^transfer-encoding: chunked$/m.test(head)
    ? body.replace(/[0-9a-f]+\r\n([^\r]*)\r\n/g, '$1').trim()
    : body
}
