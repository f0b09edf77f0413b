import { assert, property, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { escaped, paths, unescaped } from './paths.ts'

describe('names of nodes', () => {
  it.each(['pay', 'application-1', 'my.service', 'a b', 'café', '127.0.0.1:3000', '...', 'A_b!'])(
    '%s is what Curator writes, as it is',
    (name) => expect(escaped(name)).toBe(name),
  )

  it.each([
    ['.', '%2E'],
    ['..', '%2E%2E'],
    ['a/b', 'a%2Fb'],
    ['50%', '50%25'],
    ['\u{1f600}', '%F0%9F%98%80'],
    ['\ue000', '%EE%80%80'],
    ['\uffff', '%EF%BF%BF'],
  ])('%s is escaped', (name, node) => {
    expect(escaped(name)).toBe(node)
    expect(unescaped(node)).toBe(name)
  })

  it.each(['50%', '%zz', '%2f', '%41', '%FF'])('%s was never made of a name', (node) => {
    expect(unescaped(node)).toBeUndefined()
  })

  it('come back as they were', () => {
    assert(
      property(string({ unit: 'binary', minLength: 1 }), (name) => {
        const node = escaped(name)
        expect(node).not.toContain('/')
        expect(unescaped(node)).toBe(name)
      }),
    )
  })

  it('keep what Curator sees apart from what it does not', () => {
    const { instance, state, lease, claim } = paths('/services')
    const key = { namespace: 'default', service: 'a/b', id: 'i!1' }
    expect(instance(key)).toBe('/services/a%2Fb/i!1')
    expect(instance({ ...key, namespace: 'test.shop' })).toBe(
      '/services-seamark/namespaces/test.shop/a%2Fb/i!1',
    )
    expect(state(key)).toBe('/services-seamark/state/default!a%2Fb!i%211')
    expect(lease('x')).toBe('/services-seamark/leases/x')
    expect(claim({ ...key, name: 'primary' })).toBe('/services-seamark/claims/default!a%2Fb!primary')
  })
})
