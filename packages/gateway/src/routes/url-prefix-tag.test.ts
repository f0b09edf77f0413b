import { instance } from '@seamark/core'
import { describe, expect, it } from 'vitest'
import { urlPrefixRoute } from './url-prefix-tag.ts'

function read(tag: string, scheme = 'http') {
  return urlPrefixRoute(
    tag,
    instance({ namespace: 'default', service: 'web', id: 'w1', address: '127.0.0.1', port: 80, scheme }),
  )
}

describe('a tag of Fabio', () => {
  it.each([
    ['urlprefix-/css', { path: '/css' }],
    ['urlprefix-/css/', { path: '/css' }],
    ['urlprefix-/', { path: '/' }],
    ['urlprefix-Shop.Example/', { host: 'shop.example', path: '/' }],
    ['urlprefix-i.com/static', { host: 'i.com', path: '/static' }],
    ['urlprefix-*.i.com/', { host: '*.i.com', path: '/' }],
    ['urlprefix-/a/b strip=/a', { path: '/a/b', rewrite: '/b' }],
    ['urlprefix-/a/b strip=/a/b', { path: '/a/b', rewrite: '/' }],
    ['urlprefix-/a strip=/', { path: '/a' }],
    ['urlprefix-/a prepend=/x', { path: '/a', rewrite: '/x/a' }],
    ['urlprefix-/ prepend=/x', { path: '/', rewrite: '/x' }],
    ['urlprefix-/a/b  strip=/a   prepend=/x/', { path: '/a/b', rewrite: '/x/b' }],
    ['urlprefix-/a proto=http weight=0.5', { path: '/a' }],
    ['urlprefix-/a proto=ws', { path: '/a' }],
  ])('%j says %j', (tag, route) => {
    expect(read(tag)).toEqual(route)
  })

  it('may want TLS of an instance that has it', () => {
    expect(read('urlprefix-/a proto=https', 'https')).toEqual({ path: '/a' })
    expect(() => read('urlprefix-/a proto=https')).toThrow('the scheme of the instance is http')
    expect(() => read('urlprefix-/a proto=http', 'https')).toThrow('the scheme of the instance is https')
  })

  it.each([
    ['urlprefix-', 'no path'],
    ['urlprefix-shop.example', 'no path'],
    ['urlprefix-:3306 proto=tcp', 'for TCP'],
    ['urlprefix-/a proto=tcp', 'for TCP'],
    ['urlprefix-/a proto=grpc', 'proto=grpc is nothing that this gateway speaks'],
    ['urlprefix-/a strip=/b', 'strip=/b is not what its path begins with'],
    ['urlprefix-/ab strip=/a', 'strip=/a is not what its path begins with'],
    ['urlprefix-/a prepend=x', 'rewrite must be a path'],
    ['urlprefix-/a auth=staff', 'does not know its option "auth"'],
    ['urlprefix-/a allow=ip:10.0.0.0/8', 'does not know its option "allow"'],
    ['urlprefix-/a tlsskipverify=true', 'does not know its option "tlsskipverify"'],
    ['urlprefix-/a host=dst', 'does not know its option "host"'],
    ['urlprefix-/a toString', 'does not know its option "toString"'],
    ['urlprefix-shop.example:80/a', 'host must be a host'],
    ['urlprefix-/a/../b', 'path must be a path'],
    ['urlprefix-/a?b', 'path must be a path'],
  ])('%j is refused, as %s', (tag, problem) => {
    expect(() => read(tag)).toThrow(problem)
  })
})
