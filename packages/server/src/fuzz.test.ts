import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { raw } from '../test/raw.ts'
import { type Serving, serving } from '../test/serving.ts'

let served: Serving

beforeAll(async () => {
  served = await serving()
})

afterAll(async () => {
  await served[Symbol.asyncDispose]()
})

const seed = 20_261_121

/** What is usual nine times of ten, and anything else once. */
function mostly<T>(usual: fc.Arbitrary<T>, unusual: fc.Arbitrary<unknown> = anything): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 9, arbitrary: usual }, { weight: 1, arbitrary: unusual })
}

const text = fc.string({ unit: 'binary', maxLength: 300 }).map((text) => text.toWellFormed())
const anything = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom('', '1s', -1, 1e9, [], {}, null, true),
)
const name = (...usual: string[]) =>
  mostly(fc.constantFrom(...usual), text).map((name) => encodeURIComponent(String(name)))
const duration = fc.constantFrom('1s', '10m', 60_000, '90000ms')

const checks = fc.array(
  fc.record(
    {
      type: mostly(fc.constantFrom('http', 'tcp', 'grpc')),
      id: mostly(fc.constantFrom('a', 'b', 'c')),
      url: mostly(fc.constantFrom('/', '/healthz')),
      target: mostly(fc.constantFrom('127.0.0.1:1', '[::1]:1')),
      interval: mostly(duration),
      timeout: mostly(fc.constantFrom('1s', 500)),
    },
    { requiredKeys: ['type'] },
  ),
  { maxLength: 2 },
)
const registration = mostly(
  fc.record(
    {
      port: mostly(fc.integer({ min: 1, max: 65_535 })),
      address: mostly(fc.constantFrom('127.0.0.1', '::1', 'host.example')),
      scheme: mostly(fc.constantFrom('http', 'grpc')),
      version: mostly(fc.constantFrom('1.0.0', '2.1.0-rc.1')),
      zone: mostly(text),
      weight: mostly(fc.integer({ min: 0, max: 65_535 })),
      tags: mostly(fc.array(fc.constantFrom('blue', 'green', 'é'))),
      metadata: mostly(fc.dictionary(fc.constantFrom('a', 'b', '__proto__', 'toString'), text)),
      checks: mostly(checks),
      ttl: mostly(duration),
      unknown: anything,
    },
    { requiredKeys: ['port'] },
  ),
)
const token = fc.record({ token: mostly(fc.constantFrom('a', 'b')) })
const reports = fc.array(
  fc.record({
    id: mostly(fc.constantFrom('a', 'b')),
    status: mostly(fc.constantFrom('passing', 'critical', null)),
    output: mostly(text),
  }),
  { minLength: 1, maxLength: 3 },
)

const service = fc
  .tuple(name('default', 'test.shop'), name('api', 'www'))
  .map(([namespace, service]) => `/namespaces/${namespace}/services/${service}`)
const instance = fc.tuple(service, name('i1', 'i2', 'i3')).map((parts) => parts.join('/instances/'))
const claim = fc.tuple(service, name('primary')).map((parts) => parts.join('/claims/'))

const selection = fc.array(
  fc.oneof(
    fc.tuple(fc.constant('version'), mostly(fc.constantFrom('^1', '2.x'))),
    fc.tuple(fc.constant('tag'), mostly(fc.constantFrom('blue'))),
    fc.tuple(fc.constant('zone'), text),
    fc.tuple(fc.constant('health'), mostly(fc.constantFrom('passing', 'critical'))),
    fc.tuple(fc.constant('metadata'), mostly(fc.constantFrom('a:b', 'b:'))),
    fc.tuple(fc.constant('after'), text),
    fc.tuple(fc.constant('limit'), mostly(fc.integer({ min: 1, max: 100 }))),
    fc.tuple(fc.constant('index'), mostly(fc.nat(20))),
  ),
  { maxLength: 2 },
)
const query = selection.map((pairs) => {
  const query = new URLSearchParams()
  for (const [name, value] of pairs) query.append(name, String(value).toWellFormed())
  if (query.has('index')) query.append('wait', '1ms') // By default it would be five minutes.
  return `?${query}`
})
const wide = fc.constantFrom('', '', '?names=any')

