import { assert, property, string } from 'fast-check'
import { expect, test } from 'vitest'
import { claimName, instanceName, named, serviceName } from './names.ts'

const part = string({ unit: 'grapheme', minLength: 1, maxLength: 20 })

test('names can be read by people', () => {
  const service = { namespace: 'test.shop', service: 'api' }
  expect(serviceName(service)).toBe('test.shop/api/')
  expect(instanceName({ ...service, id: '127.0.0.1:3000' })).toBe('test.shop/api/i/127.0.0.1:3000')
  expect(claimName({ ...service, name: 'a/b%' })).toBe('test.shop/api/c/a%2Fb%25')
})

test('a name says what it stands for, whatever that is called', () => {
  assert(
    property(part, part, part, (namespace, service, last) => {
      const key = { namespace, service, id: last }
      expect(named(instanceName(key))).toEqual({ kind: 'instance', key })
      const claim = { namespace, service, name: last }
      expect(named(claimName(claim))).toEqual({ kind: 'claim', key: claim })
    }),
  )
})

test('what begins like a service is in it', () => {
  assert(
    property(part, part, part, part, part, (namespace, service, other, another, id) => {
      const within = instanceName({ namespace: other, service: another, id }).startsWith(
        serviceName({ namespace, service }),
      )
      expect(within).toBe(namespace === other && service === another)
    }),
  )
})

test.for(['', '/', 'a', 'a/b', 'a/b/i', 'a/b/i/', 'a/b/x/c', 'a/b/i/c/d', '/b/i/c', 'a//i/c'])(
  '%j is no name',
  (name) => {
    expect(named(name)).toBeUndefined()
  },
)
