import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Engine, memory } from '@seamark/core'
import { type FakeClock, fakeClock } from '@seamark/core/testing'
import { lmdb } from '@seamark/lmdb'
import { describe, expect, it } from 'vitest'
import { type Asking, asking, type Told } from '../../../test/asking.ts'
import { condition } from '../../../test/condition.ts'

async function create(asked: Asking, fields: object = {}): Promise<string> {
  const answer = await asked.ask('PUT', '/session/create', fields)
  expect(answer.status, answer.text).toBe(200)
  return answer.json.ID
}

async function exists(asked: Asking, id: string): Promise<boolean> {
  return (await asked.ask('GET', `/session/info/${id}`)).json.length === 1
}

async function holder(asked: Asking, key: string): Promise<string | undefined> {
  return (await asked.ask('GET', `/kv/${key}`)).json?.[0].Session
}

const acquire = async (asked: Asking, key: string, id: string) =>
  (await asked.ask('PUT', `/kv/${key}?acquire=${id}`, 'x')).text

/** Lets time pass in steps, so that sweeps are not late. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 100) await clock.advance(Math.min(100, left))
}

/** Lets time pass until the condition holds, and answers how much. */
async function passUntil(clock: FakeClock, holds: () => Promise<boolean>): Promise<number> {
  const start = clock.now()
  while (!(await holds())) {
    await clock.advance(100)
    if (clock.now() - start > 600_000) throw new Error('it did not come')
  }
  return clock.now() - start
}

