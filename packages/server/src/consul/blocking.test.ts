import { fakeClock } from '@seamark/core/testing'
import { describe, expect, it } from 'vitest'
import { type Asking, asking, type Told } from '../../test/asking.ts'

function indexOf({ headers }: Told): number {
  return Number(headers.get('x-consul-index'))
}

/** Asks, and says whether that is over yet. */
function waiting(asked: Asking, path: string) {
  const state = { isOver: false, answer: undefined as unknown as Promise<Told> }
  state.answer = asked.ask('GET', path).finally(() => {
    state.isOver = true
  })
  return state
}

const web = { Name: 'web', Port: 1, Check: { TTL: '1h', Status: 'passing' } }

describe('a blocking query', () => {
  it.each([
    ['/health/service/web?passing', '/agent/check/fail/service:web', undefined],
    ['/health/checks/web', '/agent/check/pass/service:web?note=new', undefined],
    ['/health/node/n1', '/agent/check/fail/service:web', undefined],
    ['/health/state/critical', '/agent/check/fail/service:web', undefined],
    ['/catalog/service/web', '/agent/service/deregister/web', undefined],
    ['/catalog/services', '/agent/service/register', { ...web, Tags: ['new'] }],
    ['/catalog/nodes', '/catalog/register', { Node: 'rock', Address: '10.0.0.1' }],
    ['/catalog/node/n1', '/agent/service/register', { Name: 'new' }],
    ['/catalog/service/new', '/agent/service/register', { Name: 'new' }],
    ['/health/service/web', '/agent/maintenance?enable=true', undefined],
  ])('of %s wakes with %s, and not with what is elsewhere', async (path, change, body) => {
    await using asked = await asking()
    await asked.ask('PUT', '/agent/service/register', web)
    const before = await asked.ask('GET', path)
    const mark = path.includes('?') ? '&' : '?'
    const wait = waiting(asked, `${path}${mark}index=${indexOf(before)}&wait=1m`)
    await asked.ask('PUT', '/kv/elsewhere', 'x')
    if (!path.endsWith('n1') && path !== '/catalog/services') {
      await asked.ask('PUT', '/agent/service/register', {
        Name: 'other',
        Check: { TTL: '1h', Status: 'passing' },
      })
      await asked.ask('PUT', '/agent/check/pass/service:other?note=x')
    }
    expect(wait.isOver).toBe(false)
    await asked.ask('PUT', change, body)
    const after = await wait.answer
    expect(indexOf(after)).toBeGreaterThan(indexOf(before))
    expect(after.text).not.toBe(before.text)
  })

  it('of the nodes does not wake with their checks', async () => {
    await using asked = await asking()
    const node = { Node: 'rock', Address: '10.0.0.1' }
    await asked.ask('PUT', '/catalog/register', node)
    const before = await asked.ask('GET', '/catalog/nodes')
    const wait = waiting(asked, `/catalog/nodes?index=${indexOf(before)}&wait=1m`)
    await asked.ask('PUT', '/catalog/register', { ...node, Check: { Name: 'ping', Status: 'passing' } })
    await asked.ask('PUT', '/agent/check/register', { Name: 'disk', TTL: '1h' })
    expect((await asked.ask('GET', '/catalog/nodes')).text).toBe(before.text)
    expect(wait.isOver).toBe(false)
    await asked.ask('PUT', '/catalog/register', { ...node, Address: '10.0.0.2' })
    expect((await wait.answer).json.map(({ Address }: { Address: string }) => Address)).toContain('10.0.0.2')
  })

  it('answers what there is, with the same index, once the wait is over', async () => {
    const clock = fakeClock()
    await using asked = await asking({ clock })
    await asked.ask('PUT', '/agent/service/register', web)
    const before = await asked.ask('GET', '/health/service/web')
    const wait = waiting(asked, `/health/service/web?index=${indexOf(before)}&wait=10s`)
    // Whether it arrived, only its answer can tell.
    while (!wait.isOver) await clock.advance(100)
    const after = await wait.answer
    expect([indexOf(after), after.text]).toEqual([indexOf(before), before.text])
  })

  it('is answered at once where the index is of another life of the registry', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/agent/service/register', web)
    expect(indexOf(await asked.ask('GET', '/health/service/web?index=1000000'))).toBeLessThan(1_000)
  })

  it('is let go by a server that closes', async () => {
    const asked = await asking()
    await asked.ask('PUT', '/agent/service/register', web)
    const index = indexOf(await asked.ask('GET', '/health/service/web'))
    const wait = waiting(asked, `/health/service/web?index=${index}&wait=10m`)
    // It is there once another one that came after it was answered.
    await asked.ask('GET', '/health/service/web')
    await asked[Symbol.asyncDispose]()
    expect((await wait.answer).status).toBe(200)
  })

  it('sends all who wait for one service the same', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/agent/service/register', web)
    const index = indexOf(await asked.ask('GET', '/health/service/web'))
    const waits = Array.from({ length: 200 }, () => waiting(asked, `/health/service/web?index=${index}`))
    await asked.ask('GET', '/health/service/web')
    await asked.ask('PUT', '/agent/check/fail/service:web')
    const answers = await Promise.all(waits.map(({ answer }) => answer))
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
    expect(answers[0]!.json[0].Checks[1].Status).toBe('critical')
  })

  it.each([
    ['/catalog/services?index=x', 400, 'Invalid index'],
    ['/catalog/services?index=-1', 400, 'Invalid index'],
    ['/catalog/services?index=1&wait=soon', 400, 'Invalid wait time'],
    ['/catalog/services?wait=5', 400, 'Invalid wait time'],
    [
      '/catalog/nodes?stale&consistent',
      400,
      'Cannot specify ?stale with ?consistent, conflicting semantics.',
    ],
    [
      '/catalog/nodes?cached&consistent',
      400,
      'Cannot specify ?cached with ?consistent, conflicting semantics.',
    ],
    ['/catalog/nodes?dc=dc2', 500, 'No path to datacenter'],
    ['/health/service/web?passing=maybe', 400, 'Invalid value for ?passing'],
    ['/health/service/', 400, 'Missing service name'],
    ['/catalog/node/', 400, 'Missing node name'],
    ['/health/state/', 400, 'Missing check state'],
  ])('%s is refused in Consul’s words', async (path, status, text) => {
    await using asked = await asking()
    expect(await asked.ask('GET', path)).toMatchObject({ status, text })
  })
})

