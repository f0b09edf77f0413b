import { describe, expect, it } from 'vitest'
import { readRequest } from './request-reader.ts'

const lines = (...lines: string[]) => `${lines.join('\r\n')}\r\n\r\n`
const get = (...fields: string[]) => lines('GET /a HTTP/1.1', 'host: localhost', ...fields)

describe('a plain request', () => {
  it('is read', () => {
    const text = lines('GET /a?b=c%20d HTTP/1.1', 'Host: localhost:80', 'If-None-Match: "x"', 'accept: */*')
    expect(readRequest(text)).toEqual({
      method: 'GET',
      url: '/a?b=c%20d',
      host: 'localhost:80',
      ifNoneMatch: '"x"',
      end: text.length,
    })
  })

  it('may be followed by another', () => {
    const first = lines('PUT /a HTTP/1.1', 'host: h', 'content-length: 3')
    const text = `${first}abc${get()}`
    expect(readRequest(text)).toMatchObject({ method: 'PUT', end: first.length + 3 })
    expect(readRequest(text, first.length + 3)).toMatchObject({ method: 'GET', end: text.length })
  })

  it.each([
    ['without whitespace', 'accept:*/*', {}],
    ['with more of it', 'accept: \t */*', {}],
    ['with an empty field', 'accept:', {}],
    ['with whitespace inside of a value', 'user-agent: a\tb c', {}],
    ['with all that a name may have', "!#$%&'*+-.^_`|~09aZ: x", {}],
    ['that says it keeps the connection', 'Connection: Keep-Alive', {}],
    ['with a field twice that means nothing', 'accept: a\r\naccept: b', {}],
    ['with cookies', 'cookie: a=b; c=d', {}],
    ['with a tag', 'if-none-match: W/"a", "b"', { ifNoneMatch: 'W/"a", "b"' }],
  ])('%s is one', (_name, field, read) => {
    const text = get(field)
    expect(readRequest(text)).toMatchObject({ method: 'GET', url: '/a', end: text.length, ...read })
  })
})

describe('for a parser is', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['nothing', ''],
    ['a beginning', 'GET /a HTTP/1.1\r\nhost: localhost\r\n'],
    ['a beginning without a line', 'GET /a HT'],
    ['a body that is not complete', `${lines('PUT /a HTTP/1.1', 'host: h', 'content-length: 3')}ab`],
    ['another method', lines('OPTIONS /a HTTP/1.1', 'host: h')],
    ['a method in lower case', lines('get /a HTTP/1.1', 'host: h')],
    ['CONNECT', lines('CONNECT a:1 HTTP/1.1', 'host: h')],
    ['another version', lines('GET /a HTTP/1.0', 'host: h')],
    ['another version', lines('GET /a HTTP/2.0', 'host: h')],
    ['a version in lower case', lines('GET /a http/1.1', 'host: h')],
    ['no version', lines('GET /a', 'host: h')],
    ['an absolute URL', lines('GET http://localhost/a HTTP/1.1', 'host: h')],
    ['an asterisk', lines('GET * HTTP/1.1', 'host: h')],
    ['a control character in the URL', lines('GET /a\x7f HTTP/1.1', 'host: h')],
    ['more than ASCII in the URL', lines('GET /\xe9 HTTP/1.1', 'host: h')],
    ['two spaces', lines('GET  /a HTTP/1.1', 'host: h')],
    ['a tab', lines('GET\t/a HTTP/1.1', 'host: h')],
    ['a space at the end', lines('GET /a HTTP/1.1 ', 'host: h')],
    ['an empty line before', `\r\n${get()}`],
    ['a line feed alone', get().replaceAll('\r\n', '\n')],
    ['a line feed alone behind the first line', get().replace('\r\n', '\n')],
    ['a line feed alone behind a field', get('a: b').replace('b\r\n', 'b\n')],
    ['a line feed alone at the end', `${get().slice(0, -2)}\n`],
    ['a carriage return alone', get('a: b\rc: d')],
    ['two carriage returns', get('a: b\r')],
    ['a zero', get('a: b\0')],
    ['more than ASCII in a value', get('a: \xe9')],
    ['a value on two lines', get('a: b', ' c')],
    ['whitespace behind the value', get('a: b ')],
    ['whitespace before the colon', get('a : b')],
    ['whitespace before the name', lines('GET /a HTTP/1.1', ' host: h')],
    ['a field without a name', get(': b')],
    ['a field without a colon', get('a')],
    ['a name that is none', get('a(b): c')],
    ['no Host', lines('GET /a HTTP/1.1', 'accept: */*')],
    ['two Hosts', get('Host: localhost')],
    ['two tags', get('if-none-match: "a"', 'If-None-Match: "b"')],
    ['a connection that ends', get('connection: close')],
    ['a connection that is upgraded', get('connection: upgrade', 'upgrade: websocket')],
    ['several options of the connection', get('connection: keep-alive, te')],
    ['two connections', get('connection: keep-alive', 'connection: close')],
    ['an expectation', get('expect: 100-continue')],
    ['chunks', lines('POST /a HTTP/1.1', 'host: h', 'transfer-encoding: chunked')],
    ['an encoding that is none', get('transfer-encoding: xchunked')],
    ['GET with a body', `${get('content-length: 1')}x`],
    ['GET with an empty body', get('content-length: 0')],
    ['two lengths', lines('PUT /a HTTP/1.1', 'host: h', 'content-length: 0', 'Content-Length: 0')],
    ...['', '+1', '-1', '01', '0x1', '1,1', '1 1', '1.', '1e0', '9999999999', '²'].map(
      (length) =>
        [
          `the length ${JSON.stringify(length)}`,
          `${lines('PUT /a HTTP/1.1', 'host: h', `content-length: ${length}`)}x`,
        ] as const,
    ),
  ]
  it.each(cases)('%s: %j', (_name, text) => {
    expect(readRequest(text)).toBeUndefined()
  })
})
