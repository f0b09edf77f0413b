import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { identity } from './identity.ts'

describe('an identity', () => {
  it.each<[string, unknown, readonly string[]]>([
    ['roles', { roles: ['a', 'b'] }, ['a', 'b']],
    ['scope', { scope: 'a  b\tc ' }, ['a', 'b', 'c']],
    ['realm_access.roles', { realm_access: { roles: ['a'] } }, ['a']],
    ['https://shop.example/roles', { 'https://shop.example/roles': ['a'] }, ['a']],
    ['a.b', { 'a.b': ['whole'], a: { b: ['path'] } }, ['whole']],
    ['roles', {}, []],
    ['roles', { roles: null }, []],
    ['roles', { roles: { admin: true } }, []],
    ['roles', { roles: ['a', 1, null, '', ['b']] }, ['a']],
    ['roles.0', { roles: 'ab' }, []],
    ['constructor.name', {}, []],
    ['roles.length', { roles: ['a'] }, []],
    ['__proto__.roles', { a: 1 }, []],
  ])('has the roles of the claim %s of %j', (claim, claims, roles) => {
    expect(identity(claims as Record<string, unknown>, claim)?.roles).toEqual(roles)
  })

  it('is JSON in the header, without what the token does not say', () => {
    const known = identity({ sub: 'anna', iss: 'https://id.example', roles: ['a'], secret: 1 }, 'roles')
    expect(JSON.parse(known!.header)).toEqual({ sub: 'anna', iss: 'https://id.example', roles: ['a'] })
    expect(identity({ sub: 7, iss: ['x'] }, 'roles')).toEqual({
      subject: undefined,
      roles: [],
      header: '{"roles":[]}',
    })
  })

  it('goes through a header as ASCII, whatever is in it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.array(fc.string({ unit: 'binary' })), (sub, roles) => {
        const known = identity({ sub, roles }, 'roles')
        if (known === undefined) return
        expect(known.header).toMatch(/^[\x20-\x7e]*$/)
        expect(JSON.parse(known.header)).toEqual({ sub, roles: roles.filter((role) => role !== '') })
      }),
    )
  })

  it('is none when it does not fit', () => {
    expect(identity({ sub: 'a'.repeat(4_000) }, 'roles')).toBeDefined()
    expect(identity({ sub: 'a'.repeat(4_096) }, 'roles')).toBeUndefined()
    expect(identity({ sub: 'ä'.repeat(700) }, 'roles')).toBeUndefined()
  })
})
