import type { Interactions } from '../api.ts'

const rock = { Node: 'rock', Address: '10.9.0.1' }

/** A query with a filter. */
const where = (expression: string) => `filter=${encodeURIComponent(expression)}`

export const catalog: Interactions = {
  datacenters: async ({ get }) => {
    await get('/v1/catalog/datacenters')
  },
  "nodes: the server's own": async ({ get }) => {
    await get('/v1/catalog/nodes')
    await get('/v1/catalog/node/harbour')
    await get('/v1/catalog/node-services/harbour')
    await get('/v1/catalog/services')
    await get('/v1/catalog/service/consul')
    await get('/v1/health/service/consul')
  },
  'register: a node alone': async ({ put, get }) => {
    await put('/v1/catalog/register', rock)
    await get('/v1/catalog/nodes')
    await get('/v1/catalog/node/rock')
    await get('/v1/catalog/node-services/rock')
    await get('/v1/health/node/rock')
  },
  'register: a node with all that one can say of it': async ({ put, get }) => {
    await put('/v1/catalog/register', {
      Datacenter: 'dc1',
      ID: '40e4a748-2192-161a-0510-9bf59fe950b5',
      ...rock,
      TaggedAddresses: { lan: '10.9.0.1', wan: '198.51.100.9' },
      NodeMeta: { external: 'true', rack: 'r1' },
      Service: {
        ID: 'db-1',
        Service: 'db',
        Tags: ['primary', 'v1'],
        Address: '10.9.0.2',
        TaggedAddresses: { lan: { address: '10.9.0.2', port: 5432 } },
        Meta: { version: '1' },
        Port: 5432,
        Weights: { Passing: 3, Warning: 1 },
        EnableTagOverride: true,
      },
      Check: {
        Node: 'rock',
        CheckID: 'service:db-1',
        Name: 'db alive',
        Notes: 'by hand',
        Status: 'passing',
        Output: 'pong',
        ServiceID: 'db-1',
        Definition: {
          TCP: '10.9.0.2:5432',
          Interval: '5s',
          Timeout: '1s',
          DeregisterCriticalServiceAfter: '30s',
        },
      },
    })
    await get('/v1/catalog/nodes')
    await get('/v1/catalog/node/rock')
    await get('/v1/catalog/node-services/rock')
    await get('/v1/catalog/service/db')
    await get('/v1/health/service/db')
    await get('/v1/health/node/rock')
    await get('/v1/health/checks/db')
  },
  'register: a service without more than a name': async ({ put, get }) => {
    await put('/v1/catalog/register', { ...rock, Service: { Service: 'db' } })
    await get('/v1/catalog/node/rock')
    await get('/v1/catalog/service/db')
    await get('/v1/health/service/db')
    await get('/v1/catalog/services')
  },
  'register: several checks at once, of the node and of a service': async ({ put, get }) => {
    await put('/v1/catalog/register', {
      ...rock,
      Service: { ID: 'db', Service: 'db', Port: 1 },
      Checks: [
        { CheckID: 'alive', Name: 'alive', Status: 'passing' },
        { CheckID: 'db', Name: 'db', Status: 'warning', ServiceID: 'db' },
      ],
    })
    await get('/v1/health/node/rock')
    await get('/v1/health/service/db')
    await get('/v1/health/service/db?passing')
    await get('/v1/health/checks/db')
  },
  'register: checks have defaults': async ({ put, get }) => {
    await put('/v1/catalog/register', { ...rock, Check: { Name: 'alive' } })
    await put('/v1/catalog/register', { ...rock, Check: { CheckID: 'c2' } })
    await put('/v1/catalog/register', { ...rock, Check: { Name: 'c3', Status: 'nonsense' } })
    await get('/v1/health/node/rock')
    await get('/v1/health/state/any?filter=Node%3D%3Drock')
  },
  'register: a check changes, and the service with it': async ({ put, get, note }) => {
    const check = (Status: string, Output = '') =>
      put('/v1/catalog/register', {
        ...rock,
        Service: { ID: 'db', Service: 'db', Port: 1 },
        Check: { CheckID: 'db', Name: 'db', Status, Output, ServiceID: 'db' },
      })
    await check('passing')
    const first = await get('/v1/health/service/db?passing')
    await check('critical', 'broken')
    await get('/v1/health/service/db?passing')
    const critical = await get('/v1/health/service/db')
    note('index grew', critical.index > first.index)
    await check('critical', 'broken')
    const same = await get('/v1/health/service/db')
    note('index unchanged', same.index === critical.index)
  },
  'register: a node again, with another address': async ({ put, get }) => {
    await put('/v1/catalog/register', { ...rock, NodeMeta: { a: '1' }, Service: { Service: 'db', Port: 1 } })
    await put('/v1/catalog/register', { Node: 'rock', Address: '10.9.0.7' })
    await get('/v1/catalog/node/rock')
    await get('/v1/catalog/service/db')
  },
  'register: SkipNodeUpdate leaves the node as it is': async ({ put, get }) => {
    await put('/v1/catalog/register', { ...rock, NodeMeta: { a: '1' } })
    await put('/v1/catalog/register', {
      Node: 'rock',
      Address: '10.9.0.7',
      SkipNodeUpdate: true,
      Service: { Service: 'db', Port: 1 },
    })
    await get('/v1/catalog/node/rock')
  },
  'register: a service on two nodes': async ({ put, get }) => {
    await put('/v1/catalog/register', { Node: 'b', Address: '10.0.0.2', Service: { Service: 'db', Port: 2 } })
    await put('/v1/catalog/register', { Node: 'a', Address: '10.0.0.1', Service: { Service: 'db', Port: 1 } })
    await get('/v1/catalog/service/db')
    await get('/v1/health/service/db')
    await get('/v1/catalog/nodes')
  },
  'register: the same id on two nodes is two services': async ({ put, get }) => {
    for (const Node of ['a', 'b'])
      await put('/v1/catalog/register', {
        Node,
        Address: '10.0.0.1',
        Service: { ID: 'x', Service: 'db', Port: 1 },
      })
    await put('/v1/catalog/deregister', { Node: 'a', ServiceID: 'x' })
    await get('/v1/catalog/service/db')
    await get('/v1/catalog/node/a')
  },
  'register: a host name as the address': async ({ put, get }) => {
    await put('/v1/catalog/register', {
      Node: 'search',
      Address: 'www.example.com',
      Service: { Service: 'search', Port: 80 },
    })
    await get('/v1/catalog/service/search')
  },
  'register: the same node id under another name': async ({ put, get }) => {
    const ID = '40e4a748-2192-161a-0510-9bf59fe950b5'
    await put('/v1/catalog/register', { ...rock, ID, Service: { Service: 'db', Port: 1 } })
    await put('/v1/catalog/register', { Node: 'stone', Address: '10.9.0.1', ID })
    await get('/v1/catalog/nodes')
    await get('/v1/catalog/service/db')
  },
  'register: what is refused': async ({ put, get }) => {
    const register = (body?: object | string) => put('/v1/catalog/register', body)
    await register()
    await register('nonsense')
    await register('{')
    await register({})
    await register({ Node: 'rock' })
    await register({ Address: '10.0.0.1' })
    await register({ Node: '', Address: '10.0.0.1' })
    await register({ ...rock, Datacenter: 'dc2' })
    await register({ ...rock, ID: 'no uuid' })
    await register({ ...rock, Service: { ID: 'x' } })
    await register({ ...rock, Service: { Port: 1 } })
    await register({ ...rock, Service: { Service: 'db', Port: 'x' } })
    await register({ ...rock, Check: { CheckID: 'c', Status: 'passing', ServiceID: 'none' } })
    await register({ ...rock, Check: { CheckID: 'c', Node: 'other', Status: 'passing' } })
    await register({ ...rock, Service: { Service: 'db', Weights: { Passing: -1, Warning: 1 } } })
    await get('/v1/catalog/nodes')
  },
  "register: on the agent's own node": async ({ put, get }) => {
    await put('/v1/catalog/register', {
      Node: 'harbour',
      Address: '127.0.0.1',
      SkipNodeUpdate: true,
      Service: { ID: 'extra', Service: 'extra', Port: 9 },
    })
    await get('/v1/catalog/service/extra')
    await get('/v1/catalog/node-services/harbour')
    await put('/v1/catalog/deregister', { Node: 'harbour', ServiceID: 'extra' })
    await get('/v1/catalog/service/extra')
  },
  'register: the id of a check is taken once on a node': async ({ put, get }) => {
    const register = (more: object) => put('/v1/catalog/register', { ...rock, ...more })
    const check = { CheckID: 'k', Name: 'k', Status: 'passing' }
    await register({ Service: { ID: 'db-1', Service: 'db' }, Check: { ...check, ServiceID: 'db-1' } })
    await register({ Service: { ID: 'db-2', Service: 'db' }, Check: { ...check, ServiceID: 'db-2' } })
    await get('/v1/health/checks/db')
    await register({ Check: check })
    await get('/v1/health/node/rock')
    await put('/v1/catalog/register', { Node: 'stone', Address: '10.9.0.2', Check: check })
    await get('/v1/health/state/any?filter=CheckID%3D%3Dk')
  },
  'register: metadata that are empty, and none': async ({ put, get }) => {
    await put('/v1/catalog/register', {
      ...rock,
      NodeMeta: {},
      Service: { ID: 'a', Service: 'db', Meta: {}, Tags: [] },
    })
    await put('/v1/agent/service/register', { ID: 'b', Name: 'db', Meta: {} })
    await put('/v1/agent/service/register', { ID: 'c', Name: 'db' })
    await get('/v1/catalog/nodes')
    await get('/v1/health/service/db')
    await get('/v1/agent/services')
    await put('/v1/catalog/register', { ...rock, Service: { ID: 'a', Service: 'db' } })
    await get('/v1/catalog/node/rock')
  },
  'register: the same again changes no index': async ({ put, get, note }) => {
    const again = () =>
      put('/v1/catalog/register', {
        ...rock,
        NodeMeta: { a: '1' },
        Service: { ID: 'db', Service: 'db', Port: 1 },
        Check: { CheckID: 'db', Name: 'db', Status: 'passing', ServiceID: 'db' },
      })
    await again()
    const paths = [
      '/v1/catalog/service/db',
      '/v1/health/service/db',
      '/v1/catalog/node/rock',
      '/v1/catalog/nodes',
    ]
    const indexes = () => Promise.all(paths.map(async (path) => (await get(path)).index))
    const before = await indexes()
    await again()
    const after = await indexes()
    note(
      'indexes unchanged',
      after.map((index, i) => index === before[i]),
    )
  },
  'deregister: a check, a service, a node': async ({ put, get }) => {
    await put('/v1/catalog/register', {
      ...rock,
      Service: { ID: 'db', Service: 'db', Port: 1 },
      Checks: [
        { CheckID: 'alive', Name: 'alive', Status: 'passing' },
        { CheckID: 'db', Name: 'db', Status: 'passing', ServiceID: 'db' },
      ],
    })
    await put('/v1/catalog/deregister', { Node: 'rock', CheckID: 'alive' })
    await get('/v1/health/node/rock')
    await put('/v1/catalog/deregister', { Node: 'rock', ServiceID: 'db' })
    await get('/v1/health/node/rock')
    await get('/v1/catalog/node/rock')
    await put('/v1/catalog/deregister', { Datacenter: 'dc1', Node: 'rock' })
    await get('/v1/catalog/node/rock')
    await get('/v1/catalog/nodes')
  },
  'deregister: a node takes its services and checks along': async ({ put, get }) => {
    await put('/v1/catalog/register', {
      ...rock,
      Service: { Service: 'db', Port: 1 },
      Check: { CheckID: 'db', Name: 'db', Status: 'passing', ServiceID: 'db' },
    })
    await put('/v1/catalog/deregister', { Node: 'rock' })
    await get('/v1/catalog/service/db')
    await get('/v1/health/checks/db')
    await get('/v1/health/node/rock')
    await get('/v1/catalog/services')
  },
  'deregister: what is refused, and what is not known': async ({ put }) => {
    await put('/v1/catalog/deregister')
    await put('/v1/catalog/deregister', 'nonsense')
    await put('/v1/catalog/deregister', {})
    await put('/v1/catalog/deregister', { Node: 'none' })
    await put('/v1/catalog/deregister', { Node: 'none', ServiceID: 'x' })
    await put('/v1/catalog/deregister', { Node: 'none', CheckID: 'x' })
    await put('/v1/catalog/deregister', { Node: 'none', Datacenter: 'dc2' })
  },
  'what is not known': async ({ get }) => {
    await get('/v1/catalog/node/none')
    await get('/v1/catalog/node-services/none')
    await get('/v1/catalog/service/none')
    await get('/v1/catalog/connect/none')
    await get('/v1/catalog/node/')
    await get('/v1/catalog/node-services/')
    await get('/v1/catalog/service/')
    await get('/v1/catalog/service')
    await get('/v1/catalog')
    await get('/v1/catalog/nothing')
  },
  'nodes and services by node-meta': async ({ put, get }) => {
    await put('/v1/catalog/register', {
      ...rock,
      NodeMeta: { rack: 'r1', os: 'linux' },
      Service: { Service: 'db' },
    })
    await put('/v1/catalog/register', {
      Node: 'stone',
      Address: '10.9.0.2',
      NodeMeta: { rack: 'r2', os: 'linux' },
      Service: { Service: 'web' },
    })
    await get('/v1/catalog/nodes?node-meta=rack:r1')
    await get('/v1/catalog/nodes?node-meta=rack:r2&node-meta=os:linux')
    await get('/v1/catalog/nodes?node-meta=rack:none')
    await get('/v1/catalog/services?node-meta=rack:r1')
    await get('/v1/catalog/service/db?node-meta=rack:r1')
    await get('/v1/catalog/service/db?node-meta=rack:r2')
    await get('/v1/health/service/db?node-meta=rack:r2')
    await get('/v1/health/checks/db?node-meta=rack:r2')
    await get('/v1/health/state/any?node-meta=rack:r2')
  },
  'service by tags': async ({ put, get }) => {
    const db = (id: string, Tags: string[]) =>
      put('/v1/agent/service/register', { ID: id, Name: 'db', Port: 1, Tags })
    await db('db-1', ['primary', 'v1'])
    await db('db-2', ['v1'])
    await get('/v1/catalog/service/db?tag=primary')
    await get('/v1/catalog/service/db?tag=v1&tag=primary')
    await get('/v1/catalog/service/db?tag=v2')
    await get('/v1/catalog/service/db?tag=PRIMARY')
    await get('/v1/catalog/service/db?tag=')
    await get('/v1/catalog/services', { unordered: true })
  },
  'filters on nodes, services and a service': async ({ put, get }) => {
    await put('/v1/catalog/register', {
      ...rock,
      NodeMeta: { rack: 'r1' },
      Service: { ID: 'db-1', Service: 'db', Tags: ['a'], Port: 5432, Meta: { m: 'x' } },
    })
    await get(`/v1/catalog/nodes?${where('Node == rock')}`)
    await get(`/v1/catalog/nodes?${where('Meta.rack == "r1"')}`)
    await get(`/v1/catalog/service/db?${where('ServicePort == 5432')}`)
    await get(`/v1/catalog/service/db?${where('"a" in ServiceTags and ServiceMeta.m == x')}`)
    await get(`/v1/catalog/service/db?${where('ServiceMeta.m != x')}`)
    await get(`/v1/catalog/node/rock?${where('Service == db')}`)
    await get(`/v1/catalog/node/rock?${where('Service == none')}`)
    await get(`/v1/catalog/node-services/rock?${where('Service == none')}`)
    await get(`/v1/catalog/services?${where('Service == db')}`)
    await get(`/v1/catalog/nodes?${where('Nothing == 1')}`)
    await get(`/v1/catalog/service/db?${where('Node.Nothing == 1')}`)
  },
  'near is taken': async ({ get }) => {
    await get('/v1/catalog/nodes?near=_agent')
    await get('/v1/catalog/service/consul?near=harbour')
    await get('/v1/catalog/service/consul?near=none')
  },
  'another datacenter': async ({ get }) => {
    await get('/v1/catalog/nodes?dc=dc1')
    await get('/v1/catalog/nodes?dc=dc2')
    await get('/v1/catalog/services?dc=dc2')
    await get('/v1/catalog/service/consul?dc=dc2')
    await get('/v1/health/service/consul?dc=dc2')
  },
  'blocking: a service is waited for alone': async ({ put, get, note }) => {
    await put('/v1/agent/service/register', { Name: 'web', Port: 1 })
    const { index } = await get('/v1/catalog/service/web')
    let answered = false
    const blocked = get(`/v1/catalog/service/web?index=${index}&wait=20s`).then((answer) => {
      answered = true
      return answer
    })
    await put('/v1/agent/service/register', { Name: 'api', Port: 1 })
    await put('/v1/kv/elsewhere', 'x')
    note('still waits after changes elsewhere', !answered)
    await put('/v1/agent/service/register', { Name: 'web', Port: 2 })
    const after = await blocked
    note('index grew', after.index > index)
  },
  'blocking: a service that is not there yet': async ({ put, get, note }) => {
    const { index } = await get('/v1/catalog/service/late')
    const blocked = get(`/v1/catalog/service/late?index=${index}&wait=20s`)
    await put('/v1/agent/service/register', { Name: 'late', Port: 1 })
    note('index grew', (await blocked).index > index)
  },
  'blocking: a service that goes': async ({ put, get, note }) => {
    await put('/v1/agent/service/register', { Name: 'web', Port: 1 })
    const { index } = await get('/v1/catalog/service/web')
    const blocked = get(`/v1/catalog/service/web?index=${index}&wait=20s`)
    await put('/v1/agent/service/deregister/web')
    note('index grew', (await blocked).index > index)
  },
  'blocking: the list of services, of nodes, and a node': async ({ put, get, note }) => {
    const paths = ['/v1/catalog/services', '/v1/catalog/nodes', '/v1/catalog/node/harbour'] as const
    const indexes = await Promise.all(paths.map(async (path) => (await get(path)).index))
    const services = get(`${paths[0]}?index=${indexes[0]}&wait=20s`)
    const node = get(`${paths[2]}?index=${indexes[2]}&wait=20s`)
    await put('/v1/agent/service/register', { Name: 'web', Port: 1 })
    note('index of services grew', (await services).index > indexes[0]!)
    note('index of the node grew', (await node).index > indexes[2]!)
    const { index } = await get(paths[1])
    const nodes = get(`${paths[1]}?index=${index}&wait=20s`)
    await put('/v1/catalog/register', rock)
    note('index of nodes grew', (await nodes).index > index)
  },
  'blocking: the wait is over, and the index the same': async ({ put, get, note }) => {
    await put('/v1/agent/service/register', { Name: 'web', Port: 1 })
    const { index } = await get('/v1/catalog/service/web')
    const after = await get(
      `/v1/catalog/service/web?index=${'{index}'}&wait=20ms`.replace('{index}', `${index}`),
    )
    note('index unchanged', after.index === index)
  },
  'blocking: index and wait that are none': async ({ get }) => {
    await get('/v1/catalog/services?index=x')
    await get('/v1/catalog/services?index=-1')
    await get('/v1/catalog/services?index=0&wait=1s')
    await get('/v1/catalog/services?index=1&wait=soon')
    await get('/v1/catalog/services?wait=5')
    await get('/v1/catalog/services?index=')
  },
  'consistency: stale, consistent, cached, and what excludes another': async ({ get }) => {
    await get('/v1/catalog/nodes?stale')
    await get('/v1/catalog/nodes?consistent')
    await get('/v1/catalog/nodes?stale&consistent')
    await get('/v1/catalog/nodes?cached')
    await get('/v1/catalog/services?cached')
    await get('/v1/catalog/services?cached&consistent')
    await get('/v1/catalog/services?stale&max_stale=10s')
    await get('/v1/catalog/datacenters?cached')
  },
  pretty: async ({ get, put, note }) => {
    await put('/v1/agent/service/register', { Name: 'web', Port: 1 })
    note('text', (await get('/v1/catalog/datacenters?pretty')).text)
    note('ends with a newline', (await get('/v1/catalog/datacenters')).text.endsWith('\n'))
    note('lines', (await get('/v1/catalog/service/web?pretty')).text.split('\n').length)
    note('text', (await get('/v1/status/peers?pretty')).text.replace(/\d+"/, '"'))
    await get('/v1/kv/none?pretty')
  },
  'namespaces are not there': async ({ get, put }) => {
    await get('/v1/catalog/services?ns=default')
    await get('/v1/catalog/services?ns=other')
    await put('/v1/kv/x?ns=other', 'x')
  },
  'wrong methods': async ({ call }) => {
    await call('POST', '/v1/catalog/nodes')
    await call('PUT', '/v1/catalog/services')
    await call('DELETE', '/v1/catalog/service/web')
    await call('GET', '/v1/catalog/register')
    await call('POST', '/v1/catalog/register', rock)
    await call('GET', '/v1/catalog/deregister')
    await call('GET', '/v1/agent/service/register')
    await call('POST', '/v1/agent/service/register', { Name: 'web' })
    await call('GET', '/v1/agent/service/deregister/web')
    await call('DELETE', '/v1/agent/services')
    await call('PUT', '/v1/agent/self')
    await call('GET', '/v1/agent/check/pass/c')
    await call('POST', '/v1/agent/check/pass/c')
    await call('POST', '/v1/health/service/web')
    await call('POST', '/v1/health/state/any')
    await call('PUT', '/v1/status/leader')
    await call('POST', '/v1/kv/a', 'x')
    await call('GET', '/v1/session/create')
    await call('GET', '/v1/session/destroy/x')
    await call('GET', '/v1/session/renew/x')
    await call('PUT', '/v1/session/list')
    await call('GET', '/v1/txn')
    await call('PUT', '/v1/query')
    await call('PATCH', '/v1/query/x')
    await call('PUT', '/v1/event/list')
    await call('GET', '/v1/event/fire/x')
    await call('PUT', '/v1/coordinate/nodes')
    await call('PATCH', '/v1/kv/a', 'x')
  },
  'HEAD and OPTIONS': async ({ call }) => {
    await call('HEAD', '/v1/catalog/nodes')
    await call('OPTIONS', '/v1/catalog/nodes')
    await call('OPTIONS', '/v1/kv/a')
    await call('HEAD', '/v1/status/leader')
  },
  'paths that there are not': async ({ get }) => {
    await get('/v1')
    await get('/v1/')
    await get('/v1/nothing')
    await get('/v2/agent/self')
    await get('/v1/agent')
    await get('/v1/catalog/nodes/')
    await get('/v1//catalog/nodes')
  },
}