describe('a session', () => {
  it('is printed as Consul does', async () => {
    await using asked = await asking()
    const id = await create(asked)
    const { text, headers } = await asked.ask('GET', `/session/info/${id}`)
    const index = headers.get('x-consul-index')
    expect(text).toBe(
      `[{"ID":"${id}","Name":"","Node":"n1","LockDelay":15000000000,"Behavior":"release","TTL":"","NodeChecks":["serfHealth"],"ServiceChecks":null,"CreateIndex":${index},"ModifyIndex":${index}}]`,
    )
    for (const path of ['/session/list', '/session/node/n1', '/session/node/N1'])
      expect((await asked.ask('GET', path)).text).toBe(text)
    expect((await asked.ask('GET', '/session/node/other')).text).toBe('[]')
    expect((await asked.ask('PUT', `/session/renew/${id}`)).text).toBe(text)
  })

  // Recorded from Consul 1.8.7.
  it.each([
    [
      { Name: 'n', TTL: '10s', Behavior: 'delete' },
      { Name: 'n', TTL: '10s', Behavior: 'delete' },
    ],
    [
      { name: 'n', lockdelay: '1s' },
      { Name: 'n', LockDelay: 1e9 },
    ],
    [{ LockDelay: 5 }, { LockDelay: 5e9 }],
    [{ LockDelay: '500ms' }, { LockDelay: 5e8 }],
    [{ LockDelay: 70_000_000_000 }, { LockDelay: 7e10 }],
    [{ LockDelay: 1.5 }, { LockDelay: 1e9 }],
    [{ LockDelay: '0s' }, { LockDelay: 0 }],
    [{ TTL: '0s' }, { TTL: '0s' }],
    [{ Checks: [] }, { NodeChecks: [] }],
    [{ Checks: null }, { NodeChecks: [] }],
    [{ NodeChecks: null }, { NodeChecks: null }],
    [{ NodeChecks: [] }, { NodeChecks: [] }],
    [{ Checks: ['serfHealth'] }, { NodeChecks: ['serfHealth'] }],
    [{ ServiceChecks: [] }, { ServiceChecks: [] }],
    [{ ID: 'abc', Foo: 1 }, { Name: '' }],
    [{ Node: 'N1' }, { Node: 'N1' }],
  ])('of %j is %j', async (fields, expected) => {
    await using asked = await asking()
    const id = await create(asked, fields)
    const [session] = (await asked.ask('GET', `/session/info/${id}`)).json
    expect(session).toMatchObject({ ...expected, ID: id })
    expect(session).not.toHaveProperty('Checks')
  })

  it.each([
    [{ TTL: '5s' }, 500, `Invalid Session TTL '5000000000', must be between [10s=24h0m0s]`],
    [{ TTL: '100000s' }, 500, `Invalid Session TTL '100000000000000', must be between [10s=24h0m0s]`],
    [{ TTL: 'x' }, 500, `Session TTL 'x' invalid: time: invalid duration "x"`],
    [
      { TTL: 5 },
      400,
      'Request decode failed: json: cannot unmarshal number into Go struct field .TTL of type string',
    ],
    [{ Behavior: 'x' }, 500, `Invalid Behavior setting 'x'`],
    [{ Node: 'zz' }, 500, 'Missing node registration'],
    [{ Node: '' }, 500, 'Must provide Node'],
    [{ Checks: ['nope'] }, 500, `Missing check 'nope' registration`],
    [{ NodeChecks: ['nope'] }, 500, `Missing check 'nope' registration`],
    [{ ServiceChecks: [{ ID: 'x' }] }, 500, `Missing check 'x' registration`],
    [{ LockDelay: 'x' }, 400, 'Request decode failed: time: invalid duration "x"'],
    [{ LockDelay: '1500' }, 400, 'Request decode failed: time: missing unit in duration "1500"'],
    ['{', 400, 'Request decode failed: unexpected EOF'],
  ])('of %j is refused', async (fields, status, text) => {
    await using asked = await asking()
    const answer = await asked.ask('PUT', '/session/create', fields)
    expect([answer.status, answer.text]).toEqual([status, text])
    expect((await asked.ask('GET', '/session/list')).text).toBe('[]')
  })

  it.each([
    ['GET', '/session/info/', 400, 'Missing session'],
    ['PUT', '/session/renew/', 400, 'Missing session'],
    ['PUT', '/session/destroy/', 400, 'Missing session'],
    ['GET', '/session/node/', 400, 'Missing node name'],
    ['GET', '/session/info/x', 500, 'failed session lookup: index error: UUID must be 36 characters'],
    [
      'GET',
      '/session/info/00000000-0000-0000-0000-00000000zzzz',
      500,
      `failed session lookup: index error: Invalid UUID: encoding/hex: invalid byte: U+007A 'z'`,
    ],
    [
      'PUT',
      '/session/renew/00000000-0000-0000-0000-000000000000',
      404,
      `Session id '00000000-0000-0000-0000-000000000000' not found`,
    ],
    ['PUT', '/session/destroy/00000000-0000-0000-0000-000000000000', 200, 'true'],
    ['GET', '/session/create', 405, 'method GET not allowed'],
    ['PUT', '/session/create?dc=zz', 500, 'No path to datacenter'],
  ])('%s %s is answered %i', async (method, path, status, text) => {
    await using asked = await asking()
    const answer = await asked.ask(method, path)
    expect([answer.status, answer.text]).toEqual([status, text])
  })

  it('that is destroyed releases its locks, and their keys are delayed', async () => {
    const clock = fakeClock()
    await using asked = await asking({ clock })
    const [mine, other] = [await create(asked, { LockDelay: '5s' }), await create(asked)]
    for (const key of ['a', 'b']) expect(await acquire(asked, key, mine)).toBe('true')
    expect((await asked.ask('PUT', `/session/destroy/${mine}`)).text).toBe('true')
    expect(await exists(asked, mine)).toBe(false)
    expect((await asked.ask('GET', '/kv/a')).json).toMatchObject([{ LockIndex: 1, Value: 'eA==' }])
    expect(await holder(asked, 'b')).toBeUndefined()
    expect(await acquire(asked, 'a', other)).toBe('false')
    await pass(clock, 4_900)
    expect(await acquire(asked, 'a', other)).toBe('false')
    const took = await passUntil(clock, async () => (await acquire(asked, 'a', other)) === 'true')
    expect(took).toBeLessThan(1_000)
  })

  it('refuses a delayed lock in a transaction too, but not a release of its own', async () => {
    await using asked = await asking()
    const [mine, other] = [await create(asked), await create(asked)]
    await acquire(asked, 'a', mine)
    await asked.ask('PUT', `/session/destroy/${mine}`)
    const answer = await asked.ask('PUT', '/txn', [{ KV: { Verb: 'lock', Key: 'a', Session: other } }])
    expect(answer.json.Errors).toEqual([{ OpIndex: 0, What: 'failed to lock key "a" due to lock delay' }])
    await acquire(asked, 'b', other)
    expect((await asked.ask('PUT', `/kv/b?release=${other}`)).text).toBe('true')
    const third = await create(asked)
    expect(await acquire(asked, 'b', third)).toBe('true')
  })

  it('removes its keys when it was told to', async () => {
    await using asked = await asking()
    const mine = await create(asked, { Behavior: 'delete', LockDelay: '0s' })
    await acquire(asked, 'd', mine)
    await asked.ask('PUT', `/session/destroy/${mine}`)
    expect((await asked.ask('GET', '/kv/d')).status).toBe(404)
    expect(await acquire(asked, 'd', await create(asked))).toBe('true')
  })

  it('releases any number of locks, and large ones', async () => {
    await using asked = await asking()
    const mine = await create(asked)
    const large = Buffer.alloc(400_000, 'x')
    for (let number = 0; number < 5; number++)
      await asked.ask('PUT', `/kv/large/${number}?acquire=${mine}`, large)
    for (let number = 0; number < 150; number++) await acquire(asked, `many/${number}`, mine)
    expect((await asked.ask('PUT', `/session/destroy/${mine}`)).text).toBe('true')
    const left = (await asked.ask('GET', '/kv/?recurse')).json
    expect(left).toHaveLength(155)
    expect(left.filter(({ Session }: { Session?: string }) => Session !== undefined)).toEqual([])
  })

  it('ends when nobody renews it, and not before', async () => {
    const clock = fakeClock()
    await using asked = await asking({ clock })
    const id = await create(asked, { TTL: '10s', LockDelay: '0s' })
    await acquire(asked, 'k', id)
    await pass(clock, 9_900)
    expect(await exists(asked, id)).toBe(true)
    expect((await asked.ask('PUT', `/session/renew/${id}`)).status).toBe(200)
    await pass(clock, 9_900)
    expect(await exists(asked, id)).toBe(true)
    expect(await holder(asked, 'k')).toBe(id)
    await passUntil(clock, async () => !(await exists(asked, id)))
    await condition(async () => (await holder(asked, 'k')) === undefined)
    expect((await asked.ask('PUT', `/session/renew/${id}`)).status).toBe(404)
  })

  it('is renewed at any server, and ended by any', async () => {
    const [clock, other] = [fakeClock(), fakeClock()]
    await using engine = memory({ clock })
    await using a = await asking({ engine, clock })
    await using b = await asking({ engine, clock: other })
    const both = async (ms: number) => {
      for (let left = ms; left > 0; left -= 100) await Promise.all([clock.advance(100), other.advance(100)])
    }
    const id = await create(a, { TTL: '10s' })
    for (let round = 0; round < 4; round++) {
      await both(8_000)
      expect((await b.ask('PUT', `/session/renew/${id}`)).status).toBe(200)
    }
    expect(await exists(a, id)).toBe(true)
    // The first server's time stands still from now on: the second one ends the session.
    await condition(() => exists(b, id))
    await passUntil(other, async () => !(await exists(b, id)))
    await condition(async () => !(await exists(a, id)))
  })

  it('is not ended by a server that was asleep', async () => {
    const clock = fakeClock()
    await using asked = await asking({ clock })
    const id = await create(asked, { TTL: '10s' })
    await pass(clock, 1_000)
    clock.jump(60_000)
    await clock.advance(100)
    expect(await exists(asked, id)).toBe(true)
    expect((await asked.ask('PUT', `/session/renew/${id}`)).status).toBe(200)
  })

  it('stays over a restart, and gets its whole time again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'seamark-session-'))
    try {
      const id = await served(folder, fakeClock(), async (asked, clock) => {
        const id = await create(asked, { TTL: '20s', LockDelay: '0s' })
        await acquire(asked, 'k', id)
        await pass(clock, 15_000)
        return id
      })
      await served(folder, fakeClock(), async (asked, clock) => {
        expect(await exists(asked, id)).toBe(true)
        await pass(clock, 19_000)
        expect(await holder(asked, 'k')).toBe(id)
        await passUntil(clock, async () => !(await exists(asked, id)))
        await condition(async () => (await holder(asked, 'k')) === undefined)
      })
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('that a server began to end and then died is ended by the next one', async () => {
    const clock = fakeClock()
    await using engine = memory({ clock })
    let id = ''
    {
      await using dying = await asking({ engine: breakingAfterMark(engine), clock })
      id = await create(dying, { LockDelay: '0s' })
      await acquire(dying, 'k', id)
      expect((await dying.ask('PUT', `/session/destroy/${id}`)).status).toBe(503)
      expect(await exists(dying, id)).toBe(false)
      expect(await holder(dying, 'k')).toBe(id)
    }
    await using next = await asking({ engine, clock })
    // It holds what it held, but gets nothing any more.
    expect(await holder(next, 'k')).toBe(id)
    expect((await next.ask('PUT', `/kv/other?acquire=${id}`)).text).toBe(`invalid session "${id}"`)
    await passUntil(clock, async () => (await holder(next, 'k')) === undefined)
    expect(await acquire(next, 'k', await create(next))).toBe('true')
  })

  it('ends with its node', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/catalog/register', { Node: 'ext', Address: '10.0.0.9' })
    const id = await create(asked, { Node: 'ext', NodeChecks: [], LockDelay: '0s' })
    await acquire(asked, 'k', id)
    await asked.ask('PUT', '/catalog/deregister', { Node: 'ext' })
    await condition(async () => !(await exists(asked, id)))
    await condition(async () => (await holder(asked, 'k')) === undefined)
  })

  it('stays while its server restarts, and ends when that is away for longer', async () => {
    const clock = fakeClock()
    await using engine = memory({ clock })
    const shared = { engine, clock, shared: true }
    const stays = await asking({ ...shared, name: 'b', consul: { nodeName: 'n2' } })
    const restarting = { ...shared, name: 'a', consul: { nodeName: 'n1' } }
    const first = await asking(restarting)
    const id = await create(first, { LockDelay: '0s' })
    await acquire(first, 'k', id)
    await closed(first, clock)
    await pass(clock, 20_000)
    const second = await asking(restarting)
    await pass(clock, 40_000)
    expect(await exists(stays, id)).toBe(true)
    expect(await exists(second, id)).toBe(true)
    await closed(second, clock)
    await pass(clock, 25_000)
    expect(await holder(stays, 'k')).toBe(id)
    await passUntil(clock, async () => !(await exists(stays, id)))
    await condition(async () => (await holder(stays, 'k')) === undefined)
    await closed(stays, clock)
  })

  it('ends when one of its checks turns critical, and cannot begin with one that is', async () => {
    await using asked = await asking()
    const register = { Name: 'web', ID: 'w1', Check: { CheckID: 'alive', TTL: '1h', Status: 'passing' } }
    await asked.ask('PUT', '/agent/service/register', register)
    const id = await create(asked, { ServiceChecks: [{ ID: 'alive' }] })
    expect((await asked.ask('GET', `/session/info/${id}`)).json).toMatchObject([
      { NodeChecks: ['serfHealth'], ServiceChecks: [{ ID: 'alive', Namespace: '' }] },
    ])
    await asked.ask('PUT', '/agent/check/warn/alive')
    expect(await exists(asked, id)).toBe(true)
    await asked.ask('PUT', '/agent/check/fail/alive')
    await condition(async () => !(await exists(asked, id)))
    const refused = await asked.ask('PUT', '/session/create', { NodeChecks: ['alive'] })
    expect([refused.status, refused.text]).toEqual([500, `Check 'alive' is in critical state`])
  })

  it('is waited for', async () => {
    await using asked = await asking()
    const [id, other] = [await create(asked), await create(asked)]
    const wait = async (path: string): Promise<Told> => {
      const index = (await asked.ask('GET', path)).headers.get('x-consul-index')
      return asked.ask('GET', `${path}?index=${index}&wait=60s`)
    }
    const [gone, list] = [wait(`/session/info/${id}`), wait('/session/list')]
    await new Promise((resolve) => setTimeout(resolve, 20))
    await asked.ask('PUT', `/session/destroy/${other}`)
    expect((await list).json).toHaveLength(1)
    await asked.ask('PUT', `/session/destroy/${id}`)
    expect((await gone).json).toEqual([])
  })
})

/** A server among several lets its going spread before it is gone. */
async function closed(asked: Asking, clock: FakeClock): Promise<void> {
  let done = false
  const closing = asked[Symbol.asyncDispose]().then(() => {
    done = true
  })
  while (!done) await clock.advance(100)
  await closing
}

async function served<T>(
  folder: string,
  clock: FakeClock,
  task: (asked: Asking, clock: FakeClock) => Promise<T>,
): Promise<T> {
  await using engine = await lmdb(folder, { clock })
  await using asked = await asking({ engine, clock })
  return await task(asked, clock)
}

/** An engine that is gone once a session was marked as over. */
function breakingAfterMark(engine: Engine): Engine {
  let gone = false
  const write: Engine['write'] = async (operations) => {
    if (gone)
      throw Object.assign(new Error('gone'), {
        name: 'SeamarkError',
        code: 'engine_unavailable',
        status: 503,
      })
    gone = operations.some(
      (operation) => operation.type === 'put' && Buffer.from(operation.value).includes('"ended"'),
    )
    return engine.write(operations)
  }
  return new Proxy(engine, {
    get(target, name) {
      if (name === 'write') return write
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
