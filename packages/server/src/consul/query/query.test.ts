// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Consul writes its templates so
import { memory } from '@seamark/core'
import { describe, expect, it } from 'vitest'
import { type Asking, asking } from '../../../test/asking.ts'
import { condition } from '../../../test/condition.ts'

type Fields = Record<string, unknown>

const web = { Service: 'web' }

async function create(asked: Asking, fields: Fields): Promise<string> {
  const answer = await asked.ask('POST', '/query', fields)
  expect(answer.status, answer.text).toBe(200)
  return answer.json.ID
}

/** The ids of the services found, in order. */
async function found(asked: Asking, name: string): Promise<string[]> {
  const { status, text, json } = await asked.ask('GET', `/query/${name}/execute`)
  expect(status, text).toBe(200)
  return json.Nodes.map(({ Service }: { Service: { ID: string } }) => Service.ID).sort()
}

/** Two external nodes with a service `web` each: the first is `v1` and passing, the second `v2`, as told. */
async function withWeb(asked: Asking, status = 'passing'): Promise<void> {
  for (const number of [1, 2])
    await asked.ask('PUT', '/catalog/register', {
      Node: `web${number}`,
      Address: `10.0.0.${number}`,
      NodeMeta: { rack: `r${number}` },
      Service: {
        ID: `w${number}`,
        Service: 'web',
        Tags: ['a', `V${number}`],
        Port: 80,
        Meta: { ver: `${number}` },
      },
      Check: {
        CheckID: `c${number}`,
        Name: 'c',
        Status: number === 1 ? 'passing' : status,
        ServiceID: `w${number}`,
      },
    })
}

