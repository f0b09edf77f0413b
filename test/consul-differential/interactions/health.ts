import type { Api, Interactions } from '../api.ts'

const where = (expression: string) => `filter=${encodeURIComponent(expression)}`

/** A service on the agent, and one on an external node. */
async function fleet({ put }: Pick<Api, 'put'>): Promise<void> {
  await put('/v1/agent/service/register', {
    ID: 'web-1',
    Name: 'web',
    Port: 1,
    Tags: ['a', 'b'],
    Meta: { version: '1' },
    Check: { CheckID: 'web-1', TTL: '1h', Status: 'passing' },
  })
  await put('/v1/agent/service/register', {
    ID: 'web-2',
    Name: 'web',
    Port: 2,
    Tags: ['b'],
    Check: { CheckID: 'web-2', TTL: '1h', Status: 'critical' },
  })
  await put('/v1/catalog/register', {
    Node: 'rock',
    Address: '10.9.0.1',
    NodeMeta: { rack: 'r1' },
    Service: { ID: 'web-3', Service: 'web', Port: 3, Tags: ['a'] },
    Checks: [
      { CheckID: 'ping', Name: 'ping', Status: 'passing' },
      { CheckID: 'web-3', Name: 'web', Status: 'warning', ServiceID: 'web-3', Output: 'slow' },
    ],
  })
}

