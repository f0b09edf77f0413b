import fc from 'fast-check'
import type { Api, Interaction } from './api.ts'

/** Sessions that were created are named by their number: `{0}`. */
interface Call {
  readonly method: string
  readonly path: string
  readonly body?: unknown
}

const { constantFrom: one, record, option } = fc
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => option(arbitrary, { nil: undefined })
const put = (path: fc.Arbitrary<string>, body: fc.Arbitrary<unknown> = fc.constant(undefined)) =>
  record({ method: fc.constant('PUT'), path, body })
const joined = (...parts: fc.Arbitrary<string>[]) => fc.tuple(...parts).map((texts) => texts.join(''))
const text = (value: string) => fc.constant(value)

const status = one('passing', 'warning', 'critical')
const tags = one(undefined, [], ['a'], ['a', 'b'], ['c'])
const metadata = one(undefined, {}, { k: 'v' }, { env: 'prod', k: 'w' })
const check = record({ TTL: text('1h'), Status: status, Notes: maybe(text('n')) })
const session = one('{0}', '{1}', '{2}')
const locked = one('a', 'a/b', 'L', 'M')

const service = fc
  .record({
    service: one(
      { ID: 's1', Name: 'web' },
      { ID: 's2', Name: 'web' },
      { ID: 's3', Name: 'api' },
      { Name: 'web' },
      { Name: 'api' },
    ),
    Port: one(0, 80, 81),
    Tags: tags,
    Meta: metadata,
    Address: one(undefined, '', '10.0.0.1'),
    Weights: maybe(record({ Passing: one(1, 5), Warning: one(1) })),
    EnableTagOverride: maybe(fc.boolean()),
    TaggedAddresses: maybe(fc.constant({ lan: { address: '10.1.1.1', port: 5 } })),
    Check: maybe(check),
    Checks: maybe(
      fc
        .tuple(check, one('c1', 'c2'), check)
        .map(([first, CheckID, second]) => [first, { CheckID, ...second }]),
    ),
  })
  .map(({ service, ...more }) => ({ ...service, ...more }))

const registration = fc.record({
  Node: one('rock', 'stone'),
  Address: one('10.9.0.1', '10.9.0.2'),
  NodeMeta: metadata,
  TaggedAddresses: maybe(fc.constant({ wan: '198.51.100.1' })),
  SkipNodeUpdate: maybe(fc.constant(true)),
  Service: maybe(
    fc
      .record({
        service: one({ ID: 's1', Service: 'web' }, { ID: 'd1', Service: 'db' }, { Service: 'db' }),
        Port: one(1, 2),
        Tags: tags,
        Meta: metadata,
        Address: maybe(text('10.0.0.9')),
      })
      .map(({ service, ...more }) => ({ ...service, ...more })),
  ),
  Check: maybe(
    fc.record({
      CheckID: one('k1', 'k2'),
      Name: text('k'),
      Status: status,
      ServiceID: maybe(one('s1', 'd1', 'db', 'web')),
      Output: maybe(one('o', 'p')),
    }),
  ),
})

const operation = fc.record({
  KV: fc.record({
    Verb: one(
      'set',
      'cas',
      'get',
      'get-tree',
      'delete',
      'delete-tree',
      'delete-cas',
      'check-not-exists',
      'check-index',
      'lock',
      'unlock',
      'check-session',
    ),
    Key: one('a', 'a/b', 'a/', 'ab', 'new', 'L'),
    Value: one(undefined, 'MQ==', 'Mg=='),
    Index: one(undefined, 0, 1),
    Session: maybe(session),
    Flags: one(undefined, 5),
  }),
})