describe('a prepared query', () => {
  it('is kept and printed as Consul does', async () => {
    await using asked = await asking()
    expect((await asked.ask('GET', '/query')).text).toBe('[]')
    const id = await create(asked, { Name: 'q1', Service: web })
    const { text, headers } = await asked.ask('GET', `/query/${id}`)
    const index = headers.get('x-consul-index')
    expect(text).toBe(
      `[{"ID":"${id}","Name":"q1","Session":"","Token":"","Template":{"Type":"","Regexp":"","RemoveEmptyTags":false},"Service":{"Service":"web","Failover":{"NearestN":0,"Datacenters":null},"OnlyPassing":false,"IgnoreCheckIDs":null,"Near":"","Tags":null,"NodeMeta":null,"ServiceMeta":null,"Connect":false},"DNS":{"TTL":""},"CreateIndex":${index},"ModifyIndex":${index}}]`,
    )
    expect((await asked.ask('GET', '/query')).text).toBe(text)
    const updated = { Name: 'q2', Service: { ...web, Tags: ['!v1', 'a'] }, DNS: { TTL: '10s' } }
    const answer = await asked.ask('PUT', `/query/${id}`, updated)
    expect([answer.status, answer.text]).toEqual([200, ''])
    expect((await asked.ask('GET', `/query/${id}`)).json).toMatchObject([
      { ...updated, CreateIndex: Number(index) },
    ])
    expect((await asked.ask('GET', '/query/q1/execute')).status).toBe(404)
    expect((await asked.ask('DELETE', `/query/${id}`)).text).toBe('')
    expect((await asked.ask('GET', '/query')).text).toBe('[]')
    // The name is free again.
    await create(asked, { Name: 'q2', Service: web })
  })

  it('finds services by its id or name, and tells how in the body too', async () => {
    await using asked = await asking()
    await withWeb(asked)
    const id = await create(asked, { Name: 'Find', Service: web, DNS: { TTL: '5s' } })
    for (const name of [id, 'Find', 'find']) expect(await found(asked, name)).toEqual(['w1', 'w2'])
    const { json, headers } = await asked.ask('GET', '/query/find/execute?limit=1')
    expect(json).toEqual({
      Service: 'web',
      Nodes: [
        {
          Node: expect.objectContaining({ Datacenter: 'dc1' }),
          Service: expect.objectContaining({ Service: 'web' }),
          Checks: [expect.objectContaining({ Name: 'c' })],
        },
      ],
      DNS: { TTL: '5s' },
      Datacenter: 'dc1',
      Failovers: 0,
      Index: 0,
      LastContact: 0,
      KnownLeader: true,
      ConsistencyLevel: 'leader',
    })
    expect(headers.get('x-consul-index')).toBe('1')
    expect((await asked.ask('GET', '/query/find/explain')).json).toMatchObject({
      Query: { ID: id, Name: 'Find' },
      Index: 0,
      ConsistencyLevel: 'leader',
    })
  })

  it.each([
    [{}, ['w1', 'w2']],
    [{ OnlyPassing: true }, ['w1']],
    [{ OnlyPassing: true, IgnoreCheckIDs: ['c2'] }, ['w1', 'w2']],
    [{ Tags: ['A', 'v2'] }, ['w2']],
    [{ Tags: ['!v2'] }, ['w1']],
    [{ Tags: ['a', '!v1', '!none'] }, ['w2']],
    [{ NodeMeta: { rack: 'r1' } }, ['w1']],
    [{ NodeMeta: { rack: 'r1', none: '' } }, []],
    [{ ServiceMeta: { ver: '2' } }, ['w2']],
    [{ Near: '_agent', Failover: { NearestN: 3, Datacenters: ['dc2'] } }, ['w1', 'w2']],
    [{ Connect: true }, []],
  ])('with %j finds %j', async (fields, expected) => {
    await using asked = await asking()
    await withWeb(asked, 'warning')
    await create(asked, { Name: 'q', Service: { ...web, ...fields } })
    expect(await found(asked, 'q')).toEqual(expected)
  })

  it('leaves out what is critical, unless the check is to be ignored', async () => {
    await using asked = await asking()
    await withWeb(asked, 'critical')
    await create(asked, { Name: 'q', Service: web })
    await create(asked, { Name: 'i', Service: { ...web, IgnoreCheckIDs: ['c2'] } })
    expect(await found(asked, 'q')).toEqual(['w1'])
    expect(await found(asked, 'i')).toEqual(['w1', 'w2'])
  })

  it('puts first what is on the node that it is to be near', async () => {
    await using asked = await asking()
    await withWeb(asked)
    await create(asked, { Name: 'q', Service: { ...web, Near: 'web1' } })
    for (let round = 0; round < 10; round++) {
      const [near, other] = await Promise.all([
        asked.ask('GET', '/query/q/execute'),
        asked.ask('GET', '/query/q/execute?near=web2'),
      ])
      expect(near.json.Nodes[0].Service.ID).toBe('w1')
      expect(other.json.Nodes[0].Service.ID).toBe('w2')
    }
  })

  it('ends with its session', async () => {
    await using asked = await asking()
    const session = (await asked.ask('PUT', '/session/create')).json.ID
    await create(asked, { Session: session, Service: web })
    await create(asked, { Name: 'bound', Session: session, Service: web })
    await create(asked, { Name: 'free', Service: web })
    await asked.ask('PUT', `/session/destroy/${session}`)
    expect((await asked.ask('GET', '/query')).json).toMatchObject([{ Name: 'free' }])
    await create(asked, { Name: 'bound', Service: web })
  })

  it('of a name is one, however many want it at once through two servers', async () => {
    await using engine = memory()
    await using a = await asking({ engine })
    await using b = await asking({ engine })
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, client) =>
        (client % 2 === 0 ? a : b).ask('POST', '/query', {
          Name: client % 3 === 0 ? 'ONE' : 'one',
          Service: web,
        }),
      ),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect((await a.ask('GET', '/query')).json).toHaveLength(1)
    await condition(async () => (await b.ask('GET', '/query')).json.length === 1)
  })

  it('is waited for', async () => {
    await using asked = await asking()
    const id = await create(asked, { Name: 'q', Service: web })
    const index = (await asked.ask('GET', `/query/${id}`)).headers.get('x-consul-index')
    const waiting = asked.ask('GET', `/query/${id}?index=${index}&wait=60s`)
    await create(asked, { Name: 'other', Service: web })
    await asked.ask('PUT', `/query/${id}`, { Name: 'renamed', Service: web })
    expect((await waiting).json).toMatchObject([{ Name: 'renamed' }])
  })

  // Recorded from Consul 1.8.7.
  it.each([
    ['POST', '/query', { Service: web }, 500, 'Invalid prepared query: Must be bound to a session'],
    ['POST', '/query', { Name: 'q' }, 500, 'Invalid prepared query: Must provide a Service name to query'],
    [
      'POST',
      '/query',
      { ID: 'x', Name: 'q', Service: web },
      500,
      'ID must be empty when creating a new prepared query',
    ],
    [
      'POST',
      '/query',
      { Name: 'q', Service: web, DNS: { TTL: 'x' } },
      500,
      `Invalid prepared query: Bad DNS TTL 'x': time: invalid duration "x"`,
    ],
    [
      'POST',
      '/query',
      { Name: 'q', Service: web, DNS: { TTL: '-1s' } },
      500,
      `Invalid prepared query: DNS TTL '-1000000000', must be >=0`,
    ],
    [
      'POST',
      '/query',
      { Name: 'q', Service: { ...web, Failover: { NearestN: -1 } } },
      500,
      `Invalid prepared query: Bad NearestN '-1', must be >= 0`,
    ],
    [
      'POST',
      '/query',
      { Name: 'q', Token: '<hidden>', Service: web },
      500,
      `Invalid prepared query: Bad Token '<hidden>', it looks like a query definition with a redacted token was submitted`,
    ],
    [
      'POST',
      '/query',
      { Name: 'q', Session: 'x', Service: web },
      500,
      'invalid session: index error: UUID must be 36 characters',
    ],
    [
      'POST',
      '/query',
      { Name: 'q', Session: '00000000-0000-0000-0000-000000000000', Service: web },
      500,
      'invalid session "00000000-0000-0000-0000-000000000000"',
    ],
    ['POST', '/query', { Name: 'TAKEN', Service: web }, 500, `name 'TAKEN' aliases an existing query name`],
    ['POST', '/query', '{', 400, 'Request decode failed: unexpected EOF'],
    ['POST', '/query', '', 400, 'Request decode failed: EOF'],
    [
      'POST',
      '/query',
      [],
      400,
      'Request decode failed: json: cannot unmarshal array into Go value of type structs.PreparedQuery',
    ],
    [
      'POST',
      '/query',
      { Name: 5 },
      400,
      'Request decode failed: json: cannot unmarshal number into Go struct field PreparedQuery.Name of type string',
    ],
    [
      'GET',
      '/query/nope',
      undefined,
      500,
      'failed prepared query lookup: index error: UUID must be 36 characters',
    ],
    ['GET', '/query/00000000-0000-0000-0000-000000000000', undefined, 404, 'Query not found'],
    ['GET', '/query/nope/execute', undefined, 404, 'Query not found'],
    ['GET', '/query/nope/explain', undefined, 404, 'Query not found'],
    [
      'GET',
      '/query/taken/execute?limit=x',
      undefined,
      500,
      'Bad limit: strconv.Atoi: parsing "x": invalid syntax',
    ],
    [
      'PUT',
      '/query/nope',
      { Name: 'q', Service: web },
      500,
      'Prepared Query lookup failed: failed prepared query lookup: index error: UUID must be 36 characters',
    ],
    [
      'DELETE',
      '/query/00000000-0000-0000-0000-000000000000',
      undefined,
      500,
      `Cannot modify non-existent prepared query: '00000000-0000-0000-0000-000000000000'`,
    ],
    ['PUT', '/query', '', 405, 'method PUT not allowed'],
    ['PUT', '/query/taken/execute', '', 405, 'method PUT not allowed'],
    [
      'POST',
      '/query',
      { Name: 'q'.repeat(501), Service: web },
      400,
      `A query's name may have at most 500 bytes`,
    ],
  ])('%s %s of %j is answered %i', async (method, path, body, status, text) => {
    await using asked = await asking()
    await create(asked, { Name: 'taken', Service: web })
    const answer = await asked.ask(method, path, body)
    expect([answer.status, answer.text]).toEqual([status, text])
    expect((await asked.ask('GET', '/query')).json).toHaveLength(1)
  })

  it('cannot be called as another one is identified', async () => {
    await using asked = await asking()
    const id = await create(asked, { Name: 'q', Service: web })
    const answer = await asked.ask('POST', '/query', { Name: id, Service: web })
    expect(answer.text).toBe(`name '${id}' aliases an existing query ID`)
  })
})

