import { instance } from '@seamark/core'
import { describe, expect, it } from 'vitest'
import { curatorJson, curatorRecord } from './curator.ts'

const key = { namespace: 'default', service: 'pay', id: '5f2e' }

/** As Curator's serializer writes an instance of Spring Cloud ZooKeeper. */
const springJson =
  '{"name":"pay","id":"5f2e","address":"host","port":8004,"sslPort":null,"payload":{"@class":"org.springframework.cloud.zookeeper.discovery.ZookeeperInstance","id":"application-1","name":"pay","metadata":{"instance_status":"UP"}},"registrationTimeUTC":1591148022189,"serviceType":"DYNAMIC","uriSpec":{"parts":[{"value":"scheme","variable":true},{"value":"://","variable":false},{"value":"address","variable":true},{"value":":","variable":false},{"value":"port","variable":true}]}}'

function read(record: object) {
  return curatorRecord(key, Buffer.from(JSON.stringify(record)))
}

describe('what Curator and Spring wrote', () => {
  it('is an instance', () => {
    expect(curatorRecord(key, Buffer.from(springJson))).toEqual({
      instance: instance({ ...key, address: 'host', port: 8_004, metadata: { instance_status: 'UP' } }),
      checks: [],
    })
  })

  it.each([
    [
      { port: 80, sslPort: null },
      { port: 80, scheme: 'http' },
    ],
    [
      { port: 80, sslPort: 443 },
      { port: 80, scheme: 'http' },
    ],
    [
      { port: null, sslPort: 443 },
      { port: 443, scheme: 'https' },
    ],
    [
      { port: 0, sslPort: 443 },
      { port: 443, scheme: 'https' },
    ],
    [
      { port: null, sslPort: null },
      { port: 0, scheme: 'http' },
    ],
    [{}, { port: 0, scheme: 'http' }],
    [{ port: -1 }, { port: 0, scheme: 'http' }],
  ])('with the ports %j is %j', (ports, expected) => {
    expect(read({ address: 'host', ...ports }).instance).toMatchObject(expected)
  })

  it.each([
    [{ payload: null }, {}],
    [{ payload: 'text' }, {}],
    [{ payload: { metadata: null } }, {}],
    [{ payload: { metadata: { a: '1', b: 2, c: null } } }, { a: '1' }],
  ])('with %j has the metadata %j', (payload, metadata) => {
    expect(read({ address: 'host', ...payload }).instance.metadata).toEqual(metadata)
  })

  it.each([
    ['UP', []],
    ['', []],
    ['DOWN', [{ id: 'instance_status', status: 'critical', output: 'DOWN' }]],
    ['OUT_OF_SERVICE', [{ id: 'instance_status', status: 'maintenance', output: 'OUT_OF_SERVICE' }]],
  ])('with the status "%s" has the results %j', (status, checks) => {
    expect(read({ address: 'host', payload: { metadata: { instance_status: status } } }).checks).toEqual(
      checks,
    )
  })

  it('may be disabled', () => {
    expect(read({ address: 'host', enabled: true }).checks).toEqual([])
    expect(read({ address: 'host', enabled: false }).checks).toMatchObject([{ status: 'maintenance' }])
  })

  it.each([
    '',
    'null',
    '[]',
    '{',
    '{}',
    '{"address":""}',
    '{"address":"a b"}',
    '{"address":"h","port":"80"}',
  ])('%j is no instance', (text) => expect(() => curatorRecord(key, Buffer.from(text))).toThrow())
})

describe('what we write', () => {
  it('is what Curator and Spring read, to the byte', () => {
    const plain = instance({ ...key, address: 'host', port: 8_004 })
    expect(curatorJson(plain, 1_591_148_022_189, 10_000).toString()).toBe(
      springJson
        .replace('"application-1"', '"5f2e"')
        .replace('"UP"', '"UP","seamark.scheme":"http","seamark.weight":"1"'),
    )
  })

  it('says that it stays when it has no TTL', () => {
    const json = curatorJson(instance({ ...key, address: 'host', port: 1 }), 1, undefined)
    expect(JSON.parse(json.toString())).toMatchObject({ serviceType: 'PERMANENT' })
  })

  it('has the port of https where Curator looks for it', () => {
    const secure = instance({ ...key, address: 'host', port: 443, scheme: 'https' })
    const record = JSON.parse(curatorJson(secure, 1, 1).toString())
    expect(record).toMatchObject({ port: null, sslPort: 443 })
    expect(record.uriSpec.parts.at(-1)).toEqual({ value: 'ssl-port', variable: true })
    expect(curatorRecord(key, curatorJson(secure, 1, 1)).instance).toEqual(secure)
  })

  it('carries everything in the metadata, where Spring shows it', () => {
    const full = instance({
      ...key,
      address: '::1',
      port: 0,
      scheme: 'grpc',
      version: '2.1.0',
      zone: 'a',
      weight: 0,
      tags: ['b', 'a'],
      checks: [{ type: 'tcp', target: 'host:1' }],
      metadata: { team: 'x', instance_status: 'DOWN', 'seamark.tags': 'mine', 'seamark.metadata.y': 'z' },
    })
    const json = curatorJson(full, 1, 1)
    expect(JSON.parse(json.toString()).payload.metadata).toEqual({
      instance_status: 'DOWN',
      team: 'x',
      'seamark.metadata.instance_status': 'DOWN',
      'seamark.metadata.seamark.tags': 'mine',
      'seamark.metadata.seamark.metadata.y': 'z',
      'seamark.scheme': 'grpc',
      'seamark.weight': '0',
      'seamark.version': '2.1.0',
      'seamark.zone': 'a',
      'seamark.tags': '["b","a"]',
      'seamark.checks': JSON.stringify(full.checks),
    })
    expect(curatorRecord(key, json)).toEqual({ instance: full, checks: [] })
  })
})
