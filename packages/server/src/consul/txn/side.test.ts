// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Consul writes its templates so
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { asking } from '../../../test/asking.ts'

const anything = fc.jsonValue()
const orAnything = <T>(arbitrary: fc.Arbitrary<T>) => fc.oneof(arbitrary, anything)
const some = (fields: Record<string, fc.Arbitrary<unknown>>) => fc.record(fields, { requiredKeys: [] })
const id = orAnything(fc.oneof(fc.uuid(), fc.string()))
const path = fc.string({ unit: 'grapheme' }).map((text) => encodeURIComponent(text.toWellFormed()))
const body = (value: fc.Arbitrary<unknown>) =>
  value.map((value) => (typeof value === 'string' ? value : JSON.stringify(value)))

const parameters = fc
  .array(
    fc.tuple(
      fc.constantFrom('cas', 'flags', 'acquire', 'release', 'recurse', 'keys', 'raw', 'limit'),
      fc.string(),
    ),
  )
  .map((pairs) => `?${new URLSearchParams(pairs)}`)

const operation = some({
  KV: orAnything(
    some({
      Verb: orAnything(
        fc.constantFrom('set', 'cas', 'lock', 'unlock', 'get', 'get-tree', 'delete', 'delete-tree'),
      ),
      Key: orAnything(fc.string()),
      Value: orAnything(fc.base64String()),
      Flags: orAnything(fc.nat()),
      Index: orAnything(fc.nat()),
      Session: id,
    }),
  ),
  Node: anything,
  Service: anything,
  Check: anything,
})

const session = some({
  Name: anything,
  Node: anything,
  LockDelay: orAnything(fc.constantFrom('1s', '-1s', 5, 1e300)),
  Behavior: orAnything(fc.constantFrom('release', 'delete')),
  TTL: orAnything(fc.constantFrom('10s', '24h', '0s')),
  Checks: anything,
  NodeChecks: anything,
  ServiceChecks: anything,
})

const text = orAnything(
  fc
    .array(fc.constantFrom('${', '}', 'name.full', 'match(', ')', '"', '$', '\\', 'x'))
    .map((parts) => parts.join('')),
)
const query = some({
  Name: orAnything(fc.string()),
  Session: id,
  Template: orAnything(
    some({ Type: fc.constantFrom('name_prefix_match', 'x'), Regexp: orAnything(fc.string()) }),
  ),
  Service: orAnything(
    some({ Service: text, Tags: orAnything(fc.array(text)), NodeMeta: anything, Near: text }),
  ),
  DNS: anything,
})

const request = fc.oneof(
  fc.tuple(fc.constant('PUT'), fc.constant('/txn'), body(orAnything(fc.array(operation)))),
  fc.tuple(fc.constant('PUT'), fc.constant('/session/create'), body(orAnything(session))),
  fc.tuple(fc.constant('POST'), fc.constant('/query'), body(orAnything(query))),
  fc.tuple(
    fc.constant('PUT'),
    path.map((id) => `/query/${id}`),
    body(orAnything(query)),
  ),
  fc.tuple(
    fc.constantFrom('PUT', 'DELETE'),
    fc.tuple(path, parameters).map(([key, asked]) => `/kv/${key}${asked}`),
    fc.string(),
  ),
  fc.tuple(
    fc.constantFrom('PUT', 'DELETE'),
    fc.tuple(fc.constantFrom('renew', 'destroy'), path).map(([what, id]) => `/session/${what}/${id}`),
    fc.constant(''),
  ),
  fc.tuple(
    fc.constant('GET'),
    fc
      .tuple(fc.constantFrom('/kv/', '/session/info/', '/session/node/', '/query/'), path, parameters)
      .map(([family, rest, asked]) => `${family}${rest}/execute${asked}`),
    fc.constant(undefined),
  ),
)

it('what is kept beside the catalog answers or refuses whatever it is sent', {
  timeout: 120_000,
}, async () => {
  await using asked = await asking()
  await fc.assert(
    fc.asyncProperty(request, async ([method, path, body]) => {
      const answer = await asked.ask(method, path, body)
      expect([200, 400, 404, 405, 409, 413, 500]).toContain(answer.status)
      // What nobody foresaw.
      expect(answer.text).not.toContain('The server failed')
    }),
    { numRuns: 1_000 },
  )
  for (const list of ['/kv/?keys', '/session/list', '/query'])
    expect(Array.isArray((await asked.ask('GET', list)).json)).toBe(true)
})
