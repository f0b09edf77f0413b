import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AnswerReader, type AnswerSink } from './answer-reader.ts'

const bounds = { headerBytes: 1_024, headerFields: 10 }

interface Heard {
  readonly interim: number[]
  status: number
  statusText: string
  fields: string[]
  body: string
  trailers: string[] | undefined
  rest: string | undefined
  isReusable: boolean
}

/** What is read of these bytes, in pieces that end at these places; then the connection is closed, if so. */
function heard(
  text: string,
  { method = 'GET', cuts = [] as number[], closes = false, upgrade = false } = {},
) {
  const got: Heard = {
    interim: [],
    status: 0,
    statusText: '',
    fields: [],
    body: '',
    trailers: undefined,
    rest: undefined,
    isReusable: false,
  }
  const sink: AnswerSink = {
    head(status, statusText, fields) {
      if (status < 200) got.interim.push(status)
      else Object.assign(got, { status, statusText, fields })
    },
    data(chunk) {
      got.body += chunk.toString('latin1')
    },
    end(trailers) {
      got.trailers = trailers
    },
    upgraded(fields, rest) {
      Object.assign(got, { status: 101, fields, rest: rest.toString('latin1') })
    },
  }
  const reader = new AnswerReader(bounds, sink)
  reader.expect(method, upgrade)
  const bytes = Buffer.from(text, 'latin1')
  const places = [0, ...cuts.map((cut) => cut % bytes.length).sort((a, b) => a - b), bytes.length]
  for (const [index, place] of places.slice(1).entries()) {
    const piece = bytes.subarray(places[index], place)
    if (piece.length > 0) reader.read(piece)
  }
  if (closes) reader.close()
  got.isReusable = reader.isReusable
  return got
}

const answers: readonly [
  what: string,
  text: string,
  expected: Partial<Heard>,
  options?: Parameters<typeof heard>[1],
][] = [
  [
    'a length',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b \t\r\n\r\nhello',
    {
      status: 200,
      statusText: 'OK',
      body: 'hello',
      trailers: [],
      isReusable: true,
      fields: ['Content-Length', '5', 'X-A', 'b'],
    },
  ],
  ['no body', 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n', { body: '', trailers: [], isReusable: true }],
  ['no reason', 'HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n', { status: 200, statusText: '', trailers: [] }],
  [
    'chunks',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n06;a=b\r\n world\r\n0\r\n\r\n',
    { body: 'hello world', trailers: [], isReusable: true },
  ],
  [
    'chunks and trailers',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n000\r\nA: 1\r\nB: 2\r\n\r\n',
    { body: 'x', trailers: ['A', '1', 'B', '2'], isReusable: true },
  ],
  [
    'the end of the connection',
    'HTTP/1.1 200 OK\r\n\r\nhello',
    { body: 'hello', trailers: [], isReusable: false },
    { closes: true },
  ],
  [
    'HEAD',
    'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n',
    { body: '', trailers: [], isReusable: true },
    { method: 'HEAD' },
  ],
  ['204', 'HTTP/1.1 204 No Content\r\n\r\n', { status: 204, trailers: [], isReusable: true }],
  [
    '304',
    'HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n',
    { status: 304, trailers: [], isReusable: true },
  ],
  [
    'others before it',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx',
    { interim: [100, 103], status: 200, body: 'x', isReusable: true },
  ],
  [
    'connection: close',
    'HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 1\r\n\r\nx',
    { body: 'x', isReusable: false },
  ],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx', { body: 'x', isReusable: false }],
  [
    'another protocol',
    'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\nrest',
    { status: 101, fields: ['upgrade', 'websocket'], isReusable: false },
    { upgrade: true },
  ],
]

describe('an answer', () => {
  it.each(answers)('with %s is read', (_, text, expected, options) => {
    expect(heard(text, options)).toMatchObject(expected)
  })

  it.each(answers.filter(([what]) => what !== 'another protocol'))(
    'with %s is read the same, however it is cut',
    (_, text, __, options) => {
      const whole = heard(text, options)
      for (let cut = 1; cut < text.length; cut++)
        expect(heard(text, { ...options, cuts: [cut] })).toEqual(whole)
      expect(heard(text, { ...options, cuts: [...text].map((_, index) => index) })).toEqual(whole)
    },
  )

  it('of any length in any chunks is read whole', () => {
    const pieces = fc.array(fc.string({ minLength: 1, unit: 'binary-ascii' }), { maxLength: 20 })
    fc.assert(
      fc.property(pieces, fc.array(fc.nat()), (chunks, cuts) => {
        const body = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')
        const text = `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${body}0\r\n\r\n`
        expect(heard(text, { cuts })).toMatchObject({ body: chunks.join(''), trailers: [], isReusable: true })
      }),
    )
  })

  it.each([
    ['that is no HTTP', 'hello\r\n\r\n'],
    ['of HTTP/2', 'HTTP/2 200 OK\r\n\r\n'],
    ['with a status that is none', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['with two equal lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx'],
    ['with two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx'],
    ['with a list of lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\n\r\nxx'],
    [
      'with a length and chunks',
      'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['with another coding', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n0\r\n\r\n'],
    ['with two codings', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['with chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['with a negative length', 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n'],
    ['with a folded line', 'HTTP/1.1 200 OK\r\na: b\r\n c\r\ncontent-length: 0\r\n\r\n'],
    ['with a line feed alone', 'HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n'],
    ['with whitespace before a colon', 'HTTP/1.1 200 OK\r\na : b\r\n\r\n'],
    ['with NUL', 'HTTP/1.1 200 OK\r\na: \0\r\n\r\n'],
    ['with a line that is no field', 'HTTP/1.1 200 OK\r\nhello\r\n\r\n'],
    ['with a chunk without a size', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n'],
    [
      'with a chunk of a size in another notation',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n',
    ],
    [
      'with a chunk that is longer than it says',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n',
    ],
    ['with more behind it', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n'],
    ['with too long a head', `HTTP/1.1 200 OK\r\na: ${'b'.repeat(2_000)}\r\n\r\n`],
    ['with too many fields', `HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(11)}\r\n`],
    ['that switches protocols unasked', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
  ])('%s is an error', (_, text) => {
    expect(() => heard(text)).toThrow(/^(It|Its|The|A) /)
    expect(() => heard(text, { cuts: [...text].map((_, index) => index) })).toThrow()
  })

  it.each([
    ['in its head', 'HTTP/1.1 200 OK\r\n'],
    ['in its body', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel'],
    ['between its chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n'],
  ])('that ends %s is an error', (_, text) => {
    expect(() => heard(text, { closes: true })).toThrow('before its answer was whole')
  })
})
