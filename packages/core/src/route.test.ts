import { describe, expect, it } from 'vitest'
import { instance } from './instance.ts'
import { limits } from './limits.ts'
import { route } from './route.ts'

const base = { namespace: 'default', service: 'tickets', id: 't1', address: '127.0.0.1', port: 3000 }

describe('a route', () => {
  it('has the path "/" and nothing else by default, and is frozen', () => {
    expect(route('route', {})).toEqual({ path: '/' })
    const { route: own } = instance({ ...base, route: { path: '/a', roles: ['r'] } })
    expect(own).toEqual({ path: '/a', roles: ['r'] })
    expect(Object.isFrozen(own) && Object.isFrozen(own?.roles)).toBe(true)
    expect('route' in instance(base)).toBe(false)
  })

  it('is kept in one spelling', () => {
    expect(
      route('route', { host: 'Shop.Example', path: '/tickets/', methods: ['GET', 'GET'], timeout: '2s' }),
    ).toEqual({ host: 'shop.example', path: '/tickets', methods: ['GET'], timeout: 2_000 })
    expect(route('route', { host: '*.Example', path: '/', rewrite: '/v1/' })).toEqual({
      host: '*.example',
      path: '/',
      rewrite: '/v1',
    })
  })

  it.each<[field: string, input: unknown]>([
    ['route', null],
    ['route', 'GET /'],
    ['route', []],
    ['route/strip', { strip: true }],
    ['route/host', { host: '' }],
    ['route/host', { host: 'a b' }],
    ['route/host', { host: '*' }],
    ['route/host', { host: 'a.*.example' }],
    ['route/host', { host: 'shop.example:80' }],
    ['route/path', { path: '' }],
    ['route/path', { path: 'tickets' }],
    ['route/path', { path: '/a/../b' }],
    ['route/path', { path: '/a/%2e%2e/b' }],
    ['route/path', { path: '/a?b=c' }],
    ['route/path', { path: '/a#b' }],
    ['route/path', { path: '/a b' }],
    ['route/path', { path: '/a\\b' }],
    ['route/path', { path: '/100%' }],
    ['route/path', { path: '/ü' }],
    ['route/path', { path: `/${'a'.repeat(limits.routePathBytes)}` }],
    ['route/path', { path: 7 }],
    ['route/rewrite', { rewrite: 'v1' }],
    ['route/methods', { methods: 'GET' }],
    ['route/methods', { methods: [] }],
    ['route/methods/0', { methods: ['get'] }],
    ['route/methods/1', { methods: ['GET', ''] }],
    ['route/roles/0', { roles: [''] }],
    ['route/roles', { roles: Array.from({ length: limits.routeRoles + 1 }, (_, i) => `r${i}`) }],
    ['route/timeout', { timeout: 0 }],
    ['route/timeout', { timeout: 'soon' }],
    ['route/timeout', { timeout: null }],
    ['route/retries', { retries: 10 }],
    ['route/retries', { retries: -1 }],
    ['route/priority', { priority: 1.5 }],
  ])('refuses %s of %j', (field, input) => {
    expect(() => instance({ ...base, route: input as never })).toThrow(
      expect.objectContaining({ code: 'invalid_field', field }),
    )
  })
})
