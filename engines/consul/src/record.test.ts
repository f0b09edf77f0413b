import { health, instance } from '@seamark/core'
import { describe, expect, it } from 'vitest'
import { keys } from './keys.ts'
import { claimRecord, claimValue, instanceRecord, instanceValue, leaseRecord, leaseValue } from './record.ts'

const base64 = (text: string) => Buffer.from(text).toString('base64')
const text = (value: string) => Buffer.from(value, 'base64').toString()

/** What is in users' clusters: another byte here is another format, and needs a way from the old one. */
describe('the format', () => {
  const registered = {
    instance: instance({
      namespace: 'default',
      service: 'api',
      id: 'i1',
      address: '10.0.0.1',
      port: 80,
      metadata: { team: 'ü' },
    }),
    health: health([{ id: 'up', status: 'warning', output: 'slow' }]),
    lease: 'hash',
  }

  it('of an instance stays', () => {
    const stored =
      '{"instance":{"namespace":"default","service":"api","id":"i1","address":"10.0.0.1","port":80,"scheme":"http","weight":1,"tags":[],"metadata":{"team":"ü"},"checks":[]},"checks":[{"id":"up","status":"warning","output":"slow"}],"lease":"hash"}'
    expect(text(instanceValue(registered))).toBe(stored)
    expect(instanceRecord(base64(stored))).toEqual(registered)
  })

  it('of a lease stays', () => {
    const key = { namespace: 'default', service: 'api', id: 'i1' }
    const stored = '{"namespace":"default","service":"api","id":"i1","ttl":20000}'
    expect(text(leaseValue({ ...key, ttl: 20_000 }))).toBe(stored)
    expect(leaseRecord(base64(stored))).toEqual({ ...key, ttl: 20_000 })
    expect(leaseRecord(leaseValue({ ...key, ttl: undefined }))).toEqual({ ...key, ttl: undefined })
  })

  it('of a claim stays', () => {
    const claim = { namespace: 'default', service: 'api', name: 'primary', id: 'i1', lease: 'hash' }
    const stored = '{"namespace":"default","service":"api","name":"primary","id":"i1","lease":"hash"}'
    expect(text(claimValue(claim))).toBe(stored)
    expect(claimRecord(base64(stored))).toEqual(claim)
  })

  it('of keys stays', () => {
    const { instance, claim, lease, revision } = keys('seamark')
    const service = { namespace: 'test.shop', service: 'a/b %' }
    expect(instance({ ...service, id: '..' })).toBe('seamark/services/test.shop/a%2Fb %25/instances/%2E.')
    expect(claim({ ...service, name: 'é' })).toBe('seamark/services/test.shop/a%2Fb %25/claims/%C3%A9')
    expect(lease('hash')).toBe('seamark/leases/hash')
    expect(revision).toBe('seamark/revision')
  })

  it('may gain fields in a newer Seamark', () => {
    const newer = JSON.parse(text(instanceValue(registered)))
    const stored = { ...newer, more: 1, instance: { ...newer.instance, more: 1 } }
    expect(instanceRecord(base64(JSON.stringify(stored)))).toEqual(registered)
  })

  it.each(['', '{', 'null', '[]', '{}', '{"instance":{},"checks":[],"lease":"x"}'])(
    'is not seen in what is none: %s',
    (stored) => {
      expect(() => instanceRecord(base64(stored))).toThrow()
      expect(() => leaseRecord(base64(stored))).toThrow()
      expect(() => claimRecord(base64(stored))).toThrow()
    },
  )
})