type Operation = readonly [method: string, path: string, query: string, body: unknown]
const operation = (
  method: string,
  path: fc.Arbitrary<string>,
  query: fc.Arbitrary<string>,
  body: fc.Arbitrary<unknown> = fc.constant(undefined),
) => fc.tuple(fc.constant(method), path, query, body) as fc.Arbitrary<Operation>
const none = fc.constant('')

const operations = fc.oneof(
  { weight: 6, arbitrary: operation('PUT', instance, wide, registration) },
  { weight: 2, arbitrary: operation('GET', instance, wide) },
  { weight: 1, arbitrary: operation('DELETE', instance, wide) },
  {
    weight: 2,
    arbitrary: operation(
      'PUT',
      instance.map((path) => `${path}/maintenance`),
      wide,
      fc.record({ enable: mostly(fc.boolean()), reason: mostly(text) }),
    ),
  },
  {
    weight: 2,
    arbitrary: operation(
      'PUT',
      instance.map((path) => `${path}/health`),
      wide,
      fc.record({ checks: mostly(reports) }),
    ),
  },
  {
    weight: 1,
    arbitrary: operation(
      'POST',
      fc.constant('/leases/renew'),
      none,
      fc.record({ tokens: mostly(fc.array(fc.string(), { minLength: 1 })) }),
    ),
  },
  {
    weight: 1,
    arbitrary: operation('POST', fc.constantFrom('/leases/resume', '/leases/release'), none, token),
  },
  { weight: 1, arbitrary: operation('PUT', claim, wide, token) },
  {
    weight: 1,
    arbitrary: operation(
      'POST',
      claim.map((path) => `${path}/release`),
      wide,
      token,
    ),
  },
  { weight: 4, arbitrary: operation('GET', service, query) },
  { weight: 1, arbitrary: operation('HEAD', service, query) },
  {
    weight: 2,
    arbitrary: operation(
      'GET',
      service.map((path) => `${path}/instance`),
      query,
    ),
  },
  {
    weight: 1,
    arbitrary: operation(
      'GET',
      fc.constantFrom('/namespaces', '/namespaces/default/services', '/status', '/docs', '/metrics'),
      fc.oneof(none, query),
    ),
  },
  { weight: 1, arbitrary: operation('DELETE', fc.oneof(service, claim), query, anything) },
)

it('never makes the server fail or hang, whatever is asked', async () => {
  const outcomes = { accepted: 0, refused: 0 }
  await fc.assert(
    fc.asyncProperty(operations, async ([method, path, query, body]) => {
      const answer = await served.ask(method, path + query, body)
      expect(answer.status).toBeLessThan(500)
      if (answer.status < 400) outcomes.accepted++
      else {
        outcomes.refused++
        if (method !== 'HEAD')
          expect(answer.json.error).toMatchObject({ code: expect.any(String), message: expect.any(String) })
      }
    }),
    { numRuns: 3_000, seed },
  )
  // It would prove little if it never got past the door, or never met it.
  expect(outcomes.accepted).toBeGreaterThan(500)
  expect(outcomes.refused).toBeGreaterThan(500)
  expect((await served.ask('GET', '/status')).status).toBe(200)
}, 120_000)

it('never makes the server fail or hang, whatever bytes are sent', async () => {
  const line = fc.string({ maxLength: 60 })
  const almost = fc
    .tuple(fc.constantFrom('GET', 'PUT', 'POST', 'BREW'), line, fc.array(line, { maxLength: 5 }), text)
    .map(([method, path, headers, body]) =>
      [`${method} /${path} HTTP/1.1`, 'host: localhost', 'connection: close', ...headers, '', body].join(
        '\r\n',
      ),
    )
  const bytes = fc
    .oneof(fc.uint8Array({ maxLength: 400 }), almost)
    .map((bytes) => Buffer.from(bytes as string))
  await fc.assert(
    fc.asyncProperty(bytes, async (bytes) => {
      // What follows ends every request that is still open.
      const end = Buffer.from('\r\n\r\n\0\0\r\n\r\n')
      expect((await raw(served.server.port, Buffer.concat([bytes, end]))).status).toBeLessThan(500)
    }),
    { numRuns: 500, seed },
  )
  expect((await served.ask('GET', '/status')).status).toBe(200)
}, 60_000)
