import { describe, expect, test } from 'vitest'
import { naming } from './name.ts'

const app2 = { namespace: 'test.shop', service: 'app2' }

test.each([
  [{}, 'app2.test.shop', 'app2.test.shop'],
  [{ name: 'local' }, 'app2.test.shop.local', 'app2.test.shop.local'],
  [{ name: '.Local.' }, 'app2.test.shop.local', 'app2.test.shop.local'],
  [{ name: '{service}.service.consul.' }, 'app2.service.consul', 'app2.service.consul'],
  [{ name: 'x-{service}--{namespace}' }, 'x-app2--test.shop', 'x-app2--test.shop'],
  [{ name: 'local', srv: '_http._tcp' }, '_http._tcp.app2.test.shop.local', 'app2.test.shop.local'],
  [{ name: 'local', srv: '_{service}._tcp.consul' }, '_app2._tcp.consul', 'app2.test.shop.local'],
])('%o', (templates, services, addresses) => {
  expect(naming(templates)(app2)).toEqual({ services, addresses })
})

describe('a service that no name means', () => {
  const name = naming({ name: 'local' })
  test.each([
    { ...app2, service: 'a.b' },
    { ...app2, service: 'App2' },
    { ...app2, service: 'ä' },
    { ...app2, service: '-a' },
    { ...app2, service: '' },
    { ...app2, service: 'x'.repeat(64) },
    { ...app2, namespace: 'a..b' },
    { ...app2, namespace: 'a b' },
    { ...app2, namespace: Array.from({ length: 5 }, () => 'x'.repeat(60)).join('.') },
  ])('$namespace $service', (key) => {
    expect(name(key)).toBeUndefined()
  })
})
