import type { IncomingHttpHeaders } from 'node:http'
import { fakeClock } from '@seamark/core/testing'
import { describe, expect, it } from 'vitest'
import { inquiry } from '../../test/inquiry.ts'
import type { Inquiry } from '../ports.ts'
import { LastGood, lastGoodBounds } from './last-good.ts'

function kept(maxAge = 60_000) {
  const clock = fakeClock()
  const fallback = new LastGood(clock, maxAge)
  /** The service answers; whether it was to be kept. */
  const answers = (
    asked: Partial<Inquiry>,
    body: string,
    headers: IncomingHttpHeaders = {},
    status = 200,
  ): boolean => {
    const recorder = fallback.record(inquiry(asked), status, headers)
    for (let at = 0; at < body.length; at += 65_536) recorder?.data(Buffer.from(body.slice(at, at + 65_536)))
    recorder?.end()
    return recorder !== undefined
  }
  const said = (asked: Partial<Inquiry> = {}) => fallback.substitute(inquiry(asked))?.body.toString()
  return { clock, fallback, answers, said }
}

describe('the last good answer', () => {
  it('is given, with its age, until it is too old', () => {
    const { clock, fallback, answers } = kept()
    expect(fallback.substitute(inquiry())).toBeUndefined()
    answers({}, 'first')
    answers({}, 'second', { 'content-type': 'text/plain', etag: '"a"', 'content-length': '6' })
    clock.jump(59_500)
    expect(fallback.substitute(inquiry())).toEqual({
      status: 200,
      headers: {
        'content-type': 'text/plain',
        etag: '"a"',
        age: '59',
        warning: '111 - "Revalidation Failed"',
      },
      body: Buffer.from('second'),
    })
    clock.jump(501)
    expect(fallback.substitute(inquiry())).toBeUndefined()
  })

  it('adds to the age that it came with', () => {
    const { clock, fallback, answers } = kept()
    answers({}, 'x', { age: '100' })
    clock.jump(2_000)
    expect(fallback.substitute(inquiry())?.headers.age).toBe('102')
    answers({ path: '/b' }, 'x', { age: 'old' })
    expect(fallback.substitute(inquiry({ path: '/b' }))?.headers.age).toBe('0')
  })

  it('is of the same scheme, host, path and query', () => {
    const { answers, said } = kept()
    answers({ query: '?page=1' }, 'one')
    expect(said({ query: '?page=1' })).toBe('one')
    expect(said({ query: '?page=1', method: 'HEAD' })).toBe('one')
    expect(said()).toBeUndefined()
    expect(said({ query: '?page=2' })).toBeUndefined()
    for (const other of [{ host: 'other.example' }, { path: '/' }, { scheme: 'https' as const }])
      expect(said({ query: '?page=1', ...other })).toBeUndefined()
    expect(said({ query: '?page=1', method: 'POST' })).toBeUndefined()
  })

  it('is kept by what it depends on', () => {
    const { answers, said } = kept()
    const vary = { vary: 'Accept-Language, accept' }
    answers({ headers: { 'accept-language': 'de' } }, 'Hallo', vary)
    answers({ headers: { 'accept-language': 'en' } }, 'Hello', vary)
    expect(said({ headers: { 'accept-language': 'de' } })).toBe('Hallo')
    expect(said({ headers: { 'accept-language': 'en' } })).toBe('Hello')
    expect(said({ headers: { 'accept-language': 'fr' } })).toBeUndefined()
    expect(said({ headers: { 'accept-language': 'de', accept: 'text/html' } })).toBeUndefined()
    answers({ headers: { 'accept-language': 'de' } }, 'Moin', vary)
    expect(said({ headers: { 'accept-language': 'de' } })).toBe('Moin')
    for (let other = 0; other < lastGoodBounds.variants; other++)
      answers({ headers: { 'accept-language': `x${other}` } }, 'x', vary)
    expect(said({ headers: { 'accept-language': 'en' } })).toBeUndefined()
  })

  it.each<[string, Partial<Inquiry>, IncomingHttpHeaders, number?]>([
    ['is not 200', {}, {}, 206],
    ['is no success', {}, {}, 503],
    ['is of another method', { method: 'POST' }, {}],
    ['is of HEAD, and has no body', { method: 'HEAD' }, {}],
    ['sets a cookie', {}, { 'set-cookie': ['a=b'] }],
    ['is private', {}, { 'cache-control': 'max-age=5, private' }],
    ['is private in part', {}, { 'cache-control': 'private="x-a", max-age=5' }],
    ['is not to be stored', {}, { 'cache-control': 'no-store' }],
    ['is not to be used unasked', {}, { 'cache-control': 'No-Cache' }],
    ['is not to be used when it is old', {}, { 'cache-control': 'max-age=5,must-revalidate' }],
    ['is for shared caches for a time only', {}, { 'cache-control': 's-maxage=5' }],
    ['depends on everything', {}, { vary: '*' }],
    ['depends on everything, too', {}, { vary: 'accept, *' }],
    ['is to somebody with an authorization', { headers: { authorization: 'Basic x' } }, {}],
    ['is to somebody with a key', { headers: { 'x-api-key': 'a' } }, {}],
    ['is to somebody with a token of another name', { headers: { 'x-auth-token': 'a' } }, {}],
    ['is to a question with a body', { headers: { 'content-length': '2' } }, { 'cache-control': 'public' }],
    ['is to a question with chunks', { headers: { 'transfer-encoding': 'chunked' } }, {}],
    ['is to somebody with a cookie', { headers: { cookie: 'a=b' } }, { 'cache-control': 'max-age=5' }],
    ['says that it is too large', {}, { 'content-length': String(lastGoodBounds.answerBytes + 1) }],
  ])('is not kept when it %s', (_why, asked, headers, status) => {
    const { answers, said } = kept()
    expect(answers(asked, 'secret', headers, status)).toBe(false)
    expect(said()).toBeUndefined()
  })

  it('is kept for all when it says that it is public', () => {
    const { answers, said } = kept()
    answers({ headers: { cookie: 'a=b', authorization: 'Basic x' } }, 'x', {
      'cache-control': 'public, max-age=5',
    })
    expect(said()).toBe('x')
  })

  it('leaves out what is about the connection', () => {
    const { fallback, answers } = kept()
    answers({}, 'x', {
      connection: 'close, X-Hop',
      'x-hop': '1',
      'keep-alive': 'timeout=5',
      'transfer-encoding': 'chunked',
      link: '</a>',
    })
    const { age, warning, ...rest } = fallback.substitute(inquiry())!.headers
    expect(rest).toEqual({ link: '</a>' })
    expect([age, warning]).toEqual(['0', '111 - "Revalidation Failed"'])
  })

  it('is whole, or not there', () => {
    const { fallback, answers, said } = kept()
    fallback.record(inquiry(), 200, {})?.data(Buffer.from('half'))
    expect(said()).toBeUndefined()
    answers({}, 'four', { 'content-length': '5' })
    expect(said()).toBeUndefined()
    answers({}, 'x'.repeat(lastGoodBounds.answerBytes + 1))
    expect(said()).toBeUndefined()
    answers({}, 'x'.repeat(lastGoodBounds.answerBytes))
    expect(said()).toHaveLength(lastGoodBounds.answerBytes)
    answers({ path: '/empty' }, '')
    expect(said({ path: '/empty' })).toBe('')
  })

  it('is a copy: what the bytes came in may be used again', () => {
    const { fallback, said } = kept()
    const recorder = fallback.record(inquiry(), 200, {})!
    const chunk = Buffer.from('good')
    recorder.data(chunk)
    recorder.end()
    chunk.fill('?')
    expect(said()).toBe('good')
  })

  it('makes room for others: what came first goes first', () => {
    const { answers, said } = kept()
    const body = 'x'.repeat(lastGoodBounds.answerBytes)
    for (const path of ['/a', '/b']) answers({ path }, 'small')
    answers({ path: '/a' }, 'again')
    for (let n = 0; n < 15; n++) answers({ path: `/${n}` }, body)
    expect(said({ path: '/a' })).toBe('again')
    answers({ path: '/15' }, body)
    expect(said({ path: '/b' })).toBeUndefined()
    expect(said({ path: '/0' })).toBeUndefined()
    expect(said({ path: '/15' })).toBe(body)
  })
})
