import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Asking, asking } from '../../test/asking.ts'

let asked: Asking

beforeAll(async () => {
  asked = await asking()
})

afterAll(async () => {
  await asked[Symbol.asyncDispose]()
})

const seed = 20_261_121

/** What is usual four times of five, and anything else once. */
function mostly<T>(usual: fc.Arbitrary<T>): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 4, arbitrary: usual }, { weight: 1, arbitrary: anything })
}

const text = fc.string({ unit: 'binary', maxLength: 300 }).map((text) => text.toWellFormed())
const anything = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  text,
  fc.constantFrom('', '1s', -1, 1e300, 1.5, [], {}, null, true, '__proto__', 'constructor'),
)
const status = fc.constantFrom('passing', 'warning', 'critical')
const duration = fc.constantFrom('10s', '1h', '1ms', 10e9, '0')
const id = fc.constantFrom(
  'a',
  'b',
  'service:a',
  'service:a:1',
  '_node_maintenance',
  'serfHealth',
  'a/b c',
  'ü',
)
const meta = fc.dictionary(fc.constantFrom('a', 'b', '__proto__', 'toString'), mostly(fc.string()), {
  maxKeys: 3,
})

const check = fc.record(
  {
    ID: mostly(id),
    CheckID: mostly(id),
    Name: mostly(fc.constantFrom('one', 'two')),
    Notes: mostly(text),
    Status: mostly(status),
    ServiceID: mostly(fc.constantFrom('a', 'b')),
    TTL: mostly(duration),
    HTTP: mostly(fc.constantFrom('http://127.0.0.1:1/', 'http://10.0.0.1', '/')),
    TCP: mostly(fc.constantFrom('127.0.0.1:1', 'x')),
    GRPC: mostly(fc.constantFrom('127.0.0.1:1/x')),
    Interval: mostly(duration),
    Timeout: mostly(duration),
    AliasService: mostly(fc.constantFrom('a', 'b')),
    AliasNode: mostly(fc.constantFrom('n1', 'rock')),
    Header: mostly(fc.constant({ a: ['b'] })),
    DeregisterCriticalServiceAfter: mostly(duration),
    Definition: anything,
  },
  { requiredKeys: [] },
)

/** As a real one: most have one type only, or they would all be refused. */
const ttlCheck = fc.record({ CheckID: id, TTL: duration, Status: status }, { requiredKeys: ['TTL'] })
const aliasCheck = fc.record({ AliasService: fc.constantFrom('a', 'b') })

const service = fc.record(
  {
    ID: mostly(fc.constantFrom('a', 'b', 'a@rock')),
    Name: mostly(fc.constantFrom('web', 'api', 'consul', 'Web Ü')),
    Service: mostly(fc.constantFrom('web', 'api')),
    Tags: mostly(fc.array(mostly(fc.constantFrom('blue', 'Green', '')), { maxLength: 4 })),
    Address: mostly(fc.constantFrom('', '10.0.0.1', '::1', 'host.example')),
    Port: mostly(fc.integer({ min: 0, max: 65_535 })),
    Meta: mostly(meta),
    TaggedAddresses: mostly(fc.constant({ lan: { address: '10.0.0.1', port: 1 } })),
    Weights: mostly(fc.record({ Passing: fc.integer(), Warning: fc.nat() })),
    EnableTagOverride: mostly(fc.boolean()),
    Kind: mostly(fc.constantFrom('', 'connect-proxy')),
    Proxy: mostly(fc.constant({ DestinationServiceName: 'web' })),
    Connect: mostly(fc.constant({ Native: true })),
    Check: mostly(fc.oneof(check, ttlCheck, aliasCheck)),
    Checks: mostly(fc.array(fc.oneof(check, ttlCheck, aliasCheck), { maxLength: 3 })),
  },
  { requiredKeys: [] },
)
const node = fc.constantFrom('rock', 'stone', 'n1', 'a/b')
const registration = fc.record(
  {
    Node: mostly(node),
    Address: mostly(fc.constantFrom('10.9.0.1', 'host.example')),
    ID: mostly(fc.constantFrom('', '40e4a748-2192-161a-0510-9bf59fe950b5')),
    NodeMeta: mostly(meta),
    TaggedAddresses: mostly(meta),
    Service: mostly(service.map(({ Name: _name, Check: _check, Checks: _checks, ...fields }) => fields)),
    Check: mostly(
      fc.record({
        CheckID: mostly(id),
        Name: mostly(id),
        Status: mostly(status),
        ServiceID: mostly(fc.constantFrom('a', 'b', '')),
      }),
    ),
    SkipNodeUpdate: mostly(fc.boolean()),
  },
  { requiredKeys: ['Node', 'Address'] },
)