export const health: Interactions = {
  'node: checks of the node and of its services': async (api) => {
    await fleet(api)
    await api.get('/v1/health/node/harbour')
    await api.get('/v1/health/node/rock')
    await api.get('/v1/health/node/none')
    await api.get('/v1/health/node/')
  },
  'checks: of a service, everywhere': async (api) => {
    await fleet(api)
    await api.get('/v1/health/checks/web')
    await api.get('/v1/health/checks/none')
    await api.get('/v1/health/checks/')
  },
  'service: all of it': async (api) => {
    await fleet(api)
    await api.get('/v1/health/service/web')
    await api.get('/v1/health/service/none')
    await api.get('/v1/health/service/')
  },
  'service: passing': async (api) => {
    await fleet(api)
    await api.get('/v1/health/service/web?passing')
    await api.get('/v1/health/service/web?passing=true')
    await api.get('/v1/health/service/web?passing=1')
    await api.get('/v1/health/service/web?passing=false')
    await api.get('/v1/health/service/web?passing=maybe')
    await api.get('/v1/health/service/none?passing')
  },
  'service: passing, of several': async ({ put, get }) => {
    for (const [ID, Status] of [
      ['a', 'critical'],
      ['b', 'passing'],
      ['c', 'passing'],
    ])
      await put('/v1/agent/service/register', { ID, Name: 'web', Check: { TTL: '1h', Status } })
    await get('/v1/health/service/web?passing')
  },
  'service: by tags': async (api) => {
    await fleet(api)
    await api.get('/v1/health/service/web?tag=a')
    await api.get('/v1/health/service/web?tag=a&tag=b')
    await api.get('/v1/health/service/web?tag=none')
    await api.get('/v1/health/service/web?tag=a&passing')
    await api.get('/v1/health/service/web?tag=')
  },
  'service: near is taken': async (api) => {
    await fleet(api)
    await api.get('/v1/health/service/web?near=_agent&passing')
    await api.get('/v1/health/service/web?near=harbour&tag=a')
    await api.get('/v1/health/service/web?near=none')
  },
  'service: a warning on the node is not passing': async ({ put, get }) => {
    await put('/v1/agent/service/register', { Name: 'web', Port: 1 })
    await put('/v1/agent/check/register', { ID: 'disk', Name: 'disk', TTL: '1h', Status: 'warning' })
    await get('/v1/health/service/web')
    await get('/v1/health/service/web?passing')
  },
  state: async (api) => {
    await fleet(api)
    await api.get('/v1/health/state/any')
    await api.get('/v1/health/state/passing')
    await api.get('/v1/health/state/warning')
    await api.get('/v1/health/state/critical')
    await api.get('/v1/health/state/unknown')
    await api.get('/v1/health/state/nonsense')
    await api.get('/v1/health/state/')
  },
  'connect and ingress have nothing': async ({ get }) => {
    await get('/v1/health/connect/web')
    await get('/v1/health/ingress/web')
    await get('/v1/health/connect/')
  },
  filters: async (api) => {
    await fleet(api)
    await api.get(`/v1/health/service/web?${where('Service.Port == 1')}`)
    await api.get(`/v1/health/service/web?${where('Node.Meta.rack == r1')}`)
    await api.get(`/v1/health/service/web?${where('"a" in Service.Tags and Checks.Status != critical')}`)
    await api.get(`/v1/health/service/web?${where('Checks.Status == warning')}`)
    await api.get(`/v1/health/service/web?${where('Service.Meta is not empty')}`)
    await api.get(`/v1/health/service/web?passing&${where('Service.Meta.version == 2')}`)
    await api.get(`/v1/health/checks/web?${where('Status == warning')}`)
    await api.get(`/v1/health/node/rock?${where('ServiceID == ""')}`)
    await api.get(`/v1/health/state/any?${where('Node == rock and Status in warning')}`)
    await api.get(`/v1/health/state/any?${where('CheckID matches "^web-[12]$"')}`)
    await api.get(`/v1/health/service/web?${where('Port == 1')}`)
  },
  'blocking: waits for this service alone': async (api) => {
    await fleet(api)
    const { put, get, note } = api
    const { index } = await get('/v1/health/service/web?passing')
    let answered = false
    const blocked = get(`/v1/health/service/web?passing&index=${index}&wait=20s`).then((answer) => {
      answered = true
      return answer
    })
    await put('/v1/agent/service/register', { Name: 'other', Port: 1, Check: { TTL: '1h' } })
    await put('/v1/agent/check/pass/service:other')
    await put('/v1/kv/elsewhere', 'x')
    note('still waits after changes elsewhere', !answered)
    await put('/v1/agent/check/pass/web-2')
    note('index grew', (await blocked).index > index)
  },
  'blocking: an output that changes is a change': async ({ put, get, note }) => {
    await put('/v1/agent/service/register', { Name: 'web', Port: 1, Check: { TTL: '1h', Status: 'passing' } })
    const { index } = await get('/v1/health/service/web')
    const blocked = get(`/v1/health/service/web?index=${index}&wait=20s`)
    await put('/v1/agent/check/pass/service:web?note=new')
    note('index grew', (await blocked).index > index)
  },
  'blocking: passing the same again is no change': async ({ put, get, note }) => {
    await put('/v1/agent/service/register', { Name: 'web', Port: 1, Check: { TTL: '1h', Status: 'passing' } })
    await put('/v1/agent/check/pass/service:web?note=same')
    const { index } = await get('/v1/health/service/web')
    await put('/v1/agent/check/pass/service:web?note=same')
    note('index unchanged', (await get('/v1/health/service/web')).index === index)
    const after = await get(`/v1/health/service/web?index=${index}&wait=20ms`)
    note('index unchanged after the wait', after.index === index)
  },
  'blocking: a check of the node wakes': async ({ put, get, peek, until, note }) => {
    await put('/v1/agent/service/register', { Name: 'web', Port: 1 })
    const { index } = await get('/v1/health/service/web')
    const blocked = peek(`/v1/health/service/web?index=${index}&wait=20s`)
    await put('/v1/agent/maintenance?enable=true')
    note('index grew', (await blocked).index > index)
    await until('/v1/health/service/web', ({ text }) => text.includes('_node_maintenance'))
  },
  'blocking: a service that is not there yet': async ({ put, get, note }) => {
    const { index } = await get('/v1/health/service/late')
    const blocked = get(`/v1/health/service/late?index=${index}&wait=20s`)
    await put('/v1/agent/service/register', { Name: 'late', Port: 1 })
    note('index grew', (await blocked).index > index)
  },
  'blocking: a service that goes': async ({ put, get, note }) => {
    await put('/v1/agent/service/register', { Name: 'web', Port: 1 })
    const { index } = await get('/v1/health/service/web')
    const blocked = get(`/v1/health/service/web?index=${index}&wait=20s`)
    await put('/v1/agent/service/deregister/web')
    note('index grew', (await blocked).index > index)
  },
  'blocking: state, checks and a node': async ({ put, get, note }) => {
    await put('/v1/agent/service/register', { Name: 'web', Port: 1, Check: { TTL: '1h', Status: 'passing' } })
    const paths = ['/v1/health/state/critical', '/v1/health/checks/web', '/v1/health/node/harbour'] as const
    const indexes = await Promise.all(paths.map(async (path) => (await get(path)).index))
    const blocked = paths.map((path, i) => get(`${path}?index=${indexes[i]}&wait=20s`))
    await put('/v1/agent/check/fail/service:web')
    const after = await Promise.all(blocked)
    note(
      'indexes grew',
      after.map(({ index }, i) => index > indexes[i]!),
    )
  },
  'blocking: an index from the future': async ({ get, note }) => {
    const first = await get('/v1/health/service/consul')
    const after = await get(`/v1/health/service/consul?index=${'1'}&wait=20s`)
    note('index as before', after.index === first.index)
  },
  cached: async ({ put, get }) => {
    await put('/v1/agent/service/register', { Name: 'web', Port: 1 })
    await get('/v1/health/service/web?cached')
    await get('/v1/health/service/web?cached')
    await get('/v1/health/service/web?cached&stale')
    await get('/v1/health/service/web?cached&consistent')
    await get('/v1/health/service/web?stale')
    await get('/v1/health/service/web?consistent')
  },
  'a filter that does not parse': async ({ get }) => {
    await get(`/v1/health/service/web?${where('Service.Port ==')}`)
    await get(`/v1/health/state/any?${where('(Node == a')}`)
    await get(`/v1/health/checks/web?${where('Nope == a')}`)
  },
}