describe('a template', () => {
  const geo = {
    Name: 'geo-',
    Template: { Type: 'name_prefix_match', Regexp: '^geo-(.*?)-([^\\-]+?)$' },
    Service: { Service: '${match(1)}', Tags: ['${match(2)}'] },
  }
  const prefixMatch = { Type: 'name_prefix_match' }

  it('makes a query of the name that is asked for', async () => {
    await using asked = await asking()
    await withWeb(asked)
    const id = await create(asked, geo)
    expect(await found(asked, 'geo-web-v1')).toEqual(['w1'])
    expect((await asked.ask('GET', '/query/geo-web-v1/explain')).json.Query).toMatchObject({
      ID: id,
      Name: 'geo-',
      Service: { Service: 'web', Tags: ['v1'] },
    })
    const byId = await asked.ask('GET', `/query/${id}/execute`)
    expect([byId.status, byId.text]).toEqual([
      500,
      'prepared query templates can only be resolved up by name, not by ID',
    ])
  })

  it('is chosen by the longest prefix, after a query of that very name', async () => {
    await using asked = await asking()
    const explained = async (name: string) =>
      (await asked.ask('GET', `/query/${name}/explain`)).json.Query.Service.Service
    const texts = '${name.full}|${name.prefix}|${name.suffix}'
    await create(asked, { Template: prefixMatch, Service: { Service: `any ${texts}` } })
    await create(asked, { Name: 'geo-', Template: prefixMatch, Service: { Service: `geo ${texts}` } })
    await create(asked, { Name: 'geo-x', Template: prefixMatch, Service: { Service: `geo-x ${texts}` } })
    await create(asked, { Name: 'geo-xy', Service: { Service: 'static ${name.full}' } })
    expect(await explained('other')).toBe('any other||other')
    expect(await explained('geo-a')).toBe('geo geo-a|geo-|a')
    expect(await explained('geo-xa')).toBe('geo-x geo-xa|geo-x|a')
    expect(await explained('GEO-xa')).toBe('geo-x GEO-xa|geo-x|GEO-xa')
    expect(await explained('geo-xy')).toBe('static ${name.full}')
    const second = await asked.ask('POST', '/query', { Template: prefixMatch, Service: web })
    expect(second.text).toBe('a query template with an empty name already exists')
  })

  it('removes the tags that became empty, if it is told to', async () => {
    await using asked = await asking()
    const RemoveEmptyTags = true
    const Service = { Service: 'web', Tags: ['${match(1)}', 'x', '${match(2)}'] }
    await create(asked, {
      Name: 'a-',
      Template: { ...prefixMatch, Regexp: '^a-(.*)', RemoveEmptyTags },
      Service,
    })
    const { Query } = (await asked.ask('GET', '/query/a-b/explain')).json
    expect(Query.Service.Tags).toEqual(['b', 'x'])
  })

  // Recorded from Consul 1.8.7.
  it.each([
    ['$${x}', '${x}'],
    ['a$b', 'a$b'],
    ['${ name.full }', 'zz-hello'],
    ['${"x}"}', 'x}'],
    ['${match(0)}-${match(1)}-${match(9)}-${match(-1)}', 'zz-hello-hello--'],
    ['}{', '}{'],
    ['${name.full}${name.full}', 'zz-hellozz-hello'],
    ['${agent.segment}', ''],
  ])('makes %j %j', async (text, expected) => {
    await using asked = await asking()
    await create(asked, {
      Name: 'zz-',
      Template: { ...prefixMatch, Regexp: '^zz-(.*)' },
      Service: { Service: text },
    })
    expect((await asked.ask('GET', '/query/zz-hello/explain')).json.Query.Service.Service).toBe(expected)
  })

  it.each([
    ['${name.full', `Bad format '\${name.full' in Service.Service: parse error: syntax error`],
    ['${}', `Bad format '\${}' in Service.Service: parse error: syntax error`],
    ['${match(1}', `Bad format '\${match(1}' in Service.Service: parse error: syntax error`],
    ['${nope}', `Bad evaluation for '\${nope}' in Service.Service: 1:3: unknown variable accessed: nope`],
    [
      '${match()}',
      `Bad evaluation for '\${match()}' in Service.Service: 1:3: match: expected 1 arguments, got 0`,
    ],
    [
      'a ${ match( b ) }',
      `Bad evaluation for 'a \${ match( b ) }' in Service.Service: 1:13: unknown variable accessed: b`,
    ],
    ['${1+2}', `Bad format '\${1+2}' in Service.Service: parse error: syntax error`],
    [
      '${upper(name.full)}',
      `Bad evaluation for '\${upper(name.full)}' in Service.Service: 1:3: unknown function called: upper`,
    ],
    [
      '${toString}',
      `Bad evaluation for '\${toString}' in Service.Service: 1:3: unknown variable accessed: toString`,
    ],
  ])('of %j is refused', async (text, problem) => {
    await using asked = await asking()
    const answer = await asked.ask('POST', '/query', {
      Name: 'zz-',
      Template: prefixMatch,
      Service: { Service: text },
    })
    expect([answer.status, answer.text]).toEqual([500, `failed compiling template: ${problem}`])
  })

  it.each([
    [{ Type: 'zz' }, `Bad Template.Type 'zz'`],
    [{ ...prefixMatch, Regexp: '(' }, 'Bad Regexp: error parsing regexp: missing closing ): `(`'],
  ])('like %j is refused', async (Template, problem) => {
    await using asked = await asking()
    const answer = await asked.ask('POST', '/query', { Name: 't', Template, Service: web })
    expect([answer.status, answer.text]).toEqual([500, `failed compiling template: ${problem}`])
  })
})
