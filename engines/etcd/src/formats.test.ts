import { type Instance, type InstanceKey, instance } from '@seamark/core'
import { assert, property, record, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Format } from './format.ts'
import { grpcFormat } from './grpc-format.ts'
import { seamarkFormat } from './seamark-format.ts'

const plain: InstanceKey = { namespace: 'default', service: 'api', id: '10.0.0.1:8080' }
const full = instance({
  namespace: 'test.shop',
  service: 'api',
  id: 'i1',
  address: '10.0.0.1',
  port: 8080,
  scheme: 'grpc',
  version: '2.1.0',
  zone: 'eu-1',
  weight: 3,
  tags: ['canary'],
  metadata: { team: 'checkout' },
  checks: [{ id: 'up', type: 'tcp' }],
})
const decoded = (format: Format, key: InstanceKey, value: string): Instance =>
  format.decode(key, Buffer.from(value)).instance

describe("Seamark's own format", () => {
  const format = seamarkFormat('/seamark')

  it('lays out what is known of a service side by side', () => {
    expect(String(format.instance(plain))).toBe('/seamark/services/default/api/instances/10.0.0.1:8080')
    expect(String(format.health(plain))).toBe('/seamark/services/default/api/health/10.0.0.1:8080')
    expect(String(format.claim({ ...plain, name: 'shard/1' }))).toBe(
      '/seamark/services/default/api/claims/shard%2F1',
    )
    expect(String(format.lease('abc'))).toBe('/seamark/leases/abc')
    expect(format.items).toBe('/seamark/items/')
    expect(format.ranges([plain]).map(({ from, end }) => [String(from), String(end)])).toEqual([
      ['/seamark/services/default/api/', '/seamark/services/default/api0'],
    ])
    expect(format.ranges().map(({ from, end }) => [String(from), String(end)])).toEqual([
      ['/seamark/services/', '/seamark/services0'],
    ])
  })

  it('keeps an instance as JSON, byte for byte', () => {
    expect(String(format.encode({ instance: full, lease: 'abc' }))).toBe(
      '{"namespace":"test.shop","service":"api","id":"i1","address":"10.0.0.1","port":8080,"scheme":"grpc",' +
        '"version":"2.1.0","zone":"eu-1","weight":3,"tags":["canary"],"metadata":{"team":"checkout"},' +
        '"checks":[{"id":"up","type":"tcp","interval":10000,"timeout":10000,"successThreshold":1,"failureThreshold":1}],' +
        '"lease":"abc"}',
    )
  })

  it('reads what a newer Seamark wrote', () => {
    const value =
      '{"namespace":"default","service":"api","id":"10.0.0.1:8080","address":"h","port":1,"new":{}}'
    expect(format.decode(plain, Buffer.from(value))).toEqual({
      instance: instance({ ...plain, address: 'h', port: 1 }),
      lease: undefined,
    })
  })

  it.each([
    '',
    'null',
    '[]',
    '{"namespace":"default"}',
    '{"namespace":"default","service":"api","id":"other","address":"h","port":1}',
    '{"namespace":"default","service":"api","id":"10.0.0.1:8080","address":"h","port":"1"}',
  ])('refuses %s', (value) => {
    expect(() => decoded(format, plain, value)).toThrow()
  })

  it('takes no other key for one of its own', () => {
    for (const key of [
      '/seamark/services/default/api/instances/',
      '/seamark/services/default/api/instances/a/b',
      '/seamark/services/default/api/instances/%2e',
      '/seamark/services/default/api/others/i1',
      '/seamark/leases/abc',
      '/seamark2/services/default/api/instances/i1',
    ])
      expect(format.place(Buffer.from(key))).toBeUndefined()
  })
})

