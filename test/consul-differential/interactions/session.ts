import type { Api, Interactions } from '../api.ts'

async function create({ put }: Pick<Api, 'put'>, body?: object | string): Promise<string> {
  return (await put('/v1/session/create', body)).json<{ ID: string }>().ID
}

export const session: Interactions = {
  'create without a body, info, destroy': async (api) => {
    const id = await create(api)
    await api.get(`/v1/session/info/${id}`)
    await api.put(`/v1/session/destroy/${id}`)
    await api.get(`/v1/session/info/${id}`)
    await api.put(`/v1/session/destroy/${id}`)
  },
  'create with all that one can say of it': async (api) => {
    await api.put('/v1/agent/check/register', { ID: 'c', Name: 'c', TTL: '1h', Status: 'passing' })
    const id = await create(api, {
      Name: 'leader',
      Node: 'harbour',
      LockDelay: '5s',
      Checks: ['serfHealth', 'c'],
      Behavior: 'delete',
      TTL: '90s',
    })
    await api.get(`/v1/session/info/${id}`)
  },
  'create in lower case, with a number as the delay': async (api) => {
    await api.get(`/v1/session/info/${await create(api, { name: 'lower', lockdelay: '3s', ttl: '20s' })}`)
    await api.get(`/v1/session/info/${await create(api, { LockDelay: 7 })}`)
    await api.get(`/v1/session/info/${await create(api, { LockDelay: 7_000_000_000 })}`)
    await api.get(`/v1/session/info/${await create(api, { TTL: '' })}`)
    await api.get(`/v1/session/info/${await create(api, {})}`)
  },
  'create: NodeChecks, ServiceChecks and no checks': async (api) => {
    await api.put('/v1/agent/service/register', {
      Name: 'web',
      Check: { CheckID: 'w', TTL: '1h', Status: 'passing' },
    })
    await api.get(`/v1/session/info/${await create(api, { NodeChecks: ['serfHealth'] })}`)
    await api.get(`/v1/session/info/${await create(api, { ServiceChecks: [{ ID: 'w' }] })}`)
    await api.get(`/v1/session/info/${await create(api, { Checks: [] })}`)
    await api.get(`/v1/session/info/${await create(api, { NodeChecks: [], ServiceChecks: [] })}`)
  },
  'create: what is refused': async ({ put, get }) => {
    const refused = (body?: object | string) => put('/v1/session/create', body)
    await refused('nonsense')
    await refused('{')
    await refused({ TTL: '5s' })
    await refused({ TTL: '90000s' })
    await refused({ TTL: 'soon' })
    await refused({ TTL: 30 })
    await refused({ LockDelay: 'soon' })
    await refused({ LockDelay: '' })
    await refused({ LockDelay: '2m' })
    await refused({ Behavior: 'nothing' })
    await refused({ Node: 'none' })
    await refused({ Checks: ['none'] })
    await refused({ NodeChecks: ['none'] })
    await refused({ ServiceChecks: [{ ID: 'none' }] })
    await refused({ Name: 5 })
    await get('/v1/session/list')
  },
  'create: on a check that is critical': async ({ put }) => {
    await put('/v1/agent/check/register', { ID: 'c', Name: 'c', TTL: '1h' })
    await put('/v1/session/create', { Checks: ['serfHealth', 'c'] })
    await put('/v1/session/create', { NodeChecks: ['serfHealth', 'c'] })
  },
  'list, and those of a node': async (api) => {
    await api.get('/v1/session/list')
    await api.get('/v1/session/node/harbour')
    await api.get('/v1/session/node/none')
    await api.get('/v1/session/node/')
    await create(api, { Name: 'one' })
    await api.get('/v1/session/list')
    await api.get('/v1/session/node/harbour')
    await create(api, { Name: 'two' })
    await api.get('/v1/session/list', { unordered: true })
  },
  'on an external node': async (api) => {
    await api.put('/v1/catalog/register', { Node: 'rock', Address: '10.9.0.1' })
    const id = await create(api, { Node: 'rock', Checks: [] })
    await api.get(`/v1/session/info/${id}`)
    await api.get('/v1/session/node/rock')
    await api.put('/v1/catalog/deregister', { Node: 'rock' })
    await api.get(`/v1/session/info/${id}`)
  },
  'on an external node without a serfHealth check': async (api) => {
    await api.put('/v1/catalog/register', { Node: 'rock', Address: '10.9.0.1' })
    await api.put('/v1/session/create', { Node: 'rock' })
  },
  renew: async (api) => {
    const id = await create(api, { TTL: '10s', Name: 'leader' })
    await api.put(`/v1/session/renew/${id}`)
    await api.put(`/v1/session/renew/${await create(api)}`)
    await api.put('/v1/session/renew/5e3a2a9c-5c6c-4d9f-9d2f-0c6f2d1d9f11')
    await api.put('/v1/session/renew/none')
    await api.put('/v1/session/renew/')
  },
  'renewing changes no index': async (api) => {
    const id = await create(api, { TTL: '10s' })
    const { index } = await api.get(`/v1/session/info/${id}`)
    await api.put(`/v1/session/renew/${id}`)
    api.note('index unchanged', (await api.get(`/v1/session/info/${id}`)).index === index)
  },
  'what is not known': async ({ get, put }) => {
    await get('/v1/session/info/5e3a2a9c-5c6c-4d9f-9d2f-0c6f2d1d9f11')
    await get('/v1/session/info/none')
    await get('/v1/session/info/')
    await put('/v1/session/destroy/5e3a2a9c-5c6c-4d9f-9d2f-0c6f2d1d9f11')
    await put('/v1/session/destroy/none')
    await put('/v1/session/destroy/')
    await get('/v1/session/nothing')
  },
  'destroying releases locks, and keeps what they hold': async (api) => {
    const id = await create(api, { LockDelay: '0s' })
    await api.put(`/v1/kv/lock-1?acquire=${id}`, 'mine')
    await api.put(`/v1/session/destroy/${id}`)
    await api.get('/v1/kv/lock-1')
    const other = await create(api)
    await api.put(`/v1/kv/lock-1?acquire=${other}`, 'theirs')
    await api.get('/v1/kv/lock-1')
  },
  'destroying one of behaviour delete removes what it locked': async (api) => {
    const id = await create(api, { Behavior: 'delete', LockDelay: '0s' })
    await api.put(`/v1/kv/lock-2/a?acquire=${id}`, 'mine')
    await api.put(`/v1/kv/lock-2/b?acquire=${id}`, 'mine')
    await api.put('/v1/kv/lock-2/c', 'not mine')
    await api.put(`/v1/session/destroy/${id}`)
    await api.get('/v1/kv/lock-2/?recurse')
  },
  'after a session is lost, its locks wait for its delay': async (api) => {
    const id = await create(api)
    await api.put(`/v1/kv/delayed?acquire=${id}`, 'mine')
    await api.put(`/v1/session/destroy/${id}`)
    const other = await create(api)
    await api.put(`/v1/kv/delayed?acquire=${other}`, 'theirs')
    await api.get('/v1/kv/delayed')
  },
  'a lock that was released has no delay': async (api) => {
    const id = await create(api)
    await api.put(`/v1/kv/lock-4?acquire=${id}`, 'mine')
    await api.put(`/v1/kv/lock-4?release=${id}`, 'mine')
    await api.put(`/v1/session/destroy/${id}`)
    const other = await create(api)
    await api.put(`/v1/kv/lock-4?acquire=${other}`, 'theirs')
  },
  'a session ends when a check of its becomes critical': async (api) => {
    await api.put('/v1/agent/check/register', { ID: 'c', Name: 'c', TTL: '1h', Status: 'passing' })
    const id = await create(api, { Checks: ['serfHealth', 'c'], LockDelay: '0s' })
    await api.put(`/v1/kv/lock-5?acquire=${id}`, 'mine')
    await api.put('/v1/agent/check/warn/c')
    await api.get(`/v1/session/info/${id}`)
    await api.put('/v1/agent/check/fail/c')
    await api.until(`/v1/session/info/${id}`, ({ text }) => text.trim() === '[]')
    await api.get('/v1/kv/lock-5')
  },
  'a session ends when a check of its is removed': async (api) => {
    await api.put('/v1/agent/check/register', { ID: 'c', Name: 'c', TTL: '1h', Status: 'passing' })
    const id = await create(api, { Checks: ['serfHealth', 'c'] })
    await api.put('/v1/agent/check/deregister/c')
    await api.until(`/v1/session/info/${id}`, ({ text }) => text.trim() === '[]')
  },
  'blocking: a session that is destroyed': async (api) => {
    const id = await create(api)
    const { index } = await api.get(`/v1/session/info/${id}`)
    const blocked = api.get(`/v1/session/info/${id}?index=${index}&wait=20s`)
    await api.put(`/v1/session/destroy/${id}`)
    api.note('index grew', (await blocked).index > index)
  },
  'blocking: the list': async (api) => {
    await create(api)
    const { index } = await api.get('/v1/session/list')
    const blocked = api.get(`/v1/session/list?index=${index}&wait=20s`, { unordered: true })
    await create(api, { Name: 'second' })
    api.note('index grew', (await blocked).index > index)
  },
  'blocking: a lock that is released wakes who waits for the key': async (api) => {
    const id = await create(api, { LockDelay: '0s' })
    await api.put(`/v1/kv/lock-6?acquire=${id}`, 'mine')
    const { index } = await api.get('/v1/kv/lock-6')
    const blocked = api.get(`/v1/kv/lock-6?index=${index}&wait=20s`)
    await api.put(`/v1/session/destroy/${id}`)
    api.note('index grew', (await blocked).index > index)
  },
  'when its time is over, a session gives its locks back': async (api) => {
    const released = await create(api, { TTL: '10s', LockDelay: '0s' })
    const deleted = await create(api, { TTL: '10s', LockDelay: '0s', Behavior: 'delete' })
    await api.put(`/v1/kv/lock-time/a?acquire=${released}`, 'mine')
    await api.put(`/v1/kv/lock-time/b?acquire=${deleted}`, 'mine')
    const gone = async (id: string) => {
      const { index } = await api.peek(`/v1/session/info/${id}`)
      // Consul takes up to twice as long.
      return api.peek(`/v1/session/info/${id}?index=${index}&wait=40s`)
    }
    const [a, b] = await Promise.all([gone(released), gone(deleted)])
    api.note('what is left of the sessions', [a.text, b.text])
    await api.until('/v1/kv/lock-time/?recurse', ({ text }) => !text.includes('Session'))
  },
  'another datacenter': async ({ put, get }) => {
    await put('/v1/session/create?dc=dc2')
    await get('/v1/session/list?dc=dc2')
    await get('/v1/session/list?dc=dc1')
  },
}