const agent: fc.Arbitrary<Call> = fc.oneof(
  put(text('/v1/agent/service/register'), service),
  put(joined(text('/v1/agent/service/deregister/'), one('s1', 's2', 's3', 'web', 'api'))),
  put(
    joined(
      text('/v1/agent/service/maintenance/'),
      one('s1', 's2', 'web'),
      text('?enable='),
      one('true', 'false'),
    ),
  ),
  put(joined(text('/v1/agent/maintenance?enable='), one('true', 'false', 'false'))),
  put(
    joined(
      text('/v1/agent/check/'),
      one('pass/', 'warn/', 'fail/'),
      one('service:s1', 'service:s2', 'c1', 'c2', 'service:web', 'n1', 'service:s1:1'),
      one('', '?note=x', '?note=y'),
    ),
  ),
  put(
    text('/v1/agent/check/register'),
    fc.record({
      ID: one('n1', 'n2', 'c1'),
      Name: one('one', 'two'),
      TTL: text('1h'),
      Status: status,
      ServiceID: one(undefined, 's1', 's2', 'web'),
    }),
  ),
  put(joined(text('/v1/agent/check/deregister/'), one('n1', 'n2', 'c1', 'service:s1', 'service:web'))),
)

const catalog: fc.Arbitrary<Call> = fc.oneof(
  put(text('/v1/catalog/register'), registration),
  put(
    text('/v1/catalog/deregister'),
    fc.record({
      Node: one('rock', 'stone'),
      ServiceID: one(undefined, 's1', 'd1', 'db', 'web'),
      CheckID: one(undefined, undefined, 'k1', 'k2'),
    }),
  ),
)

const keys: fc.Arbitrary<Call> = fc.oneof(
  put(
    joined(text('/v1/kv/'), one('a', 'a/b', 'a/c', 'ab', 'z/1'), one('', '', '?flags=3', '?cas=0', '?cas=1')),
    one('', '1', '2'),
  ),
  put(joined(text('/v1/kv/'), locked, one('?acquire=', '?release='), session), one('', 'mine')),
  record({
    method: text('DELETE'),
    path: joined(text('/v1/kv/'), one('a', 'a/b', 'a/', 'L', 'ab'), one('', '?recurse', '?cas=1')),
  }),
  put(
    text('/v1/session/create'),
    fc.record({
      LockDelay: text('0s'),
      Behavior: one(undefined, 'delete'),
      TTL: one(undefined, '60s'),
    }),
  ),
  put(joined(text('/v1/session/'), one('destroy/', 'renew/'), session)),
  put(text('/v1/txn'), fc.array(operation, { minLength: 1, maxLength: 4 })),
)

const calls = fc.array(fc.oneof(agent, catalog, keys), { minLength: 5, maxLength: 30 })

/** What is asked in the end. */
const reads = [
  '/v1/agent/services',
  '/v1/agent/checks',
  '/v1/agent/service/s1',
  '/v1/catalog/services',
  '/v1/catalog/nodes',
  '/v1/catalog/service/web',
  '/v1/catalog/service/db',
  '/v1/catalog/node/harbour',
  '/v1/catalog/node-services/rock',
  '/v1/health/service/web',
  '/v1/health/service/db?passing',
  '/v1/health/checks/web',
  '/v1/health/node/harbour',
  '/v1/health/node/rock',
  '/v1/health/state/any',
  '/v1/health/state/critical',
  '/v1/kv/?recurse',
  '/v1/kv/?keys&separator=/',
  '/v1/session/list',
  '/v1/internal/ui/services',
]

/** Lists whose order Consul leaves open, or that of `passing`. */
const unordered = /services$|session\/list|passing/

/** Always the same calls for the same seed. */
export function randomCalls(seed: number): Interaction {
  return async (api: Api) => {
    const sessions: string[] = []
    const known = (value: string) =>
      value.replace(/\{(\d)\}/g, (_, number) => sessions[number] ?? '5e3a2a9c-5c6c-4d9f-9d2f-0c6f2d1d9f11')
    // A lock that is lost is not to be had for a while: each seed has its own.
    const own = (value: string) => known(value.replaceAll(/\b([LM])\b/g, `$1${seed}`))
    for (const { method, path, body } of fc.sample(calls, { seed, numRuns: 1 })[0]!) {
      if (path === '/v1/session/create') Object.assign(body as object, { Name: `session ${sessions.length}` })
      const sent = body === undefined || typeof body === 'string' ? body : own(JSON.stringify(body))
      const answer = await api.call(method, own(path), sent)
      if (path === '/v1/session/create') sessions.push(answer.json<{ ID: string }>().ID)
    }
    for (const path of reads) await api.get(path, { unordered: unordered.test(path) })
  }
}
