import type { Interactions } from '../api.ts'

export const others: Interactions = {
  'status: leader and peers': async ({ get }) => {
    await get('/v1/status/leader')
    await get('/v1/status/peers')
    await get('/v1/status/leader?dc=dc1')
    await get('/v1/status/leader?dc=dc2')
    await get('/v1/status/nothing')
  },
  'event: fire and list': async ({ put, until, get }) => {
    await put('/v1/event/fire/deploy', 'v2')
    await until('/v1/event/list?name=deploy', ({ text }) => text.trim() !== '[]')
    await put('/v1/event/fire/restart?node=harbour&service=web&tag=a')
    await get('/v1/event/list?name=none')
  },
  'event: what is refused': async ({ put }) => {
    await put('/v1/event/fire/', 'x')
    await put('/v1/event/fire/x?node=[', 'x')
    await put('/v1/event/fire/x?service=[', 'x')
    await put('/v1/event/fire/x?tag=a', 'x')
    await put('/v1/event/fire/x?dc=dc2', 'x')
  },
  'event: blocking': async ({ put, until, peek, note }) => {
    await put('/v1/event/fire/first')
    const first = await until('/v1/event/list?name=first', ({ text }) => text.trim() !== '[]')
    // Of 64 bits, which a number does not have.
    const index = first.headers['x-consul-index']
    const blocked = peek(`/v1/event/list?index=${index}&wait=20s`)
    await put('/v1/event/fire/second')
    note('another index', (await blocked).headers['x-consul-index'] !== index)
    await until('/v1/event/list?name=second', ({ text }) => text.trim() !== '[]')
  },
  'coordinate: datacenters, nodes, a node': async ({ peek, get, note }) => {
    const { status, json } = await peek('/v1/coordinate/datacenters')
    const areas =
      json<{ Datacenter: string; AreaID: string; Coordinates: { Node: string; Coord: object }[] }[]>()
    note('status', status)
    note(
      'areas',
      areas.map(({ Datacenter, AreaID }) => [Datacenter, AreaID]),
    )
    note('keys', Object.keys(areas[0] ?? {}).sort())
    await get('/v1/coordinate/node/none')
    await get('/v1/coordinate/node/')
    await get('/v1/coordinate/nothing')
  },
  'coordinate: update is taken': async ({ put }) => {
    await put('/v1/catalog/register', { Node: 'rock', Address: '10.9.0.1' })
    const Coord = { Vec: [1, 2, 3, 4, 5, 6, 7, 8], Error: 1.5, Adjustment: 0.5, Height: 0.25 }
    await put('/v1/coordinate/update', { Node: 'rock', Coord })
    await put('/v1/coordinate/update', { Node: 'none', Coord })
    await put('/v1/coordinate/update')
    await put('/v1/coordinate/update', 'nonsense')
  },
  'connect: the CA, as when it is off': async ({ get, put }) => {
    await get('/v1/connect/ca/roots')
    await get('/v1/connect/ca/configuration')
    await put('/v1/connect/ca/configuration', { Provider: 'consul', Config: {} })
    await get('/v1/agent/connect/ca/roots')
    await get('/v1/agent/connect/ca/leaf/web')
  },
  'connect: intentions': async ({ get }) => {
    await get('/v1/connect/intentions')
    await get('/v1/connect/intentions/match?by=source&name=web')
    await get('/v1/connect/intentions/check?source=web&destination=db')
    await get('/v1/connect/intentions/5e3a2a9c-5c6c-4d9f-9d2f-0c6f2d1d9f11')
    await get('/v1/connect/intentions/match')
    await get('/v1/connect/intentions/check')
  },
  'connect: authorize': async ({ post }) => {
    await post('/v1/agent/connect/authorize', {
      Target: 'db',
      ClientCertURI: 'spiffe://x/ns/default/dc/dc1/svc/web',
      ClientCertSerial: '00:01',
    })
    await post('/v1/agent/connect/authorize', {})
    await post('/v1/agent/connect/authorize')
  },
  'config entries and discovery chains': async ({ get }) => {
    await get('/v1/config/service-defaults')
    await get('/v1/config/service-defaults/web')
    await get('/v1/config/nothing')
    await get('/v1/discovery-chain/web')
  },
  'operator: raft, autopilot': async ({ get, peek, note }) => {
    const { Servers } = (await peek('/v1/operator/raft/configuration')).json<{ Servers: object[] }>()
    note('raft', Servers)
    await get('/v1/operator/autopilot/configuration')
  },
  "the internal API of Consul's own pages": async ({ get, put }) => {
    await put('/v1/agent/service/register', { Name: 'web', Port: 1, Tags: ['a'], Check: { TTL: '1h' } })
    await put('/v1/agent/service/register', { Name: 'plain', Check: { TTL: '1h' } })
    await put('/v1/agent/check/register', { Name: 'disk', TTL: '1h' })
    await put('/v1/catalog/register', {
      Node: 'rock',
      Address: '10.9.0.1',
      Service: { Service: 'db' },
      Checks: [
        { CheckID: 'node', Name: 'node', Status: 'passing' },
        { CheckID: 'db', Name: 'db', Status: 'passing', ServiceID: 'db' },
      ],
    })
    await get('/v1/internal/ui/services')
    await get('/v1/internal/ui/nodes')
    await get('/v1/internal/ui/node/harbour')
    await get('/v1/internal/ui/node/none')
  },
  'fields that are not known, at any depth': async ({ put, post }) => {
    await put('/v1/agent/service/register', { Name: 'web', Weights: { Unknown: 1 } })
    await put('/v1/agent/service/register', { Name: 'web', Check: { TTL: '1h', Unknown: 1 } })
    await put('/v1/agent/service/register', { Name: 'web', TaggedAddresses: { lan: { Unknown: 1 } } })
    await put('/v1/agent/check/update/none', { Status: 'passing', Unknown: 1 })
    await put('/v1/catalog/register', { Node: 'rock', Address: '10.9.0.1', Unknown: 1 })
    await put('/v1/catalog/register', {
      Node: 'rock',
      Address: '10.9.0.1',
      Service: { Service: 'a', Unknown: 1 },
    })
    await put('/v1/catalog/register', { Node: 'rock', Address: '10.9.0.1', Check: { Name: 'a', Unknown: 1 } })
    await put('/v1/catalog/deregister', { Node: 'rock', Unknown: 1 })
    await put('/v1/session/create', { Unknown: 1 })
    await post('/v1/query', { Name: 'a', Service: { Service: 'a' }, Unknown: 1 })
    await post('/v1/query', { Name: 'b', Service: { Service: 'b', Unknown: 1 } })
    await post('/v1/query', { Name: 'c', Service: { Service: 'c', Failover: { Unknown: 1 } } })
    await post('/v1/query', { Name: 'd', Service: { Service: 'd' }, DNS: { Unknown: 1 } })
    await post('/v1/query', { Name: 'e', Service: { Service: 'e' }, Template: { Unknown: 1 } })
    await put('/v1/txn', [{ KV: { Verb: 'set', Key: 'a', Unknown: 1 } }])
    await put('/v1/txn', [{ KV: { Verb: 'set', Key: 'b' }, Unknown: 1 }])
  },
  'acl: off': async ({ get, put }) => {
    await put('/v1/acl/bootstrap')
    await get('/v1/acl/replication')
    await get('/v1/acl/tokens')
    await get('/v1/acl/token/self')
    await get('/v1/acl/token/5e3a2a9c-5c6c-4d9f-9d2f-0c6f2d1d9f11')
    await put('/v1/acl/token', {})
    await get('/v1/acl/policies')
    await get('/v1/acl/policy/5e3a2a9c-5c6c-4d9f-9d2f-0c6f2d1d9f11')
    await put('/v1/acl/policy', { Name: 'x' })
    await get('/v1/acl/roles')
    await put('/v1/acl/role', { Name: 'x' })
    await get('/v1/acl/binding-rules')
    await get('/v1/acl/auth-methods')
    await put('/v1/acl/login', {})
    await put('/v1/acl/logout')
    await get('/v1/acl/list')
    await put('/v1/acl/create', {})
    await get('/v1/acl/info/x')
    await get('/v1/acl/rules/translate/x')
    await get('/v1/acl/nothing')
  },
  'tokens are taken, and mean nothing': async ({ get, put }) => {
    await get('/v1/catalog/datacenters', { headers: { 'x-consul-token': 'anything' } })
    await get('/v1/catalog/datacenters', { headers: { authorization: 'Bearer anything' } })
    await put('/v1/kv/a?token=anything', 'x')
  },
  'metrics of the agent': async ({ peek, note }) => {
    const { status, json } = await peek('/v1/agent/metrics')
    note('status', status)
    note('keys', Object.keys(json<object>()).sort())
    note('prometheus', (await peek('/v1/agent/metrics?format=prometheus')).status)
  },
}
