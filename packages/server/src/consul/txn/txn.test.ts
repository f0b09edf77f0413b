import { describe, expect, it } from 'vitest'
import { type Asking, asking } from '../../../test/asking.ts'

type Operation = Record<string, unknown>

function txn(asked: Asking, ...operations: Operation[]) {
  return asked.ask(
    'PUT',
    '/txn',
    operations.map((KV) => ({ KV })),
  )
}

const encoded = (text: string) => Buffer.from(text).toString('base64')

const read = { Index: 0, LastContact: 0, KnownLeader: true, ConsistencyLevel: '' }

async function session(asked: Asking): Promise<string> {
  return (await asked.ask('PUT', '/session/create', { LockDelay: '0s' })).json.ID
}

describe('a transaction', () => {
  it('does all it says, at one index, and shows what it did', async () => {
    await using asked = await asking()
    const answer = await txn(
      asked,
      { Verb: 'set', Key: 'b/1', Value: encoded('1'), Flags: 3 },
      { Verb: 'set', Key: 'b/2', Value: encoded('2') },
      { Verb: 'get-tree', Key: 'b/' },
      { Verb: 'get', Key: 'b/2' },
      { Verb: 'delete', Key: 'b/2' },
      { Verb: 'get-tree', Key: 'b/' },
    )
    expect(answer.status).toBe(200)
    const { ModifyIndex: index } = answer.json.Results[0].KV
    const shown = (Key: string, Value: string | null, Flags = 0) => ({
      KV: { LockIndex: 0, Key, Flags, Value, CreateIndex: index, ModifyIndex: index },
    })
    expect(answer.json).toEqual({
      Results: [
        shown('b/1', null, 3),
        shown('b/2', null),
        shown('b/1', 'MQ==', 3),
        shown('b/2', 'Mg=='),
        shown('b/2', 'Mg=='),
        shown('b/1', 'MQ==', 3),
      ],
      Errors: null,
    })
    expect((await asked.ask('GET', '/kv/b/?recurse')).json).toEqual([shown('b/1', 'MQ==', 3).KV])
  })

  it('does nothing of it when one thing fails, and tells of all that do', async () => {
    await using asked = await asking()
    const answer = await txn(
      asked,
      { Verb: 'set', Key: 'a' },
      { Verb: 'cas', Key: 'a', Index: 1 },
      { Verb: 'get', Key: 'none' },
    )
    expect(answer.status).toBe(409)
    expect(answer.json).toEqual({
      Results: null,
      Errors: [
        { OpIndex: 1, What: 'failed to set key "a", index is stale' },
        { OpIndex: 2, What: `key "none" doesn't exist` },
      ],
    })
    expect((await asked.ask('GET', '/kv/a')).status).toBe(404)
  })

  it('says how fresh it is when it only reads', async () => {
    await using asked = await asking()
    expect((await txn(asked)).json).toEqual({ Results: [], Errors: null, ...read })
    expect((await asked.ask('PUT', '/txn', 'null')).json).toEqual({ Results: [], Errors: null, ...read })
    const answer = await txn(asked, { Verb: 'get', Key: 'none' })
    expect(answer.status).toBe(409)
    expect(answer.json).toEqual({
      Results: null,
      Errors: [{ OpIndex: 0, What: `key "none" doesn't exist` }],
      ...read,
    })
    expect(answer.headers.get('x-consul-index')).toBeNull()
    expect(answer.headers.get('x-consul-knownleader')).toBe('true')
  })

  it('takes locks and releases them', async () => {
    await using asked = await asking()
    const mine = await session(asked)
    const other = await session(asked)
    const lock = (Session: string) => txn(asked, { Verb: 'lock', Key: 'l', Value: 'MQ==', Session })
    expect((await lock(mine)).json.Results[0].KV).toMatchObject({ LockIndex: 1, Session: mine })
    expect((await lock(other)).json.Errors).toEqual([
      { OpIndex: 0, What: 'failed to lock key "l", lock is already held' },
    ])
    expect((await txn(asked, { Verb: 'check-session', Key: 'l', Session: mine })).status).toBe(200)
    expect((await txn(asked, { Verb: 'check-session', Key: 'l', Session: 'x' })).json.Errors).toEqual([
      { OpIndex: 0, What: `failed session check for key "l", current session "${mine}" != "x"` },
    ])
    const unlock = { Verb: 'unlock', Key: 'l', Session: mine }
    expect((await txn(asked, unlock)).json.Results[0].KV).not.toHaveProperty('Session')
    expect((await txn(asked, unlock)).json.Errors).toEqual([
      { OpIndex: 0, What: `failed to unlock key "l", lock isn't held, or is held by another session` },
    ])
  })

  it('compares indexes', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/kv/a', 'x')
    const [{ ModifyIndex }] = (await asked.ask('GET', '/kv/a')).json
    const checked = { Verb: 'check-index', Key: 'a' }
    expect((await txn(asked, { ...checked, Index: ModifyIndex })).status).toBe(200)
    expect((await txn(asked, { ...checked, Index: 1 })).json.Errors[0].What).toBe(
      `failed index check for key "a", current modify index ${ModifyIndex} != 1`,
    )
    expect((await txn(asked, { Verb: 'check-not-exists', Key: 'none' })).json.Results).toEqual([])
    expect((await txn(asked, { Verb: 'check-not-exists', Key: 'a' })).json.Errors[0].What).toBe(
      'key "a" exists',
    )
    expect((await txn(asked, { Verb: 'delete-cas', Key: 'a', Index: 1 })).json.Errors[0].What).toBe(
      'failed to delete key "a", index is stale',
    )
    expect((await txn(asked, { Verb: 'delete-cas', Key: 'a', Index: ModifyIndex })).json.Results).toEqual([])
    expect((await txn(asked, { Verb: 'delete-cas', Key: 'a', Index: 5 })).json.Results).toEqual([])
    expect((await txn(asked, { Verb: 'cas', Key: 'a', Index: 0, Value: 'MQ==' })).status).toBe(200)
  })

  it('removes a tree', async () => {
    await using asked = await asking()
    for (const key of ['t/1', 't/2', 'u']) await asked.ask('PUT', `/kv/${key}`, 'x')
    expect((await txn(asked, { Verb: 'delete-tree', Key: 't/' })).json).toEqual({ Results: [], Errors: null })
    expect((await asked.ask('GET', '/kv/?keys')).json).toEqual(['u'])
    await txn(asked, { Verb: 'delete-tree' })
    expect((await asked.ask('GET', '/kv/?keys')).json).toEqual([])
  })

  it('keeps flags of 64 bits', async () => {
    await using asked = await asking()
    await asked.ask(
      'PUT',
      '/txn',
      '[{"KV":{"Verb":"set","Key":"a 123456789012345678","Flags":18446744073709551615}}]',
    )
    expect((await asked.ask('GET', '/kv/?recurse')).text).toContain(
      '"Key":"a 123456789012345678","Flags":18446744073709551615',
    )
  })

  it('of many clients moves what they share, and loses nothing', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/kv/from', '40')
    await asked.ask('PUT', '/kv/to', '0')
    const move = async () => {
      for (;;) {
        const { json } = await txn(asked, { Verb: 'get', Key: 'from' }, { Verb: 'get', Key: 'to' })
        const [from, to] = json.Results.map(({ KV }: { KV: { Value: string; ModifyIndex: number } }) => ({
          count: Number(Buffer.from(KV.Value, 'base64').toString()),
          Index: KV.ModifyIndex,
        }))
        const written = await txn(
          asked,
          { Verb: 'cas', Key: 'from', Index: from.Index, Value: encoded(String(from.count - 1)) },
          { Verb: 'cas', Key: 'to', Index: to.Index, Value: encoded(String(to.count + 1)) },
        )
        if (written.status === 200) return
      }
    }
    await Promise.all(Array.from({ length: 40 }, move))
    expect((await asked.ask('GET', '/kv/from?raw')).text).toBe('0')
    expect((await asked.ask('GET', '/kv/to?raw')).text).toBe('40')
  })

  it('reads nodes, services and checks, but changes none', async () => {
    await using asked = await asking()
    const get = async (operation: object) => (await asked.ask('PUT', '/txn', [operation])).json
    const node = await get({ Node: { Verb: 'get', Node: { Node: 'n1' } } })
    expect(node.Results[0].Node).toMatchObject({ Node: 'n1', Datacenter: 'dc1' })
    const service = await get({ Service: { Verb: 'get', Node: 'n1', Service: { ID: 'consul' } } })
    expect(service.Results[0].Service).toMatchObject({ ID: 'consul' })
    const check = await get({ Check: { Verb: 'get', Check: { Node: 'n1', CheckID: 'serfHealth' } } })
    expect(check.Results[0].Check).toMatchObject({ CheckID: 'serfHealth', Status: 'passing' })
    expect((await get({ Node: { Verb: 'get', Node: { Node: 'zz' } } })).Errors).toEqual([
      { OpIndex: 0, What: `node "zz" doesn't exist` },
    ])
    const set = await asked.ask('PUT', '/txn', [
      { Node: { Verb: 'set', Node: { Node: 'x', Address: '::1' } } },
    ])
    expect(set.status).toBe(409)
    expect(set.json.Errors[0].What).toContain('can only get')
    expect((await get({ Node: { Verb: 'zz', Node: {} } })).Errors[0].What).toBe('unknown Node verb "zz"')
  })

  it.each([
    ['', 400, 'Failed to parse body: EOF'],
    ['{', 400, 'Failed to parse body: unexpected EOF'],
    ['{}', 400, 'Failed to parse body: json: cannot unmarshal object into Go value of type api.TxnOps'],
    [
      '[{"KV":5}]',
      400,
      'Failed to parse body: json: cannot unmarshal number into Go struct field TxnOp.KV of type api.KVTxnOp',
    ],
    ['[{"Session":{}}]', 400, 'Failed to parse body: json: unknown field "Session"'],
    [
      '[{"KV":{"Verb":"set","Key":"a","Value":"!!"}}]',
      400,
      'Failed to parse body: illegal base64 data at input byte 0',
    ],
    [
      '[{"KV":{"Verb":"set","Key":"a","Value":5}}]',
      400,
      'Failed to parse body: json: cannot unmarshal number into Go struct field KVTxnOp.KV.Value of type []uint8',
    ],
    [
      '[{"KV":{"Verb":"set","Key":"a","Flags":-1}}]',
      400,
      'Failed to parse body: json: cannot unmarshal number -1 into Go struct field KVTxnOp.KV.Flags of type uint64',
    ],
    [
      JSON.stringify(Array(65).fill({ KV: { Verb: 'get', Key: 'a' } })),
      413,
      'Transaction contains too many operations (65 > 64)',
    ],
  ])('that is %j is answered %i', async (body, status, text) => {
    await using asked = await asking()
    const answer = await asked.ask('PUT', '/txn', body)
    expect([answer.status, answer.text]).toEqual([status, text])
  })

  it.each([
    [{}, 'Must provide key'],
    [{ Verb: 'zz', Key: 'a' }, 'unknown KV verb "zz"'],
    [{ Verb: 'SET', Key: 'a' }, 'unknown KV verb "SET"'],
    [{ Verb: 'get-tree' }, 'Must provide key'],
    [{ Verb: 'lock', Key: 'l' }, 'missing session'],
    [
      { Verb: 'lock', Key: 'l', Session: 'x' },
      'failed session lookup: index error: UUID must be 36 characters',
    ],
    [
      { Verb: 'lock', Key: 'l', Session: '00000000-0000-0000-0000-000000000000' },
      'invalid session "00000000-0000-0000-0000-000000000000"',
    ],
  ])('of %j is refused', async (operation, what) => {
    await using asked = await asking()
    const answer = await txn(asked, operation)
    expect(answer.status).toBe(409)
    expect(answer.json.Errors).toEqual([{ OpIndex: 0, What: what }])
  })
})
