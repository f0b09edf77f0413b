import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { comparable, lenient, requestPath } from './request-path.ts'

describe('the path of a request', () => {
  it.each([
    ['/', '/', ''],
    ['/tickets/7', '/tickets/7', ''],
    ['/tickets?a=1&b=/../x', '/tickets', '?a=1&b=/../x'],
    ['/tickets?', '/tickets', '?'],
    ['/a?b?c', '/a', '?b?c'],
    ['/a/./b', '/a/b', ''],
    ['/a/../b', '/b', ''],
    ['/a/b/..', '/a/', ''],
    ['/a/b/.', '/a/b/', ''],
    ['/../../etc', '/etc', ''],
    ['/..', '/', ''],
    ['/a//b', '/a//b', ''],
    ['/.well-known/x', '/.well-known/x', ''],
    ['/a/...', '/a/...', ''],
    ['/a/..b', '/a/..b', ''],
    ['/a%20b', '/a%20b', ''],
    ['/%7Euser', '/%7Euser', ''],
    ['/projects/group%2Fname', '/projects/group%2Fname', ''],
    ['/projects/a%2E%2Fb', '/projects/a%2E%2Fb', ''],
    ['/a%252e%252e%252fb', '/a%252e%252e%252fb', ''],
    ['/tickets;v=1/7', '/tickets;v=1/7', ''],
    ['/caf\u00c3\u00a9', '/caf\u00c3\u00a9', ''],
    ['/a?x=%zz%00\\', '/a', '?x=%zz%00\\'],
  ])('of %j is %j', (target, path, query) => {
    expect(requestPath(target)).toEqual({ path, query })
  })

  it.each([
    '',
    '*',
    'tickets',
    'http://shop.example/tickets',
    'shop.example:443',
    '/a#b',
    '/a?b#c',
    '/a b',
    '/a\tb',
    '/a\r\nx: y',
    '/a\u0000',
    '/a\u007f',
    '/\u20ac',
    '/a\\b',
    '/a/..\\b',
    '/%2e%2e/b',
    '/%2E%2e/b',
    '/a/.%2e',
    '/a/%2e',
    '/a/%2e/b',
    '/a/..%2fb',
    '/a/%2e%2e%2fb',
    '/a/b%2f..%2f..%2fc',
    '/a/..%5cb',
    '/a/x%5c..%5cb',
    '/a/..;/b',
    '/a/..%3b/b',
    '/a/%2e%2e%3Bx/b',
    '/a/..;x=1/b',
    '/a/%2e%2e;x/b',
    '/a/b%2f..;/c',
    '/a%',
    '/a%2',
    '/a%zz',
    '/a%00',
  ])('of %j is refused', (target) => {
    expect(requestPath(target)).toBeUndefined()
  })

  const segment = fc.oneof(
    fc.constantFrom('', '.', '..', '...', 'a', 'tickets'),
    fc.stringMatching(/^[a-z.]{0,4}$/),
  )

  it('is what RFC 3986 makes of it, step by step', () => {
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1 }), (segments) => {
        const target = `/${segments.join('/')}`
        expect(requestPath(target)?.path).toBe(removeDotSegments(target))
      }),
      { numRuns: 1_000 },
    )
  })

  const hostile = fc
    .array(
      fc.constantFrom(
        ...[
          '/',
          '.',
          '..',
          '%2e',
          '%2E',
          '%2f',
          '%5c',
          '\\',
          ';',
          '%',
          '%25',
          'a',
          '?',
          '#',
          '%00',
          '\u00e9',
        ],
      ),
      { maxLength: 24 },
    )
    .map((parts) => `/${parts.join('')}`)

  it('that is let through has no dot segments, however it is decoded, and stays what it is', () => {
    fc.assert(
      fc.property(fc.oneof(hostile, fc.string(), fc.webPath()), (target) => {
        const read = requestPath(target)
        if (read === undefined) return
        expect(requestPath(read.path)).toEqual({ path: read.path, query: '' })
        expect(target.endsWith(read.query)).toBe(true)
        const decoded = read.path.replace(/%(2e|2f|5c)/gi, (text) =>
          String.fromCharCode(Number.parseInt(text.slice(1), 16)),
        )
        for (const view of [
          read.path,
          decoded,
          decoded.replaceAll('\\', '/'),
          decoded.replace(/;[^/]*/g, ''),
        ])
          expect(view.split('/').filter((part) => part === '..' || part === '.')).toEqual([])
      }),
      { numRuns: 2_000 },
    )
  })
})

/** RFC 3986, 5.2.4, word for word. */
function removeDotSegments(path: string): string {
  let input = path
  let output = ''
  while (input !== '')
    if (input.startsWith('/./')) input = input.slice(2)
    else if (input === '/.') input = '/'
    else if (input.startsWith('/../') || input === '/..') {
      input = `/${input.slice(4)}`
      output = output.slice(0, Math.max(0, output.lastIndexOf('/')))
    } else {
      const end = input.indexOf('/', 1)
      output += end < 0 ? input : input.slice(0, end)
      input = end < 0 ? '' : input.slice(end)
    }
  return output
}

describe('a path that is compared', () => {
  it.each([
    ['/tickets', '/tickets'],
    ['/%74ickets', '/tickets'],
    ['/%7euser', '/~user'],
    ['/caf%c3%a9', '/caf%C3%A9'],
    ['/caf\u00c3\u00a9', '/caf%C3%A9'],
    ['/a%2fb', '/a%2Fb'],
    ['/a%2541', '/a%2541'],
  ])('%j is %j', (path, compared) => {
    expect(comparable(path)).toBe(compared)
    expect(comparable(compared)).toBe(compared)
  })
})

describe('a path that is read leniently', () => {
  it.each([
    ['/tickets/7', '/tickets/7'],
    ['//tickets///7', '/tickets/7'],
    ['/tickets%2F7', '/tickets/7'],
    ['/tickets%5c7', '/tickets/7'],
    ['/tickets;v=1/7;x', '/tickets/7'],
    ['/tickets%3bv=1/7%3B', '/tickets/7'],
    ['/a%2f;b/%2fc', '/a/c'],
  ])('%j is %j', (path, read) => {
    expect(lenient(path)).toBe(read)
  })
})
