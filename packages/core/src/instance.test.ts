import { describe, expect, it } from 'vitest'
import { SeamarkError } from './errors.ts'
import { type InstanceInput, instance, splitTarget } from './instance.ts'

const least = { namespace: 'default', service: 'api', id: 'i1', address: '10.0.0.1', port: 3000 }

function wrong(more: object): string | undefined {
  try {
    instance({ ...least, ...more } as InstanceInput)
    return undefined
  } catch (error) {
    expect(error).toBeInstanceOf(SeamarkError)
    expect((error as SeamarkError).code).toBe('invalid_field')
    expect((error as SeamarkError).message).toContain((error as SeamarkError).field)
    return (error as SeamarkError).field
  }
}

describe('an instance', () => {
  it('is completed with its defaults, and frozen through and through', () => {
    const made = instance({ ...least, tags: ['a', 'b', 'a'], checks: [{ type: 'http', url: '/healthz' }] })
    expect(made).toEqual({
      ...least,
      scheme: 'http',
      weight: 1,
      tags: ['a', 'b'],
      metadata: {},
      checks: [
        {
          id: 'http',
          type: 'http',
          url: '/healthz',
          method: 'GET',
          headers: {},
          interval: 10_000,
          timeout: 10_000,
          successThreshold: 1,
          failureThreshold: 1,
        },
      ],
    })
    for (const part of [made, made.tags, made.metadata, made.checks, made.checks[0]])
      expect(Object.isFrozen(part)).toBe(true)
  })

  it('can be made of itself', () => {
    const made = instance({
      ...least,
      version: '1.2.3-rc.1+build',
      zone: 'eu-1',
      metadata: { team: 'shop' },
      checks: [
        { type: 'tcp', target: '[::1]:80', id: 't', interval: 2_000 },
        { type: 'grpc', deregisterAfter: 60_000 },
        { type: 'command', command: ['true'] },
      ],
    })
    expect(instance(made)).toEqual(made)
  })

  it.each<[string, object]>([
    ['service', { service: '' }],
    ['namespace', { namespace: 'a\nb' }],
    ['id', { id: 'x'.repeat(256) }],
    ['id', { id: 7 }],
    ['address', { address: '' }],
    ['address', { address: 'a b' }],
    ['address', { address: 'http://x' }],
    ['address', { address: '-x.de' }],
    ['port', { port: -1 }],
    ['port', { port: 70_000 }],
    ['port', { port: 1.5 }],
    ['port', { port: '80' }],
    ['scheme', { scheme: 'HTTP' }],
    ['version', { version: 'v1.0.0' }],
    ['version', { version: '1' }],
    ['version', { version: '' }],
    ['zone', { zone: '' }],
    ['weight', { weight: -1 }],
    ['weight', { weight: Number.NaN }],
    ['tags', { tags: 'a' }],
    ['tags', { tags: Array.from({ length: 65 }, (_, index) => `t${index}`) }],
    ['tags/1', { tags: ['a', ''] }],
    ['tags/0', { tags: [7] }],
    ['metadata', { metadata: [] }],
    ['metadata', { metadata: { '': 'x' } }],
    ['metadata', { metadata: JSON.parse('{"__proto__":"x"}') }],
    ['metadata/team', { metadata: { team: 1 } }],
    ['metadata/team', { metadata: { team: 'x'.repeat(1_025) } }],
    ['checks', { checks: {} }],
    ['checks/0', { checks: [7] }],
    ['checks/0/type', { checks: [{ type: 'icmp' }] }],
    ['checks/0/type', { checks: [{ type: 'constructor' }] }],
    ['checks/0/url', { checks: [{ type: 'http' }] }],
    ['checks/0/url', { checks: [{ type: 'http', url: 'file:///etc/passwd' }] }],
    ['checks/0/method', { checks: [{ type: 'http', url: '/', method: 'DELETE' }] }],
    ['checks/0/headers/a b', { checks: [{ type: 'http', url: '/', headers: { 'a b': 'c' } }] }],
    ['checks/0/interval', { checks: [{ type: 'tcp', interval: 10 }] }],
    ['checks/0/timeout', { checks: [{ type: 'tcp', interval: 2_000, timeout: 3_000 }] }],
    ['checks/0/target', { checks: [{ type: 'tcp', target: 'host' }] }],
    ['checks/0/target', { checks: [{ type: 'tcp', target: 'host:0' }] }],
    ['checks/0/successThreshold', { checks: [{ type: 'tcp', successThreshold: 0 }] }],
    ['checks/0/command', { checks: [{ type: 'command' }] }],
    ['checks/0/command/0', { checks: [{ type: 'command', command: [1] }] }],
    ['checks/0/url', { checks: [{ type: 'tcp', url: '/' }] }],
    ['checks/0/initial', { checks: [{ type: 'tcp', initial: 'maintenance' }] }],
    ['checks/0/ttl', { checks: [{ type: 'tcp', ttl: 5_000 }] }],
    ['checks/0/ttl', { checks: [{ type: 'reported', ttl: 10 }] }],
    ['checks/0/interval', { checks: [{ type: 'reported', interval: 5_000 }] }],
    ['checks/0/id', { checks: [{ type: 'tcp', id: 'maintenance' }] }],
    ['checks/1/id', { checks: [{ type: 'tcp' }, { type: 'tcp' }] }],
    ['adress', { adress: '10.0.0.2' }],
  ])('names the field %s of %j', (field, more) => {
    expect(wrong(more)).toBe(field)
  })

  it.each(['10.0.0.1', '::1', 'localhost', 'app.test.shop.local', 'db_1.example.com.', 'XN--E1AFMKFD'])(
    'takes the address %s',
    (address) => {
      expect(wrong({ address })).toBeUndefined()
    },
  )

  it('takes targets apart', () => {
    expect(splitTarget('[::1]:80')).toEqual({ host: '::1', port: 80 })
    expect(splitTarget('db:5432')).toEqual({ host: 'db', port: 5432 })
    expect(splitTarget('db').port).toBeNaN()
  })
})