describe("gRPC's naming format", () => {
  const format = grpcFormat('services')

  it('puts endpoints where a resolver looks for them, and the rest where it does not', () => {
    expect(String(format.instance(plain))).toBe('services/api/10.0.0.1:8080')
    expect(String(format.instance(full))).toBe('services/test.shop/api/i1')
    expect(String(format.instance({ ...plain, namespace: 'a/b' }))).toBe('services/a/b/api/10.0.0.1:8080')
    expect(String(format.health(plain))).toBe('services/.seamark/health/default/api/10.0.0.1:8080')
    expect(String(format.claim({ ...plain, name: 'primary' }))).toBe(
      'services/.seamark/claims/default/api/primary',
    )
    expect(String(format.lease('abc'))).toBe('services/.seamark/leases/abc')
    expect(format.items).toBe('services/.seamark/items/')
    expect(format.ranges().map(({ from, end }) => [String(from), String(end)])).toEqual([
      ['services/', 'services/.seamark/items/'],
      ['services/.seamark/items0', 'services0'],
    ])
    expect(String(grpcFormat('').instance(plain))).toBe('api/10.0.0.1:8080')
  })

  it('writes an endpoint, byte for byte, and what else there is as text', () => {
    expect(String(format.encode({ instance: full, lease: 'abc' }))).toBe(
      '{"Op":0,"Addr":"10.0.0.1:8080","Metadata":"{\\"seamark\\":{\\"scheme\\":\\"grpc\\",\\"version\\":\\"2.1.0\\",' +
        '\\"zone\\":\\"eu-1\\",\\"weight\\":3,\\"tags\\":[\\"canary\\"],\\"metadata\\":{\\"team\\":\\"checkout\\"},' +
        '\\"checks\\":[{\\"id\\":\\"up\\",\\"type\\":\\"tcp\\",\\"interval\\":10000,\\"timeout\\":10000,' +
        '\\"successThreshold\\":1,\\"failureThreshold\\":1}],\\"lease\\":\\"abc\\"}}"}',
    )
  })

  it.each([
    ['10.0.0.1:8080', { address: '10.0.0.1', port: 8080 }],
    ['[::1]:8080', { address: '::1', port: 8080 }],
    ['::1', { address: '::1', port: 0 }],
    ['host.example.org:443', { address: 'host.example.org', port: 443 }],
    ['host', { address: 'host', port: 0 }],
  ])('writes and reads the address %s', (Addr, place) => {
    const theirs = instance({ ...plain, ...place, scheme: 'grpc' })
    expect(decoded(format, plain, JSON.stringify({ Op: 0, Addr, Metadata: null }))).toEqual(theirs)
    const ours = String(format.encode({ instance: theirs, lease: 'abc' }))
    expect(JSON.parse(ours)).toMatchObject({ Op: 0, Addr, Metadata: expect.any(String) })
    expect(decoded(format, plain, ours)).toEqual(theirs)
  })

  it('takes over what others say of their endpoints, as far as metadata can hold it', () => {
    const value = { Op: 0, Addr: 'h:1', Metadata: { zone: 'a', weight: 2, warm: true, more: {}, none: null } }
    const { metadata, scheme, weight } = decoded(format, plain, JSON.stringify(value))
    expect({ metadata, scheme, weight }).toEqual({
      metadata: { zone: 'a', weight: '2', warm: 'true' },
      scheme: 'grpc',
      weight: 1,
    })
    const text = { Op: 0, Addr: 'h:1', Metadata: 'their own' }
    expect(decoded(format, plain, JSON.stringify(text)).metadata).toEqual({})
  })

  it.each([
    '',
    'null',
    '[]',
    '"h:1"',
    '{"Op":1,"Addr":"h:1"}',
    '{"Op":0}',
    '{"Op":0,"Addr":"unix:///s"}',
    '{"Op":0,"Addr":"h:x"}',
  ])('refuses %s', (value) => {
    expect(() => decoded(format, plain, value)).toThrow()
  })

  it('takes one key for an instance, and not others that would be the same', () => {
    for (const key of [
      'services/api',
      'services/default/api/i1',
      'services//api/i1',
      'services/api/',
      'services/a%2Fb/api/i1',
      'services/.seamark/leases/abc',
      'services/.hidden/i1',
      'other/api/i1',
    ])
      expect(format.place(Buffer.from(key))).toBeUndefined()
    expect(format.place(Buffer.from('services/my service/10.0.0.1:8080'))).toEqual({
      kind: 'instance',
      key: { namespace: 'default', service: 'my service', id: '10.0.0.1:8080' },
    })
  })
})

describe.each([
  ["Seamark's own format", seamarkFormat('/seamark')],
  ["gRPC's naming format", grpcFormat('services')],
  ["gRPC's naming format without a prefix", grpcFormat('')],
])('in %s', (_, format) => {
  const name = string({ unit: 'binary', minLength: 1, maxLength: 8 }).filter((text) => text.isWellFormed())

  it('every name comes back, and no two share a key', () => {
    const keys = record({ namespace: name, service: name, id: name })
    assert(
      property(keys, keys, (key, other) => {
        const at = format.instance(key)
        expect(format.place(at)).toEqual({ kind: 'instance', key })
        expect(format.place(format.health(key))).toEqual({ kind: 'health', key })
        const { id, ...service } = key
        const claim = { ...service, name: id }
        expect(format.place(format.claim(claim))).toEqual({ kind: 'claim', key: claim })
        expect(at.equals(format.instance(other))).toBe(JSON.stringify(key) === JSON.stringify(other))
      }),
    )
  })
})
