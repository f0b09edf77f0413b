import { type ErrorCode, errorCodes } from '@seamark/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { raw } from '../test/raw.ts'
import { type Serving, serving } from '../test/serving.ts'

let served: Serving
let token: string
let before: string

beforeAll(async () => {
  served = await serving({ bounds: { bodyBytes: 200_000, renewBodyBytes: 300_000 } })
  token = await served.register('api', 'i1', { tags: ['blue'], ttl: '1h' })
  await served.register('www', 'w1')
  await served.ask('PUT', '/namespaces/default/services/api/claims/primary', { token })
  before = await served.dump()
})

afterAll(async () => {
  await served[Symbol.asyncDispose]()
})

const service = '/namespaces/default/services/api'
const instance = `${service}/instances/i2`
const long = 'x'.repeat(1_000_000)
const pairs = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, 'v']))
const deep = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
const deepObject = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`

type Case = readonly [
  name: string,
  method: string,
  path: string,
  body: unknown,
  code: ErrorCode,
  field: string | undefined,
  headers?: Record<string, string>,
]

const put = (name: string, body: unknown, field: string, code: ErrorCode = 'invalid_field'): Case => [
  name,
  'PUT',
  instance,
  body,
  code,
  field,
]
const at = (name: string, path: string, field: string, code: ErrorCode = 'invalid_field'): Case => [
  name,
  'PUT',
  path,
  { port: 1 },
  code,
  field,
]
const get = (name: string, path: string, field: string, code: ErrorCode = 'invalid_field'): Case => [
  name,
  'GET',
  path,
  undefined,
  code,
  field,
]
const post = (
  name: string,
  path: string,
  body: unknown,
  field: string,
  code: ErrorCode = 'invalid_field',
): Case => [name, 'POST', path, body, code, field]
const check = (fields: object) => ({ port: 1, checks: [{ type: 'http', url: '/', ...fields }] })

const cases: readonly Case[] = [
  put('no port', {}, 'port'),
  put('port 0', { port: 0 }, 'port'),
  put('port 70000', { port: 70_000 }, 'port'),
  put('port -1', { port: -1 }, 'port'),
  put('port 1.5', { port: 1.5 }, 'port'),
  put('a port in text', { port: '3000' }, 'port'),
  put('port null', { port: null }, 'port'),
  put('a port that is a list', { port: [3000] }, 'port'),
  put('port true', { port: true }, 'port'),
  put('port 1e999', '{"port":1e999}', 'port'),
  put('an address that is a number', { port: 1, address: 127 }, 'address'),
  put('an address that is no host', { port: 1, address: 'a b' }, 'address'),
  put('an empty address', { port: 1, address: '' }, 'address'),
  put('an address with a port', { port: 1, address: '10.0.0.1:80' }, 'address'),
  put('an address that is too long', { port: 1, address: 'a'.repeat(300) }, 'address'),
  put('a scheme with a space', { port: 1, scheme: 'ht tp' }, 'scheme'),
  put('a scheme in upper case', { port: 1, scheme: 'HTTP' }, 'scheme'),
  put('a scheme that is null', { port: 1, scheme: null }, 'scheme'),
  put('a version that is none', { port: 1, version: 'latest' }, 'version'),
  put('a version that is a number', { port: 1, version: 2 }, 'version'),
  put('an empty zone', { port: 1, zone: '' }, 'zone'),
  put('a zone with a control character', { port: 1, zone: 'eu\n' }, 'zone'),
  put('a zone with half a character', '{"port":1,"zone":"\\ud800"}', 'zone'),
  put('weight -1', { port: 1, weight: -1 }, 'weight'),
  put('weight 65536', { port: 1, weight: 65_536 }, 'weight'),
  put('a weight in text', { port: 1, weight: '1' }, 'weight'),
  put('tags that are text', { port: 1, tags: 'blue' }, 'tags'),
  put('a tag that is a number', { port: 1, tags: ['a', 1] }, 'tags/1'),
  put('an empty tag', { port: 1, tags: [''] }, 'tags/0'),
  put('a tag that is too long', { port: 1, tags: ['a', 'x'.repeat(256)] }, 'tags/1'),
  put('too many tags', { port: 1, tags: Object.keys(pairs(65)) }, 'tags'),
  put('metadata that is a list', { port: 1, metadata: [] }, 'metadata'),
  put('metadata whose value is a number', { port: 1, metadata: { a: 1 } }, 'metadata/a'),
  put('metadata whose value is too long', { port: 1, metadata: { a: 'x'.repeat(1_025) } }, 'metadata/a'),
  put('metadata whose key is too long', { port: 1, metadata: { ['k'.repeat(256)]: 'x' } }, 'metadata'),
  put('metadata with an empty key', { port: 1, metadata: { '': 'x' } }, 'metadata'),
  put('metadata with __proto__', '{"port":1,"metadata":{"__proto__":"x"}}', 'metadata'),
  put('too much metadata', { port: 1, metadata: pairs(65) }, 'metadata'),
  put('__proto__', '{"port":1,"__proto__":{"port":2}}', '__proto__'),
  put('constructor', { port: 1, constructor: { prototype: {} } }, 'constructor'),
  put('an unknown field', { port: 1, prot: 1 }, 'prot'),
  put('a namespace in the body', { port: 1, namespace: 'other' }, 'namespace'),
  put('health, which is not the owner’s to say', { port: 1, health: { status: 'passing' } }, 'health'),
  put('ttl 0', { port: 1, ttl: 0 }, 'ttl'),
  put('ttl -1', { port: 1, ttl: -1 }, 'ttl'),
  put('ttl of two days', { port: 1, ttl: '48h' }, 'ttl'),
  put('ttl without a unit', { port: 1, ttl: '10' }, 'ttl'),
  put('ttl with an unknown unit', { port: 1, ttl: '10d' }, 'ttl'),
  put('ttl true', { port: 1, ttl: true }, 'ttl'),
  put('a ttl of part of a ms', { port: 1, ttl: 0.5 }, 'ttl'),
  put('checks that are an object', { port: 1, checks: {} }, 'checks'),
  put('a check that is text', { port: 1, checks: ['http'] }, 'checks/0'),
  put('a check without a type', { port: 1, checks: [{ url: '/' }] }, 'checks/0/type'),
  put('a check of an unknown type', { port: 1, checks: [{ type: 'ping' }] }, 'checks/0/type'),
  put('a check with a field of another type', check({ target: 'a:1' }), 'checks/0/target'),
  put('a check with an unknown field', check({ intervall: 1 }), 'checks/0/intervall'),
  put('a check without its url', { port: 1, checks: [{ type: 'http' }] }, 'checks/0/url'),
  put('a check more often than each second', check({ interval: 999 }), 'checks/0/interval'),
  put(
    'a check whose timeout exceeds its interval',
    check({ interval: '2s', timeout: '3s' }),
    'checks/0/timeout',
  ),
  put('a check whose interval is no duration', check({ interval: 'often' }), 'checks/0/interval'),
  put('a check whose header is none', check({ headers: { 'a b': 'c' } }), 'checks/0/headers/a b'),
  put('two checks of one id', { port: 1, checks: [{ type: 'tcp' }, { type: 'tcp' }] }, 'checks/1/id'),
  put('a check that is called maintenance', check({ id: 'maintenance' }), 'checks/0/id'),
  put(
    'too many checks',
    { port: 1, checks: Array.from({ length: 17 }, (_, n) => ({ type: 'tcp', id: `${n}` })) },
    'checks',
  ),
  put(
    'a check of a command',
    { port: 1, checks: [{ type: 'command', command: ['true'] }] },
    'checks/0/command',
    'not_allowed',
  ),
  put('a check of another host', check({ url: 'http://203.0.113.1/' }), 'checks/0/url', 'not_allowed'),
  put(
    'a check of the metadata address',
    check({ url: 'http://169.254.169.254/' }),
    'checks/0/url',
    'not_allowed',
  ),
  put('a body that is a list', [], 'body'),
  put('a body that is null', 'null', 'body'),
  put('a body that is text', '"port"', 'body'),
  put('a body that is not JSON', '{port:1}', 'body', 'invalid_request'),
  put('a body that is cut off', '{"port":1', 'body', 'invalid_request'),
  put('an empty body', '', 'body', 'invalid_request'),
  put('a body that is too large', { port: 1, zone: long }, 'body', 'too_large'),
  put('deep JSON as a field', `{"port":1,"tags":${deep(90_000)}}`, 'tags/0'),
  put('deep JSON as an unknown field', `{"port":1,"a":${deepObject(30_000)}}`, 'a'),
  put('deep JSON as metadata', `{"port":1,"metadata":{"a":${deepObject(30_000)}}}`, 'metadata/a'),
  put('deep JSON as a body', deep(90_000), 'body'),
  put('deep JSON that does not end', '['.repeat(190_000), 'body', 'invalid_request'),
  ['no body', 'PUT', instance, undefined, 'invalid_field', 'body'],
  [
    'a body of text',
    'PUT',
    instance,
    'port',
    'unsupported_media_type',
    'content-type',
    { 'content-type': 'text/plain' },
  ],
  [
    'a form',
    'POST',
    '/leases/release',
    'token=a',
    'unsupported_media_type',
    'content-type',
    { 'content-type': 'application/x-www-form-urlencoded' },
  ],
  [
    'JSON in another charset',
    'PUT',
    instance,
    { port: 1 },
    'unsupported_media_type',
    'content-type',
    { 'content-type': 'application/json; charset=utf-16' },
  ],
  [
    'a type that is nearly JSON',
    'PUT',
    instance,
    { port: 1 },
    'unsupported_media_type',
    'content-type',
    { 'content-type': 'application/jsonx' },
  ],
  [
    'a type that is none',
    'PUT',
    instance,
    { port: 1 },
    'unsupported_media_type',
    'content-type',
    { 'content-type': ';;' },
  ],
  at('a service in upper case', '/namespaces/default/services/Api/instances/i2', 'service'),
  at('a service with an underscore', '/namespaces/default/services/a_b/instances/i2', 'service'),
  at('a service that is too long', `/namespaces/default/services/${'a'.repeat(64)}/instances/i2`, 'service'),
  at(
    'a service that is far too long',
    `/namespaces/default/services/${'a'.repeat(20_000)}/instances/i2`,
    'service',
  ),
  at('a service of 1 MB', `/namespaces/default/services/${long}/instances/i2`, 'headers', 'too_large'),
  at('a namespace with an empty label', '/namespaces/a..b/services/api/instances/i2', 'namespace'),
  at(
    'a namespace that is too long',
    `/namespaces/${'a.'.repeat(130)}a/services/api/instances/i2`,
    'namespace',
  ),
  at('an id that is too long', `${service}/instances/${'i'.repeat(256)}`, 'id'),
  at('an id of 1 MB', `${service}/instances/${long}`, 'headers', 'too_large'),
  at('an id with a control character', `${service}/instances/i%00`, 'id'),
  at('an empty id', `${service}/instances/`, 'id'),
  at('an id that another service has', `${service}/instances/w1`, 'id', 'id_taken'),
  at(
    'a name of 256 bytes with names=any',
    `/namespaces/default/services/${'é'.repeat(128)}/instances/i2?names=any`,
    'service',
  ),
  at('names=all', `${instance}?names=all`, 'names'),
  at('names twice', `${instance}?names=any&names=any`, 'names'),
  at('an unknown parameter', `${instance}?ttl=10s`, 'ttl'),
  at('a percent sign alone', `${service}/instances/%`, 'url', 'invalid_request'),
  at('a percent-encoding that is not UTF-8', `${service}/instances/%FF`, 'url', 'invalid_request'),
  at('a percent-encoding that is not UTF-8 in the query', `${instance}?names=%ff`, 'url', 'invalid_request'),
  at('a path that is too long', `${instance}?names=${'a'.repeat(40_000)}`, 'url', 'too_large'),
  at('a path that is not there', `${service}/instance/i2`, 'url', 'route_not_found'),
  ['a method that is not there', 'PATCH', instance, { port: 1 }, 'route_not_found', 'url'],
  ['a deletion of nothing', 'DELETE', instance, undefined, 'instance_not_found', 'id'],
  ['a deletion with a parameter', 'DELETE', `${instance}?force=1`, undefined, 'invalid_field', 'force'],
  ['maintenance without enable', 'PUT', `${service}/instances/i1/maintenance`, {}, 'invalid_field', 'enable'],
  [
    'maintenance with enable in text',
    'PUT',
    `${service}/instances/i1/maintenance`,
    { enable: 'true' },
    'invalid_field',
    'enable',
  ],
  [
    'maintenance with a reason that is a number',
    'PUT',
    `${service}/instances/i1/maintenance`,
    { enable: true, reason: 1 },
    'invalid_field',
    'reason',
  ],
  [
    'health without checks',
    'PUT',
    `${service}/instances/i1/health`,
    { checks: [] },
    'invalid_field',
    'checks',
  ],
  [
    'health with too many checks',
    'PUT',
    `${service}/instances/i1/health`,
    { checks: Array.from({ length: 33 }, (_, n) => ({ id: `${n}`, status: 'passing' })) },
    'invalid_field',
    'checks',
  ],
  [
    'health of an unknown status',
    'PUT',
    `${service}/instances/i1/health`,
    { checks: [{ id: 'a', status: 'fine' }] },
    'invalid_field',
    'checks/0/status',
  ],
  [
    'health without a status',
    'PUT',
    `${service}/instances/i1/health`,
    { checks: [{ id: 'a' }] },
    'invalid_field',
    'checks/0/status',
  ],
  [
    'health of an empty id',
    'PUT',
    `${service}/instances/i1/health`,
    {
      checks: [
        { id: 'a', status: 'passing' },
        { id: '', status: 'passing' },
      ],
    },
    'invalid_field',
    'checks/1/id',
  ],
  post('no tokens', '/leases/renew', { tokens: [] }, 'tokens'),
  post('tokens that are text', '/leases/renew', { tokens: 'a' }, 'tokens'),
  post('a token that is a number', '/leases/renew', { tokens: ['a', 'b', 3] }, 'tokens/2'),
  post('too many tokens', '/leases/renew', { tokens: Array(10_001).fill('a') }, 'tokens'),
  post('tokens of too many bytes', '/leases/renew', { tokens: [long] }, 'body', 'too_large'),
  post('a resume without a token', '/leases/resume', {}, 'token'),
  post('a resume of null', '/leases/resume', { token: null }, 'token'),
  post('a release of an empty token', '/leases/release', { token: '' }, 'token'),
  post('a release with more than a token', '/leases/release', { token: 'a', force: true }, 'force'),
  ['a claim without a token', 'PUT', `${service}/claims/other`, {}, 'invalid_field', 'token'],
  [
    'a claim by a lease that is lost',
    'PUT',
    `${service}/claims/other`,
    { token: 'lost' },
    'lease_lost',
    undefined,
  ],
  [
    'a claim whose name is too long',
    'PUT',
    `${service}/claims/${'c'.repeat(256)}`,
    { token: 'a' },
    'invalid_field',
    'name',
  ],
  get('limit 0', `${service}?limit=0`, 'limit'),
  get('limit 10001', `${service}?limit=10001`, 'limit'),
  get('a limit that is text', `${service}?limit=ten`, 'limit'),
  get('a version that is no range', `${service}?version=%5E%5E`, 'version'),
  get('a version twice', `${service}?version=1&version=2`, 'version'),
  get('an unknown health', `${service}?health=good`, 'health/0'),
  get('metadata without a colon', `${service}?metadata=team`, 'metadata/0'),
  get('metadata of one key twice', `${service}?metadata=a:1&metadata=a:2`, 'metadata'),
  get('a negative index', `${service}?index=-1`, 'index'),
  get('an index that is text', `${service}?index=last`, 'index'),
  get('a wait without an index', `${service}?wait=1s`, 'wait'),
  get('a wait of an hour', `${service}?index=0&wait=1h`, 'wait'),
  get('a wait that is no duration', `${service}?index=0&wait=long`, 'wait'),
  get('__proto__ as a parameter', `${service}?__proto__=1`, '__proto__'),
  get('a choice by health', `${service}/instance?health=critical`, 'health'),
  get('a choice nobody fits', `${service}/instance?version=^9`, undefined as never, 'no_match'),
  get('a list of services with limit 1001', '/namespaces/default/services?limit=1001', 'limit'),
  get('a list of namespaces with a parameter', '/namespaces?limit=1', 'limit'),
  get('a namespace with a control character', '/namespaces/%07/services', 'namespace'),
  get('a watch of three parts', '/watch?service=a/b/c', 'service'),
  get('a watch of an empty service', '/watch?service=', 'service'),
  get('a watch of a percent-encoding that is not UTF-8', '/watch?service=%25ff', 'service'),
  get('a watch with an unknown parameter', '/watch?services=api', 'services'),
  [
    'a bad Last-Event-ID',
    'GET',
    '/watch',
    undefined,
    'invalid_field',
    'last-event-id',
    { 'last-event-id': 'seven' },
  ],
  [
    'a Last-Event-ID that is too long',
    'GET',
    '/watch',
    undefined,
    'invalid_field',
    'last-event-id',
    { 'last-event-id': `a:${'1'.repeat(40)}` },
  ],
  [
    'headers that are too long',
    'GET',
    '/status',
    undefined,
    'too_large',
    'headers',
    { 'x-long': 'x'.repeat(70_000) },
  ],
  get('a status with a parameter', '/status?a=1', 'a'),
  get('metrics with a parameter', '/metrics?a=1', 'a'),
]

describe('garbage', () => {
  it.each(cases.map((garbage) => [garbage[0], garbage] as const))(
    '%s is refused, named, and changes nothing',
    async (_name, [, method, path, body, code, field, headers]) => {
      const answer = await served.ask(method, path, body, headers)
      expect(answer.json).toMatchObject({ error: { code, message: expect.any(String) } })
      expect(answer.json.error.field).toBe(field)
      expect(answer.status).toBe(errorCodes[code].status)
      expect(answer.json.error.message.length).toBeLessThan(500)
      expect(await served.dump()).toBe(before)
    },
  )

  const body = '{"port":1,"zone":"'
  const head = `PUT /api/v1${instance} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n`
  const bytes: readonly (readonly [name: string, bytes: string | Buffer, code: ErrorCode, field: string])[] =
    [
      [
        'a body that is not UTF-8',
        Buffer.concat([
          Buffer.from(`${head}content-length: 21\r\n\r\n${body}`),
          Buffer.from([0xff, 0x22, 0x7d]),
        ]),
        'invalid_request',
        'body',
      ],
      ['no HTTP', 'hello\r\n\r\n', 'invalid_request', 'request'],
      ['a content-length that is none', `${head}content-length: many\r\n\r\n`, 'invalid_request', 'request'],
      [
        'two lengths',
        `${head}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}`,
        'invalid_request',
        'request',
      ],
      ['no Host', `GET /api/v1/status HTTP/1.1\r\nconnection: close\r\n\r\n`, 'host_not_allowed', 'host'],
      ['no Host, of old', `GET /api/v1/status HTTP/1.0\r\n\r\n`, 'host_not_allowed', 'host'],
      [
        'a foreign Host',
        `GET /api/v1/status HTTP/1.1\r\nhost: evil.example\r\n\r\n`,
        'host_not_allowed',
        'host',
      ],
      ['a Host that is none', `GET /api/v1/status HTTP/1.1\r\nhost: a b\r\n\r\n`, 'host_not_allowed', 'host'],
      [
        'a body without end',
        `${head}transfer-encoding: chunked\r\n\r\n${`10000\r\n${'x'.repeat(65_536)}\r\n`.repeat(4)}`,
        'too_large',
        'body',
      ],
      [
        'a body without its type',
        `PUT /api/v1${instance} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}`,
        'unsupported_media_type',
        'content-type',
      ],
    ]
  it.each(bytes)('%s is refused, named, and changes nothing', async (_name, bytes, code, field) => {
    const answer = await raw(served.server.port, bytes)
    expect(answer.status).toBe(errorCodes[code].status)
    expect(JSON.parse(answer.text)).toMatchObject({ error: { code, field } })
    expect(await served.dump()).toBe(before)
  })
})
