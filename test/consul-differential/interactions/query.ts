// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are templates of Consul's.
import type { Api, Interactions } from '../api.ts'

async function create({ post }: Pick<Api, 'post'>, body: object): Promise<string> {
  return (await post('/v1/query', body)).json<{ ID: string }>().ID
}

/** Three instances of `db` on nodes of their own: passing, warning and critical. */
async function databases({ put }: Pick<Api, 'put'>): Promise<void> {
  for (const [Node, Status, Tags] of [
    ['a', 'passing', ['primary', 'v1']],
    ['b', 'warning', ['v1']],
    ['c', 'critical', ['v1']],
  ] as const) {
    await put('/v1/catalog/register', {
      Node,
      Address: `10.0.0.${Node.charCodeAt(0)}`,
      NodeMeta: { rack: Node },
      Service: { ID: `db-${Node}`, Service: 'db', Port: 5432, Tags, Meta: { version: Node } },
      Check: { CheckID: 'db', Name: 'db', Status, ServiceID: `db-${Node}` },
    })
  }
}

/** Notes on which nodes the instances are that a query finds, in any order. */
async function finds({ peek, note }: Api, path: string): Promise<void> {
  const { status, text } = await peek(path)
  const nodes = () => (JSON.parse(text) as { Nodes: { Node: { Node: string } }[] }).Nodes
  note(
    path.replace(/[0-9a-f-]{36}/, '{id}'),
    status === 200
      ? nodes()
          .map((n) => n.Node.Node)
          .sort()
      : `${status} ${text}`,
  )
}

