import { route } from '@seamark/core'
import { describe, expect, it } from 'vitest'
import { forwardPath } from './forward-path.ts'

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
})