describe('a read', () => {
  it('says how consistent it is, and what it is kept by, as Consul does', async () => {
    await using asked = await asking()
    const { headers } = await asked.ask('GET', '/health/service/consul?stale&cached')
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-type': 'application/json',
      'x-consul-effective-consistency': 'stale',
      'x-consul-knownleader': 'true',
      'x-consul-lastcontact': '0',
      'x-cache': 'HIT',
      age: '0',
    })
  })

  it('that is asked again shows what changed meanwhile', async () => {
    await using asked = await asking()
    const passing = async () => (await asked.ask('GET', '/health/service/web?passing')).json.length
    expect(await passing()).toBe(0)
    await asked.ask('PUT', '/agent/service/register', web)
    expect(await passing()).toBe(1)
    await asked.ask('PUT', '/agent/check/fail/service:web')
    expect(await passing()).toBe(0)
    await asked.ask('PUT', '/agent/check/pass/service:web')
    expect(await passing()).toBe(1)
    await asked.ask('PUT', '/agent/maintenance?enable=true')
    expect(await passing()).toBe(0)
  })

  it('is indented where that is asked for', async () => {
    await using asked = await asking()
    expect((await asked.ask('GET', '/catalog/datacenters?pretty')).text).toBe('[\n    "dc1"\n]\n')
  })

  it('escapes what a page could take for more than text', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/agent/service/register', { Name: 'web', Tags: ['<script>&\u2028'] })
    expect((await asked.ask('GET', '/catalog/services')).text).toContain(
      '"\\u003cscript\\u003e\\u0026\\u2028"',
    )
  })
})

describe('paths and methods', () => {
  it.each([
    ['POST', '/catalog/nodes', 405, 'OPTIONS,GET'],
    ['GET', '/catalog/register', 405, 'OPTIONS,PUT'],
    ['HEAD', '/status/leader', 405, 'OPTIONS,GET'],
    ['OPTIONS', '/catalog/nodes', 200, 'OPTIONS,GET'],
    ['GET', '/nothing', 404, null],
    ['GET', '/catalog', 404, null],
    ['GET', '/catalog/service', 301, null],
    ['GET', '//catalog/nodes', 301, null],
  ])('%s %s is answered %i', async (method, path, status, allow) => {
    await using asked = await asking()
    const answer = await asked.ask(method, path)
    expect([answer.status, answer.headers.get('allow')]).toEqual([status, allow])
  })

  it('refuse what a page of another origin sends', async () => {
    await using asked = await asking()
    const response = await fetch(`${asked.server.url}/v1/query`, {
      method: 'POST',
      body: '{"Name":"x","Service":{"Service":"y"}}',
      headers: { origin: 'http://elsewhere.example', 'content-type': 'text/plain' },
    })
    expect(response.status).toBe(403)
    expect((await asked.ask('GET', '/query')).json).toEqual([])
  })
})
