import type { Api, Interaction, Interactions } from '../api.ts'

const rock = { Node: 'rock', Address: '10.9.0.1' }
const web = { ID: 'web-1', Name: 'web', Port: 1, Check: { TTL: '1h', Status: 'passing' } }

/** Services, nodes, checks and keys that some change, and others do not. */
async function some({ put }: Pick<Api, 'put'>): Promise<void> {
  await put('/v1/agent/service/register', web)
  await put('/v1/agent/check/pass/service:web-1')
  await put('/v1/agent/service/register', { Name: 'api', Check: { TTL: '1h', Status: 'passing' } })
  await put('/v1/catalog/register', {
    ...rock,
    Service: { ID: 'db', Service: 'db', Port: 1 },
    Check: { CheckID: 'db', Name: 'db', Status: 'passing', ServiceID: 'db' },
  })
  await put('/v1/kv/web/a', '1')
  await put('/v1/kv/other', '1')
}

const reads = [
  '/v1/catalog/services',
  '/v1/catalog/nodes',
  '/v1/catalog/service/web',
  '/v1/catalog/service/api',
  '/v1/catalog/service/db',
  '/v1/catalog/service/none',
  '/v1/catalog/node/harbour',
  '/v1/catalog/node/rock',
  '/v1/health/service/web',
  '/v1/health/service/api',
  '/v1/health/service/db',
  '/v1/health/service/none',
  '/v1/health/checks/web',
  '/v1/health/checks/db',
  '/v1/health/node/harbour',
  '/v1/health/node/rock',
  '/v1/health/state/any',
  '/v1/health/state/critical',
  '/v1/kv/web/a',
  '/v1/kv/web/?recurse',
  '/v1/kv/other',
  '/v1/kv/none',
  '/v1/session/list',
  '/v1/query',
]

/** Those whose indexes are their own in Consul; it has one for all checks, and one for the services of all nodes. */
const own = reads.filter((path) => /service\/(?!none)|nodes$|kv|session|query/.test(path))

/** Notes which answers and which indexes are others after a change: who waits for them is woken. */
function grows(change: (api: Api) => Promise<unknown>): Interaction {
  return async (api) => {
    await some(api)
    const look = () =>
      Promise.all(
        reads.map(async (path) => {
          const { index, text } = await api.peek(path)
          return { index, text: text.replaceAll(/"(?:Create|Modify)Index":\d+/g, '') }
        }),
      )
    const before = await look()
    await change(api)
    const after = await look()
    const changed = reads.filter((_, i) => after[i]!.text !== before[i]!.text)
    const grown = reads.filter((_, i) => after[i]!.index > before[i]!.index)
    api.note('changed', changed)
    api.note(
      'changed, but their index did not grow',
      changed.filter((path) => !grown.includes(path)),
    )
    api.note(
      'indexes that grew, of those that are their own',
      own.filter((path) => grown.includes(path)),
    )
  }
}

/** Which change makes which indexes grow. */
export const indexes: Interactions = {
  'nothing at all': grows(async () => {}),
  'a check passes again': grows((api) => api.put('/v1/agent/check/pass/service:web-1')),
  'a check has another output': grows((api) => api.put('/v1/agent/check/pass/service:web-1?note=x')),
  'a check fails': grows((api) => api.put('/v1/agent/check/fail/service:web-1')),
  'a service has other tags': grows((api) =>
    api.put('/v1/agent/service/register', { ...web, Tags: ['new'] }),
  ),
  'a service is registered again': grows((api) => api.put('/v1/agent/service/register', web)),
  'a service has another port': grows((api) => api.put('/v1/agent/service/register', { ...web, Port: 2 })),
  'a service has another instance': grows((api) =>
    api.put('/v1/agent/service/register', { ...web, ID: 'web-2' }),
  ),
  'a service is new': grows((api) => api.put('/v1/agent/service/register', { Name: 'new' })),
  'a service goes': grows((api) => api.put('/v1/agent/service/deregister/web-1')),
  'a service is in maintenance': grows((api) => api.put('/v1/agent/service/maintenance/web-1?enable=true')),
  'a check of the node is new': grows((api) =>
    api.put('/v1/agent/check/register', { Name: 'disk', TTL: '1h', Status: 'passing' }),
  ),
  'an external node is registered again': grows((api) => api.put('/v1/catalog/register', rock)),
  'an external node has another address': grows((api) =>
    api.put('/v1/catalog/register', { ...rock, Address: '10.9.0.2' }),
  ),
  'an external node is new': grows((api) =>
    api.put('/v1/catalog/register', { Node: 'stone', Address: '10.9.0.3' }),
  ),
  'an external node goes': grows((api) => api.put('/v1/catalog/deregister', { Node: 'rock' })),
  'an external service has a check that fails': grows((api) =>
    api.put('/v1/catalog/register', {
      ...rock,
      Check: { CheckID: 'db', Name: 'db', Status: 'critical', ServiceID: 'db' },
    }),
  ),
  'a key is written': grows((api) => api.put('/v1/kv/web/a', '2')),
  'a key is written again': grows((api) => api.put('/v1/kv/web/a', '1')),
  'a key is new': grows((api) => api.put('/v1/kv/web/b', '1')),
  'a key goes': grows((api) => api.delete('/v1/kv/web/a')),
  'keys go': grows((api) => api.delete('/v1/kv/web/?recurse')),
  'a session is new': grows((api) => api.put('/v1/session/create')),
  'a query is new': grows((api) => api.post('/v1/query', { Name: 'q', Service: { Service: 'web' } })),
  'an event is fired': grows((api) => api.put('/v1/event/fire/deploy')),
}