const part = mostly(
  fc.oneof(id, fc.constantFrom('web', 'api', 'consul', 'rock', 'n1', 'any', 'critical', '')),
).map((part) => encodeURIComponent(String(part).toWellFormed()))
const query = fc
  .array(
    fc.tuple(
      fc.constantFrom(
        'passing',
        'tag',
        'node-meta',
        'filter',
        'index',
        'wait',
        'dc',
        'ns',
        'near',
        'pretty',
        'cached',
        'stale',
        'enable',
        'note',
        'hash',
        'format',
        'reason',
        'recurse',
        'keys',
        'raw',
        'cas',
        'acquire',
        'service',
        'node',
        'name',
      ),
      mostly(fc.constantFrom('', 'true', '1', '1ms', 'a', 'web', 'Port==1', 'a:b', 'dc1', 'text')),
    ),
    { maxLength: 3 },
  )
  .map((pairs) => {
    const query = new URLSearchParams(
      pairs.map(([name, value]): [string, string] => [name, String(value).toWellFormed()]),
    )
    // By default it would be five minutes.
    if (query.has('index') || query.has('hash')) query.set('wait', '1ms')
    return `?${query}`
  })

/** What is registered; what was observed of it may change at any time. */
function registered(): string {
  const { catalog } = asked.server
  const entries = catalog.services().flatMap((service) => catalog.snapshot(service).entries)
  return JSON.stringify(
    entries.map(({ instance }) => instance),
    undefined,
    1,
  )
}

type Operation = readonly [method: string, path: string, query: string, body: unknown]
const put = (path: string, body: fc.Arbitrary<unknown> = anything) =>
  fc.tuple(fc.constant('PUT'), fc.constant(path), fc.oneof(fc.constant(''), query), mostly(body))
const below = (method: string, path: string) =>
  fc.tuple(
    fc.constant(method),
    part.map((part) => path + part),
    query,
    anything,
  )
const read = (path: string) => fc.tuple(fc.constant('GET'), fc.constant(path), query, fc.constant(undefined))

const operations = fc.oneof(
  { weight: 8, arbitrary: put('/agent/service/register', service) },
  { weight: 6, arbitrary: put('/catalog/register', registration) },
  { weight: 4, arbitrary: put('/agent/check/register', fc.oneof(check, ttlCheck)) },
  {
    weight: 2,
    arbitrary: put(
      '/catalog/deregister',
      fc.record({ Node: node, ServiceID: id, CheckID: id }, { requiredKeys: ['Node'] }),
    ),
  },
  {
    weight: 6,
    arbitrary: fc.oneof(
      ...[
        'service/deregister',
        'service/maintenance',
        'check/pass',
        'check/warn',
        'check/fail',
        'check/update',
        'check/deregister',
        'force-leave',
        'join',
      ].map((name) => below('PUT', `/agent/${name}/`)),
      below('PUT', '/event/fire/'),
      below('PUT', '/kv/'),
      below('DELETE', '/kv/'),
      put('/agent/maintenance'),
      put('/session/create'),
      put('/txn'),
      put('/coordinate/update'),
    ),
  },
  {
    weight: 8,
    arbitrary: fc.oneof(
      ...[
        'agent/service',
        'agent/health/service/id',
        'agent/health/service/name',
        'catalog/service',
        'catalog/node',
        'catalog/node-services',
        'catalog/connect',
        'health/service',
        'health/connect',
        'health/checks',
        'health/node',
        'health/state',
        'kv',
        'session/info',
        'session/node',
        'query',
        'config',
        'coordinate/node',
        'internal/ui/node',
      ].map((name) =>
        fc.tuple(
          fc.constant('GET'),
          part.map((part) => `/${name}/${part}`),
          query,
          fc.constant(undefined),
        ),
      ),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.oneof(
      ...[
        'agent/self',
        'agent/members',
        'agent/services',
        'agent/checks',
        'agent/metrics',
        'agent/monitor',
        'catalog/nodes',
        'catalog/services',
        'event/list',
        'session/list',
        'internal/ui/services',
        'internal/ui/nodes',
        'operator/autopilot/health',
        'connect/intentions/match',
      ].map((name) => read(`/${name}`)),
    ),
  },
) as fc.Arbitrary<Operation>

it('never makes Consul’s face fail or hang, whatever is asked', async () => {
  const outcomes = { accepted: 0, refused: 0 }
  await fc.assert(
    fc.asyncProperty(operations, async ([method, path, query, body]) => {
      const before = method === 'PUT' ? registered() : undefined
      const answer = await asked.ask(method, path + query, body ?? undefined)
      const said = `${method} ${path}${query} ${JSON.stringify(body)}: ${answer.status} ${answer.text.slice(0, 200)}`
      expect(answer.text, said).not.toContain('its log says why')
      if (answer.status < 400) outcomes.accepted++
      else {
        outcomes.refused++
        // What is refused changes nothing.
        if (before !== undefined) expect(registered(), said).toBe(before)
      }
    }),
    { numRuns: 2_000, seed },
  )
  // It would prove little if it never got past the door, or never met it.
  expect(outcomes.accepted).toBeGreaterThan(400)
  expect(outcomes.refused).toBeGreaterThan(400)
  expect((await asked.ask('GET', '/health/state/any')).status).toBe(200)
  for (const { Node } of (await asked.ask('GET', '/catalog/nodes')).json)
    expect((await asked.ask('GET', `/catalog/node/${encodeURIComponent(Node)}`)).status).toBe(200)
}, 120_000)
