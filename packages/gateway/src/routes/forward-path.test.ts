import { route } from '@seamark/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { forwardPath } from './forward-path.ts'
import { requestPath } from './request-path.ts'
import { routeTable } from './route-table.ts'

describe('the path that an instance gets', () => {
  it.each([
    ['/tickets', undefined, '/tickets/7', '/tickets/7'],
    ['/tickets', '/', '/tickets', '/'],
    ['/tickets', '/', '/tickets/', '/'],
    ['/tickets', '/', '/tickets/7/', '/7/'],
    ['/tickets', '/v2/tickets', '/tickets', '/v2/tickets'],
    ['/tickets', '/v2', '/tickets/7', '/v2/7'],
    ['/a/b', '/x', '/a/b/c%2Fd', '/x/c%2Fd'],
    ['/', '/v2', '/', '/v2/'],
    ['/', '/v2', '/7', '/v2/7'],
    ['/', '/', '/7', '/7'],
    ['/tickets', '/', '/%74ickets/7', '/7'],
  ])('of a route for %j with rewrite %j is, for %j, %j', (path, rewrite, asked, sent) => {
    expect(forwardPath(route('route', { path, rewrite }), asked)).toBe(sent)
  })

  it('is one that the gateway would let through itself, whatever comes in', () => {
    const path = fc
      .array(fc.constantFrom('a', 'b', '%61', '..', '.', '%2e', '%2f', ';', '', '%5c'), { maxLength: 6 })
      .map((parts) => `/${parts.join('/')}`)
    const said = fc.array(fc.constantFrom('a', 'b'), { maxLength: 2 }).map((parts) => `/${parts.join('/')}`)
    fc.assert(
      fc.property(path, said, fc.option(said, { nil: undefined }), (target, prefix, rewrite) => {
        const read = requestPath(target)
        if (read === undefined) return
        const rule = {
          name: 'a',
          route: route('route', { path: prefix, rewrite }),
          service: { namespace: 'default', service: 'a' },
          filter: undefined,
          policy: {},
          origin: 'a',
        }
        const table = routeTable([{ rule, source: 'registry', age: 0 }])
        if (table.match('GET', '', read.path) !== rule) return
        const sent = forwardPath(rule.route, read.path)
        expect(requestPath(sent)).toEqual({ path: sent, query: '' })
        if (rewrite !== undefined) expect(sent.startsWith(rewrite)).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })
})