export const query: Interactions = {
  'create, read, list, update, delete': async (api) => {
    await api.get('/v1/query')
    const id = await create(api, { Name: 'find-db', Service: { Service: 'db' } })
    await api.get(`/v1/query/${id}`)
    await api.get('/v1/query')
    await api.put(`/v1/query/${id}`, { Name: 'find-db', Service: { Service: 'db', OnlyPassing: true } })
    await api.get(`/v1/query/${id}`)
    await api.delete(`/v1/query/${id}`)
    await api.get(`/v1/query/${id}`)
    await api.get('/v1/query')
  },
  'create with all that one can say of it': async (api) => {
    const id = await create(api, {
      Name: 'all',
      Token: '',
      Service: {
        Service: 'db',
        Failover: { NearestN: 2, Datacenters: ['dc2', 'dc3'] },
        OnlyPassing: true,
        IgnoreCheckIDs: ['c1'],
        Near: '_agent',
        Tags: ['v1', '!old'],
        NodeMeta: { rack: 'a' },
        ServiceMeta: { version: 'a' },
      },
      DNS: { TTL: '10s' },
    })
    await api.get(`/v1/query/${id}`)
  },
  'create: what is refused': async (api) => {
    await api.post('/v1/query')
    await api.post('/v1/query', 'nonsense')
    await api.post('/v1/query', {})
    await api.post('/v1/query', { Name: 'x' })
    await api.post('/v1/query', { Name: 'x', Service: {} })
    await api.post('/v1/query', { Name: 'x', Service: { Service: 'db', Failover: { NearestN: -1 } } })
    await api.post('/v1/query', { Name: 'x', Service: { Service: 'db' }, DNS: { TTL: 'x' } })
    await api.post('/v1/query', { Name: 'x', Service: { Service: 'db' }, DNS: { TTL: '-1s' } })
    await api.post('/v1/query', { Name: 'x', Service: { Service: 'db' }, Session: 'none' })
    await api.post('/v1/query', {
      Name: 'x',
      Service: { Service: 'db' },
      Session: '5e3a2a9c-5c6c-4d9f-9d2f-0c6f2d1d9f11',
    })
    await api.post('/v1/query', { Name: 'x', Service: { Service: 'db' }, Template: { Type: 'none' } })
    await api.post('/v1/query', { ID: '5e3a2a9c-5c6c-4d9f-9d2f-0c6f2d1d9f11', Service: { Service: 'db' } })
    await api.post('/v1/query', { Name: '5e3a2a9c-5c6c-4d9f-9d2f-0c6f2d1d9f11', Service: { Service: 'db' } })
    await api.post('/v1/query', { Name: 'x', Service: { Service: 'db', ServiceMeta: { '': 'x' } } })
    await api.get('/v1/query', { unordered: true })
  },
  'create: a name is taken once': async (api) => {
    await create(api, { Name: 'one', Service: { Service: 'db' } })
    await api.post('/v1/query', { Name: 'one', Service: { Service: 'db' } })
    await api.post('/v1/query', { Service: { Service: 'db' } })
    const { ID: Session } = (await api.put('/v1/session/create')).json<{ ID: string }>()
    await create(api, { Session, Service: { Service: 'db' } })
    await create(api, { Session, Service: { Service: 'web' } })
    await api.get('/v1/query', { unordered: true })
  },
  'create: bound to a session': async (api) => {
    const { ID: Session } = (await api.put('/v1/session/create')).json<{ ID: string }>()
    const id = await create(api, { Name: 'bound', Session, Service: { Service: 'db' } })
    await api.get(`/v1/query/${id}`)
    await api.put(`/v1/session/destroy/${Session}`)
    await api.get(`/v1/query/${id}`)
  },
  'what is not known': async ({ get, put, delete: remove }) => {
    const id = '5e3a2a9c-5c6c-4d9f-9d2f-0c6f2d1d9f11'
    await get(`/v1/query/${id}`)
    await get('/v1/query/none')
    await get(`/v1/query/${id}/execute`)
    await get('/v1/query/none/execute')
    await get(`/v1/query/${id}/explain`)
    await get('/v1/query/none/explain')
    await put(`/v1/query/${id}`, { Name: 'x', Service: { Service: 'db' } })
    await put('/v1/query/none', { Name: 'x', Service: { Service: 'db' } })
    await remove(`/v1/query/${id}`)
    await remove('/v1/query/none')
    await get('/v1/query/')
    await get('/v1/query//execute')
  },
  'execute by id and by name': async (api) => {
    await api.put('/v1/catalog/register', {
      Node: 'a',
      Address: '10.0.0.1',
      Service: { ID: 'db-1', Service: 'db', Port: 5432 },
      Check: { CheckID: 'db', Name: 'db', Status: 'passing', ServiceID: 'db-1' },
    })
    const id = await create(api, { Name: 'find-db', Service: { Service: 'db' }, DNS: { TTL: '7s' } })
    await api.get(`/v1/query/${id}/execute`)
    await api.get('/v1/query/find-db/execute')
    await api.get('/v1/query/FIND-DB/execute')
    await api.get(`/v1/query/${id}/explain`)
    await api.get('/v1/query/find-db/explain')
  },
  'execute: a service of the agent, without tags': async (api) => {
    await api.put('/v1/agent/service/register', {
      Name: 'web',
      Port: 1,
      Check: { TTL: '1h', Status: 'passing' },
    })
    await api.put('/v1/agent/check/register', { Name: 'disk', TTL: '1h', Status: 'passing' })
    await create(api, { Name: 'find-web', Service: { Service: 'web' } })
    await api.get('/v1/query/find-web/execute')
  },
  'execute: a service without checks': async (api) => {
    await api.put('/v1/catalog/register', { Node: 'a', Address: '10.0.0.1', Service: { Service: 'db' } })
    await create(api, { Name: 'find-db', Service: { Service: 'db' } })
    await api.get('/v1/query/find-db/execute')
  },
  'execute: nothing found': async (api) => {
    await create(api, { Name: 'find-none', Service: { Service: 'none' } })
    await api.get('/v1/query/find-none/execute')
  },
  'execute: critical ones are left out, warnings if asked to': async (api) => {
    await databases(api)
    await create(api, { Name: 'some', Service: { Service: 'db' } })
    await create(api, { Name: 'passing', Service: { Service: 'db', OnlyPassing: true } })
    await create(api, { Name: 'ignoring', Service: { Service: 'db', IgnoreCheckIDs: ['db'] } })
    for (const name of ['some', 'passing', 'ignoring']) await finds(api, `/v1/query/${name}/execute`)
  },
  'execute: tags, metadata of the service and of the node': async (api) => {
    await databases(api)
    const service = async (Name: string, more: object) => {
      await create(api, { Name, Service: { Service: 'db', ...more } })
      await finds(api, `/v1/query/${Name}/execute`)
    }
    await service('tag', { Tags: ['primary'] })
    await service('tags', { Tags: ['v1', 'primary'] })
    await service('not-tag', { Tags: ['!primary'] })
    await service('both', { Tags: ['v1', '!primary'] })
    await service('upper', { Tags: ['PRIMARY'] })
    await service('none', { Tags: ['none'] })
    await service('meta', { ServiceMeta: { version: 'b' } })
    await service('node-meta', { NodeMeta: { rack: 'a' } })
    await service('no-meta', { ServiceMeta: { version: 'none' } })
  },
  'execute: limit': async (api) => {
    await databases(api)
    await create(api, { Name: 'some', Service: { Service: 'db' } })
    const count = async (suffix: string) => {
      const { status, text } = await api.peek(`/v1/query/some/execute${suffix}`)
      api.note(`limit ${suffix}`, status === 200 ? JSON.parse(text).Nodes.length : `${status} ${text}`)
    }
    await count('')
    await count('?limit=1')
    await count('?limit=0')
    await count('?limit=10')
    await count('?limit=-1')
    await count('?limit=x')
  },
  'execute: near and failover are taken': async (api) => {
    await databases(api)
    await create(api, { Name: 'near', Service: { Service: 'db', OnlyPassing: true, Near: '_agent' } })
    await api.get('/v1/query/near/execute')
    await api.get('/v1/query/near/execute?near=_agent')
    await create(api, {
      Name: 'failover',
      Service: { Service: 'none', Failover: { NearestN: 2, Datacenters: ['dc2'] } },
    })
    await api.get('/v1/query/failover/execute')
  },
  'execute: what one may ask for': async (api) => {
    await create(api, { Name: 'find-db', Service: { Service: 'db' } })
    await api.get('/v1/query/find-db/execute?stale')
    await api.get('/v1/query/find-db/execute?consistent')
    await api.get('/v1/query/find-db/execute?cached')
    await api.get('/v1/query/find-db/execute?dc=dc2')
    await api.get('/v1/query/find-db/execute?connect=true')
    await api.get('/v1/query/find-db/execute?passing')
  },
  'templates: by the longest prefix, a name before them': async (api) => {
    await databases(api)
    const template = (Name: string, Service: object, more: object = {}) =>
      create(api, { Name, Template: { Type: 'name_prefix_match', ...more }, Service })
    await template('', { Service: '${name.full}' })
    await template('geo-', { Service: '${name.suffix}' })
    await template('geo-old-', { Service: '${name.suffix}', Tags: ['${name.prefix}'] })
    await create(api, { Name: 'geo-exact', Service: { Service: 'db' } })
    await finds(api, '/v1/query/db/execute')
    await finds(api, '/v1/query/geo-db/execute')
    await finds(api, '/v1/query/geo-old-db/execute')
    await finds(api, '/v1/query/geo-exact/execute')
    await api.get('/v1/query/geo-old-db/explain')
    await api.get('/v1/query/geo-db/explain')
    await api.get('/v1/query/anything/explain')
    await api.get('/v1/query/geo-exact/explain')
  },
  'templates: regular expressions and what they match': async (api) => {
    await databases(api)
    await create(api, {
      Name: 'geo-',
      Template: { Type: 'name_prefix_match', Regexp: '^geo-(.*)-([^-]+)$', RemoveEmptyTags: true },
      Service: {
        Service: '${match(1)}',
        Tags: ['${match(2)}', '${match(3)}', '${name.prefix}x'],
        NodeMeta: { rack: '${match(0)}' },
      },
    })
    await api.get('/v1/query/geo-db-primary/explain')
    await api.get('/v1/query/geo-db/explain')
  },
  'templates: what is refused': async (api) => {
    let count = 0
    const template = (Template: object, Service: object = { Service: 'db' }) =>
      api.post('/v1/query', { Name: `x-${++count}-`, Template, Service })
    await template({ Type: 'other' })
    await template({ Type: '', Regexp: 'x' })
    await template({ Type: 'name_prefix_match', Regexp: '(' })
    await template({ Type: 'name_prefix_match' }, { Service: '${name.full' })
    await template({ Type: 'name_prefix_match' }, { Service: '${match(x)}' })
    await template({ Type: 'name_prefix_match' }, { Service: '${name.none}' })
    await template({ Type: 'name_prefix_match' }, { Service: '' })
  },
  'explain of one that is no template': async (api) => {
    const id = await create(api, { Name: 'plain', Service: { Service: 'db', Tags: ['a'] } })
    await api.get(`/v1/query/${id}/explain`)
  },
  'blocking: the list and one': async (api) => {
    const id = await create(api, { Name: 'one', Service: { Service: 'db' } })
    const list = await api.get('/v1/query')
    const blocked = api.get(`/v1/query?index=${list.index}&wait=20s`)
    await api.put(`/v1/query/${id}`, { Name: 'one', Service: { Service: 'web' } })
    api.note('index of the list grew', (await blocked).index > list.index)
    const one = await api.get(`/v1/query/${id}`)
    const blockedOne = api.get(`/v1/query/${id}?index=${one.index}&wait=20s`)
    await api.delete(`/v1/query/${id}`)
    api.note('status of one that went', (await blockedOne).status)
  },
}
