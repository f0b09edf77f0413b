import type { Api, Interactions } from '../api.ts'

const value = (text: string) => Buffer.from(text).toString('base64')

/** A transaction on keys. */
function txn({ put }: Pick<Api, 'put'>, ...operations: object[]) {
  return put(
    '/v1/txn',
    operations.map((KV) => ({ KV })),
  )
}

export const transaction: Interactions = {
  'set and get': async (api) => {
    await txn(api, { Verb: 'set', Key: 'a', Value: value('1'), Flags: 7 }, { Verb: 'get', Key: 'a' })
    await api.get('/v1/kv/a')
  },
  'every verb that reads': async (api) => {
    await api.put('/v1/kv/web/a', '1')
    await api.put('/v1/kv/web/b', '2')
    await txn(api, { Verb: 'get', Key: 'web/a' })
    await txn(api, { Verb: 'get-tree', Key: 'web/' })
    await txn(api, { Verb: 'get-tree', Key: 'none/' })
    await txn(api, { Verb: 'get', Key: 'none' })
    await txn(api, { Verb: 'check-not-exists', Key: 'none' })
    await txn(api, { Verb: 'check-not-exists', Key: 'web/a' })
  },
  'cas, check-index and delete-cas': async (api) => {
    await api.put('/v1/kv/a', '1')
    const [read] = (await api.peek('/v1/kv/a')).json<{ ModifyIndex: number }[]>()
    const Index = read!.ModifyIndex
    await txn(api, { Verb: 'cas', Key: 'b', Value: value('new'), Index: 0 })
    await txn(api, { Verb: 'cas', Key: 'b', Value: value('again'), Index: 0 })
    await txn(api, { Verb: 'check-index', Key: 'a', Index })
    await txn(api, { Verb: 'cas', Key: 'a', Value: value('2'), Index })
    await txn(api, { Verb: 'check-index', Key: 'none', Index: 1 })
    await txn(api, { Verb: 'delete-cas', Key: 'none', Index: 0 })
    await api.get('/v1/kv/?recurse')
  },
  'a failure undoes it all, and says which': async (api) => {
    await api.put('/v1/kv/a', '1')
    await txn(
      api,
      { Verb: 'set', Key: 'a', Value: value('2') },
      { Verb: 'set', Key: 'b', Value: value('2') },
      { Verb: 'check-not-exists', Key: 'a' },
      { Verb: 'delete', Key: 'a' },
    )
    await api.get('/v1/kv/?recurse')
  },
  'several failures are all named': async (api) => {
    await txn(
      api,
      { Verb: 'get', Key: 'x' },
      { Verb: 'check-index', Key: 'y', Index: 1 },
      { Verb: 'set', Key: 'a', Value: value('1') },
      { Verb: 'cas', Key: 'z', Value: value('1'), Index: 5 },
      { Verb: 'delete-cas', Key: 'a', Index: 5 },
    )
    await api.get('/v1/kv/?keys')
  },
  'delete, delete-tree and delete-cas': async (api) => {
    for (const key of ['web/a', 'web/b', 'c', 'd']) await api.put(`/v1/kv/${key}`, key)
    await txn(api, { Verb: 'delete', Key: 'c' }, { Verb: 'delete-tree', Key: 'web/' })
    await api.get('/v1/kv/?keys')
    await txn(api, { Verb: 'delete', Key: 'none' }, { Verb: 'delete-tree', Key: 'none' })
    await txn(api, { Verb: 'delete-cas', Key: 'd', Index: 1 })
    await api.get('/v1/kv/?keys')
  },
  'lock, check-session and unlock': async (api) => {
    const { ID: Session } = (await api.put('/v1/session/create')).json<{ ID: string }>()
    await txn(api, { Verb: 'lock', Key: 'l', Value: value('mine'), Session })
    await txn(api, { Verb: 'check-session', Key: 'l', Session })
    await api.get('/v1/kv/l')
    const { ID: other } = (await api.put('/v1/session/create')).json<{ ID: string }>()
    await txn(api, { Verb: 'lock', Key: 'l', Value: value('theirs'), Session: other })
    await txn(api, { Verb: 'check-session', Key: 'l', Session: other })
    await txn(api, { Verb: 'unlock', Key: 'l', Value: value('x'), Session: other })
    await txn(api, { Verb: 'unlock', Key: 'l', Value: value('free'), Session })
    await api.get('/v1/kv/l')
    await txn(api, { Verb: 'lock', Key: 'l', Session: '5e3a2a9c-5c6c-4d9f-9d2f-0c6f2d1d9f11' })
    await txn(api, { Verb: 'lock', Key: 'l' })
    await txn(api, { Verb: 'check-session', Key: 'none', Session })
  },
  'sets and gets see one another, in their order': async (api) => {
    await txn(
      api,
      { Verb: 'set', Key: 'a', Value: value('1') },
      { Verb: 'get', Key: 'a' },
      { Verb: 'set', Key: 'a', Value: value('2') },
      { Verb: 'get', Key: 'a' },
      { Verb: 'delete', Key: 'a' },
      { Verb: 'check-not-exists', Key: 'a' },
      { Verb: 'set', Key: 'b', Value: value('3') },
      { Verb: 'get-tree', Key: '' },
    )
    await api.get('/v1/kv/?recurse')
  },
  'all that is written in one has one index': async (api) => {
    await txn(api, { Verb: 'set', Key: 'a', Value: value('1') }, { Verb: 'set', Key: 'b', Value: value('1') })
    const indexes = (await api.get('/v1/kv/?recurse')).json<{ ModifyIndex: number }[]>()
    api.note('one index', new Set(indexes.map(({ ModifyIndex }) => ModifyIndex)).size)
  },
  'one that only reads': async (api) => {
    await api.put('/v1/kv/a', '1')
    await txn(api, { Verb: 'get', Key: 'a' })
    await api.put('/v1/txn?stale', [{ KV: { Verb: 'get', Key: 'a' } }])
    await api.put('/v1/txn?consistent', [{ KV: { Verb: 'get', Key: 'a' } }])
  },
  'an empty one': async ({ put }) => {
    await put('/v1/txn', [])
  },
  'what is refused': async ({ put, get }) => {
    await put('/v1/txn')
    await put('/v1/txn', 'nonsense')
    await put('/v1/txn', '{}')
    await put('/v1/txn', '{"KV":{}}')
    await put('/v1/txn', '[{}]')
    await put('/v1/txn', [{ KV: {} }])
    await put('/v1/txn', [{ KV: { Verb: 'set' } }])
    await put('/v1/txn', [{ KV: { Verb: 'jump', Key: 'a' } }])
    await put('/v1/txn', [{ KV: { Verb: 'set', Key: 'a', Value: 'no base64!' } }])
    await put('/v1/txn', [{ KV: { Verb: 'set', Key: 'a', Value: 5 } }])
    await put('/v1/txn', [{ Nothing: {} }])
    await get('/v1/kv/?keys')
  },
  'too many operations': async ({ send, note }) => {
    const operations = (length: number) =>
      Array.from({ length }, (_, i) => ({ KV: { Verb: 'set', Key: `k${i}`, Value: '' } }))
    for (const length of [64, 65]) {
      const { status, text } = await send('PUT', '/v1/txn', operations(length))
      note(`${length} operations`, status === 200 ? status : `${status} ${text}`)
    }
  },
  'values may be null or missing': async (api) => {
    await txn(
      api,
      { Verb: 'set', Key: 'a', Value: null },
      { Verb: 'set', Key: 'b' },
      { Verb: 'get', Key: 'a' },
    )
    await api.get('/v1/kv/?recurse')
  },
  'in lower case': async ({ put }) => {
    await put('/v1/txn', [{ kv: { verb: 'set', key: 'a', value: value('1') } }])
  },
  'services, nodes and checks': async ({ put, get }) => {
    await put('/v1/txn', [
      { Node: { Verb: 'set', Node: { Node: 'rock', Address: '10.9.0.1' } } },
      { Service: { Verb: 'set', Node: 'rock', Service: { ID: 'db', Service: 'db', Port: 1 } } },
      { Check: { Verb: 'set', Check: { Node: 'rock', CheckID: 'c', Name: 'c', Status: 'passing' } } },
    ])
    await get('/v1/health/service/db')
  },
  'another datacenter': async ({ put }) => {
    await put('/v1/txn?dc=dc2', [{ KV: { Verb: 'get', Key: 'a' } }])
  },
}
