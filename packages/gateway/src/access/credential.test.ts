import type { IncomingHttpHeaders } from 'node:http'
import { describe, expect, it } from 'vitest'
import { inquiry } from '../../test/inquiry.ts'
import { credential } from './credential.ts'

describe('the token of a request', () => {
  it.each<[string, IncomingHttpHeaders, string | undefined]>([
    ['of the header', { authorization: 'Bearer a.b.c' }, 'a.b.c'],
    ['whatever the case of the scheme', { authorization: 'bEARER  a.b.c ' }, 'a.b.c'],
    ['of the header before the cookie', { authorization: 'Bearer a', cookie: 'session=b' }, 'a'],
    ['of the cookie', { cookie: 'x=1; session=a.b.c; y=2' }, 'a.b.c'],
    [
      'of the cookie when the header is for somebody else',
      { authorization: 'Basic x', cookie: 'session=b' },
      'b',
    ],
    ['of a cookie in quotes', { cookie: 'session="a.b.c"' }, 'a.b.c'],
    ['nowhere', {}, undefined],
    ['not of another scheme', { authorization: 'Basic a' }, undefined],
    ['not of a scheme that begins so', { authorization: 'BearerX a' }, undefined],
    ['not of a cookie that begins so', { cookie: 'session2=a; xsession=b' }, undefined],
    ['not of a cookie that is there twice', { cookie: 'session=a; session=b' }, undefined],
  ])('comes %s', (_where, headers, token) => {
    expect(credential(inquiry({ headers }), 'session')).toBe(token)
  })

  it('comes of no cookie unless one was named, and never of the URL', () => {
    const headers = { cookie: 'session=a; undefined=b' }
    expect(credential(inquiry({ headers, query: '?access_token=a' }), undefined)).toBeUndefined()
  })
})
