import type { Interactions } from '../api.ts'

const web = { Name: 'web', Port: 8080 }

export const agent: Interactions = {
  'self says who the agent is': async ({ peek, note }) => {
    const { status, headers, json } = await peek('/v1/agent/self')
    const self = json<Record<'Config' | 'Coord' | 'DebugConfig' | 'Member' | 'Meta' | 'Stats', object>>()
    note('status', status)
    note('content type', headers['content-type'])
    note('keys', Object.keys(self).sort())
    note('Config', self.Config)
    note('Meta', self.Meta)
    note('Member', self.Member)
    note('keys of Coord', Object.keys(self.Coord).sort())
    note('keys of Stats', Object.keys(self.Stats).sort())
  },
  'self says how it was configured': async ({ peek, note }) => {
    const { DebugConfig } = (await peek('/v1/agent/self')).json<{ DebugConfig: Record<string, unknown> }>()
    for (const key of [
      'ACLsEnabled',
      'Bootstrap',
      'BootstrapExpect',
      'CheckOutputMaxSize',
      'ConnectEnabled',
      'DNSDomain',
      'DNSAltDomain',
      'Datacenter',
      'DevMode',
      'EnableDebug',
      'KVMaxValueSize',
      'NodeMeta',
      'NodeName',
      'PrimaryDatacenter',
      'ServerMode',
      'TaggedAddresses',
      'Version',
    ])
      note(key, DebugConfig[key])
  },
  'members are the servers': async ({ get }) => {
    await get('/v1/agent/members')
    await get('/v1/agent/members?wan=1')
    await get('/v1/agent/members?segment=_all')
  },
  'services and checks of an empty agent are empty objects': async ({ get }) => {
    await get('/v1/agent/services')
    await get('/v1/agent/checks')
  },
  'a service needs no more than a name': async ({ put, get }) => {
    await put('/v1/agent/service/register', { Name: 'web' })
    await get('/v1/agent/services')
    await get('/v1/agent/service/web')
    await get('/v1/agent/checks')
    await get('/v1/catalog/service/web')
    await get('/v1/health/service/web')
  },
  'a service with all that one can say of it': async ({ put, get }) => {
    await put('/v1/agent/service/register', {
      ID: 'web-1',
      Name: 'web',
      Tags: ['v2', 'primary'],
      Address: '10.0.0.1',
      TaggedAddresses: {
        lan: { address: '10.0.0.1', port: 8080 },
        wan: { address: '198.51.100.1', port: 80 },
      },
      Meta: { version: '2.1.0', zone: 'a' },
      Port: 8080,
      EnableTagOverride: true,
      Weights: { Passing: 10, Warning: 2 },
      Check: { TTL: '30s', Status: 'passing', Notes: 'beats' },
    })
    await get('/v1/agent/services')
    await get('/v1/agent/service/web-1')
    await get('/v1/agent/checks')
    await get('/v1/catalog/service/web')
    await get('/v1/health/service/web')
    await get('/v1/health/checks/web')
  },
  'a service may be registered in lower case and with underscores': async ({ put, get }) => {
    await put('/v1/agent/service/register', {
      id: 'web-1',
      name: 'web',
      tags: ['a'],
      port: 81,
      enable_tag_override: true,
      tagged_addresses: { lan: { address: '10.0.0.1', port: 1 } },
      check: { ttl: '10s', deregister_critical_service_after: '2m' },
    })
    await get('/v1/agent/service/web-1')
    await get('/v1/agent/checks')
  },
  'several checks of a service are numbered': async ({ put, get }) => {
    await put('/v1/agent/service/register', {
      ID: 'web-1',
      Name: 'web',
      Port: 1,
      Checks: [
        { TTL: '10s' },
        { TTL: '20s', Status: 'warning' },
        { CheckID: 'own', Name: 'Own', TTL: '30s' },
      ],
    })
    await get('/v1/agent/checks')
    await get('/v1/health/checks/web')
  },
  'Check and Checks are taken together': async ({ put, get }) => {
    await put('/v1/agent/service/register', {
      Name: 'web',
      Check: { TTL: '10s', Status: 'passing' },
      Checks: [{ TTL: '20s', Status: 'passing' }],
    })
    await get('/v1/agent/checks')
  },
  'checks of every type are listed with it': async ({ put, peek, note }) => {
    await put('/v1/agent/service/register', {
      Name: 'web',
      Port: 1,
      Checks: [
        { CheckID: 'a-http', HTTP: 'http://127.0.0.1:1/', Interval: '1h', Timeout: '1s' },
        { CheckID: 'b-tcp', TCP: '127.0.0.1:1', Interval: '1h' },
        { CheckID: 'c-grpc', GRPC: '127.0.0.1:1', Interval: '1h' },
        { CheckID: 'd-ttl', TTL: '1h' },
        { CheckID: 'e-alias', AliasService: 'other' },
      ],
    })
    const checks = (await peek('/v1/agent/checks')).json<Record<string, { Type: string; Status: string }>>()
    note(
      'types',
      Object.entries(checks)
        .map(([id, { Type, Status }]) => [id, Type, Status])
        .sort(),
    )
  },
  'an alias check follows the service that it names': async ({ put, until }) => {
    await put('/v1/agent/service/register', { Name: 'db', Check: { TTL: '1h', Status: 'passing' } })
    await put('/v1/agent/service/register', { Name: 'web', Check: { AliasService: 'db' } })
    const status = (wanted: string) => (answer: { text: string }) =>
      JSON.parse(answer.text)['service:web']?.Status === wanted
    await until('/v1/agent/checks', status('passing'))
    await put('/v1/agent/check/fail/service:db')
    await until('/v1/agent/checks', status('critical'))
    await put('/v1/agent/check/pass/service:db')
    await until('/v1/agent/checks', status('passing'))
  },
  'registering again replaces the service, and keeps checks not named': async ({ put, get }) => {
    await put('/v1/agent/service/register', { ...web, Tags: ['a'], Checks: [{ CheckID: 'c1', TTL: '1h' }] })
    await put('/v1/agent/check/pass/c1')
    await put('/v1/agent/service/register', { ...web, Tags: ['b'], Checks: [{ CheckID: 'c2', TTL: '1h' }] })
    await get('/v1/agent/services')
    await get('/v1/agent/checks')
  },
  'replace-existing-checks forgets checks not named': async ({ put, get }) => {
    await put('/v1/agent/service/register', { ...web, Checks: [{ CheckID: 'c1', TTL: '1h' }] })
    await put('/v1/agent/service/register?replace-existing-checks', {
      ...web,
      Checks: [{ CheckID: 'c2', TTL: '1h' }],
    })
    await get('/v1/agent/checks')
    await put('/v1/agent/service/register?replace-existing-checks=true', web)
    await get('/v1/agent/checks')
  },
  'a check registered again keeps its status': async ({ put, get }) => {
    await put('/v1/agent/service/register', { ...web, Check: { TTL: '1h' } })
    await put('/v1/agent/check/pass/service:web?note=fine')
    await put('/v1/agent/service/register', { ...web, Check: { TTL: '1h' } })
    await get('/v1/agent/checks')
    await put('/v1/agent/service/register', { ...web, Check: { TTL: '1h', Status: 'warning' } })
    await get('/v1/agent/checks')
  },
  'registering the same again changes no index': async ({ put, get, note }) => {
    await put('/v1/agent/service/register', { ...web, Tags: ['a'] })
    const before = await get('/v1/health/service/web')
    await put('/v1/agent/service/register', { ...web, Tags: ['a'] })
    const after = await get('/v1/health/service/web')
    note('index unchanged', after.index === before.index)
    await put('/v1/agent/service/register', { ...web, Tags: ['b'] })
    const changed = await get('/v1/health/service/web')
    note('index grew', changed.index > before.index)
    const entry = changed.json<{ Service: { CreateIndex: number; ModifyIndex: number } }[]>()[0]!
    note('modified after it was created', entry.Service.ModifyIndex > entry.Service.CreateIndex)
  },
  'two services of one name on one agent': async ({ put, get }) => {
    await put('/v1/agent/service/register', { ...web, ID: 'web-b', Port: 2 })
    await put('/v1/agent/service/register', { ...web, ID: 'web-a', Port: 1 })
    await get('/v1/agent/services')
    await get('/v1/catalog/service/web')
    await get('/v1/health/service/web')
    await get('/v1/catalog/services')
  },
  'an id that is registered under another name moves there': async ({ put, get }) => {
    await put('/v1/agent/service/register', { ID: 'one', Name: 'web', Port: 1 })
    await put('/v1/agent/service/register', { ID: 'one', Name: 'api', Port: 1 })
    await get('/v1/agent/services')
    await get('/v1/catalog/service/web')
    await get('/v1/catalog/service/api')
    await get('/v1/catalog/services')
  },
  'Kind: a proxy of Connect': async ({ put, get }) => {
    await put('/v1/agent/service/register', {
      Kind: 'connect-proxy',
      Name: 'web-proxy',
      Port: 21000,
      Proxy: { DestinationServiceName: 'web', DestinationServiceID: 'web-1', Config: { a: 1 } },
    })
    await get('/v1/agent/service/web-proxy')
    await get('/v1/catalog/service/web-proxy')
    await get('/v1/health/connect/web')
    await get('/v1/catalog/connect/web')
  },
  'Kind: a kind that there is not': async ({ put }) => {
    await put('/v1/agent/service/register', { Kind: 'galley', Name: 'web' })
    await put('/v1/agent/service/register', { Kind: 'connect-proxy', Name: 'web', Port: 1 })
  },
  'Connect native and a sidecar service are taken': async ({ put, get }) => {
    await put('/v1/agent/service/register', { Name: 'web', Port: 1, Connect: { Native: true } })
    await get('/v1/agent/service/web')
    await put('/v1/agent/service/register', { Name: 'api', Port: 1, Connect: {} })
    await get('/v1/agent/service/api')
  },
  'register: what is refused': async ({ put, get }) => {
    await put('/v1/agent/service/register')
    await put('/v1/agent/service/register', '')
    await put('/v1/agent/service/register', 'nonsense')
    await put('/v1/agent/service/register', '{"Name":')
    await put('/v1/agent/service/register', '[]')
    await put('/v1/agent/service/register', '"web"')
    await put('/v1/agent/service/register', {})
    await put('/v1/agent/service/register', { Name: '' })
    await put('/v1/agent/service/register', { ID: 'web' })
    await put('/v1/agent/service/register', { Name: 5 })
    await put('/v1/agent/service/register', { Name: 'web', Port: 'x' })
    await put('/v1/agent/service/register', { Name: 'web', Port: '81' })
    await put('/v1/agent/service/register', { Name: 'web', Tags: 'a' })
    await put('/v1/agent/service/register', { Name: 'web', Meta: { a: 1 } })
    await put('/v1/agent/service/register', { Name: 'web', Address: '0.0.0.0' })
    await put('/v1/agent/service/register', { Name: 'web', Address: '::' })
    await put('/v1/agent/service/register', { Name: 'web', Unknown: 1 })
    await put('/v1/agent/service/register', { Name: 'web', Weights: { Passing: 0, Warning: 0 } })
    await put('/v1/agent/service/register', { Name: 'web', Weights: { Passing: -1, Warning: 1 } })
    await put('/v1/agent/service/register', { Name: 'web', Weights: { Passing: 100_000, Warning: 1 } })
    await put('/v1/agent/service/register', { Name: 'web', TaggedAddresses: { lan: '10.0.0.1' } })
    await put('/v1/agent/service/register', { Name: 'web', Meta: { 'a b': 'x' } })
    await put('/v1/agent/service/register', { Name: 'web', Meta: { 'consul-x': 'x' } })
    await put('/v1/agent/service/register', { Name: 'web', Meta: { '': 'x' } })
    await put('/v1/agent/service/register', { Name: 'web', Meta: { ['k'.repeat(129)]: 'x' } })
    await put('/v1/agent/service/register', { Name: 'web', Meta: { k: 'x'.repeat(513) } })
    await put('/v1/agent/service/register', {
      Name: 'web',
      Meta: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, ''])),
    })
    await get('/v1/agent/services')
  },
  'register: checks that are refused': async ({ put, get }) => {
    const check = (Check: unknown) => put('/v1/agent/service/register', { Name: 'web', Check })
    await check({})
    await check({ Name: 'nothing to run' })
    await check({ TTL: '10' })
    await check({ TTL: 10 })
    await check({ TTL: 'soon' })
    await check({ TTL: '-1s' })
    await check({ HTTP: 'http://127.0.0.1:1/' })
    await check({ TCP: '127.0.0.1:1', Interval: '0s' })
    await check({ TTL: '10s', Interval: '10s' })
    await check({ TTL: '10s', Status: 'fine' })
    await check({ Args: ['true'], Interval: '10s' })
    await check({ Script: 'true', Interval: '10s' })
    await check({ TTL: '10s', HTTP: 'http://127.0.0.1:1/', Interval: '10s' })
    await check({ TTL: '10s', DeregisterCriticalServiceAfter: 'never' })
    await check('http')
    await put('/v1/agent/service/register', { Name: 'web', Checks: [{ TTL: '10s' }, {}] })
    await put('/v1/agent/service/register', { Name: 'web', Checks: { TTL: '10s' } })
    await get('/v1/agent/services')
  },
  'JSON is read as Go reads it: fields in any case, nothing after the first value': async ({ put, get }) => {
    await put('/v1/agent/service/register', '{"nAmE":"a","TAGS":["x"]}')
    await put('/v1/agent/service/register', '{"Name":"b"} and more')
    await put('/v1/agent/service/register', '  {"Name":"c","Name":"d"}')
    await put('/v1/agent/service/register', '{"Name":"e",}')
    await put('/v1/agent/service/register', "{'Name':'f'}")
    await put('/v1/agent/service/register', 'null')
    await put('/v1/agent/service/register', '{"Name":"g\\u0041","Meta":{"k":null}}')
    await put('/v1/agent/service/register', '{"Name":true}')
    await get('/v1/agent/services')
  },
  'ports as Go reads numbers': async ({ put, get }) => {
    const register = (port: string) => put('/v1/agent/service/register', `{"Name":"p","Port":${port}}`)
    for (const port of ['80', '80.0', '80.5', '8e1', '-1', '70000', '65535', '99999999999999999999', '080'])
      await register(port)
    await get('/v1/agent/services')
  },
  'durations as Go reads them': async ({ put, get }) => {
    const register = (TTL: unknown) => put('/v1/agent/service/register', { Name: 'd', Check: { TTL } })
    for (const ttl of [
      '1m30s',
      '1.5h',
      '100ms',
      '1h1h',
      '1d',
      '1 h',
      '+1h',
      '.5h',
      '1e3s',
      '',
      '10.0.0.1',
      '1.h',
      '-',
      [],
      60_000_000_000,
      0,
      '0',
    ])
      await register(ttl)
    await get('/v1/agent/services')
  },
  'an address that is no address': async ({ put, get }) => {
    await put('/v1/agent/service/register', { Name: 'a', Address: 'a b' })
    await put('/v1/agent/service/register', { Name: 'b', Address: 'a/b' })
    await get('/v1/catalog/services')
  },
  'names that are too long': async ({ put }) => {
    await put('/v1/agent/service/register', { Name: 'x'.repeat(255) })
    await put('/v1/agent/service/register', { Name: 'x'.repeat(256) })
  },
  'a check in a Docker container': async ({ put, get }) => {
    await put('/v1/agent/service/register', {
      Name: 'web',
      Check: { DockerContainerID: 'x', Args: ['true'], Interval: '1h' },
    })
    await get('/v1/agent/services')
  },
  'how a check of the agent is done is not told': async ({ put, get }) => {
    await put('/v1/agent/service/register', {
      Name: 'web',
      Check: { TTL: '1h', DeregisterCriticalServiceAfter: '5s', Status: 'passing' },
    })
    await get('/v1/agent/checks')
    await get('/v1/health/checks/web')
  },
  'an unknown service': async ({ get, put }) => {
    await get('/v1/agent/service/none')
    await put('/v1/agent/service/deregister/none')
    await put('/v1/agent/service/deregister/')
    await put('/v1/agent/service/maintenance/none?enable=true')
    await get('/v1/agent/service/')
  },
  'deregister takes its checks along': async ({ put, get }) => {
    await put('/v1/agent/service/register', { ...web, Check: { TTL: '1h' } })
    await put('/v1/agent/service/deregister/web')
    await get('/v1/agent/services')
    await get('/v1/agent/checks')
    await get('/v1/catalog/service/web')
    await get('/v1/health/checks/web')
    await get('/v1/catalog/services')
    await put('/v1/agent/service/deregister/web')
  },
  'names and ids with slashes, blanks and other letters': async ({ put, get }) => {
    await put('/v1/agent/service/register', { ID: 'a/b c', Name: 'Web_Ü x', Port: 1 })
    await get('/v1/agent/services')
    await get('/v1/agent/service/a%2Fb%20c')
    await get('/v1/agent/service/a/b%20c')
    await get('/v1/catalog/service/Web_%C3%9C%20x')
    await get('/v1/health/service/Web_%C3%9C%20x')
    await put('/v1/agent/service/deregister/a%2Fb%20c')
    await get('/v1/agent/services')
  },
  'names differ by their case, ids do not': async ({ put, get }) => {
    await put('/v1/agent/service/register', { ID: 'a', Name: 'Web', Port: 1 })
    await put('/v1/agent/service/register', { ID: 'b', Name: 'web', Port: 2 })
    await get('/v1/catalog/services')
    await get('/v1/catalog/service/WEB')
    await get('/v1/catalog/service/Web')
    await get('/v1/health/service/WEB')
    await get('/v1/agent/service/A')
  },
  'a name that is no DNS name is taken': async ({ put, get }) => {
    await put('/v1/agent/service/register', { Name: 'under_score.dots', Tags: ['a b', 'ü'] })
    await get('/v1/agent/services')
  },
  'the connection may say any content type': async ({ put, get }) => {
    const form = { headers: { 'content-type': 'application/x-www-form-urlencoded' } }
    await put('/v1/agent/service/register', { Name: 'a' }, form)
    await put('/v1/agent/service/register', { Name: 'b' }, { headers: { 'content-type': 'text/plain' } })
    await put(
      '/v1/agent/service/register',
      { Name: 'c' },
      { headers: { 'content-type': 'application/json; charset=utf-8' } },
    )
    await get('/v1/agent/services')
  },

  'hash blocking: a service that is known is answered at once': async ({ put, get, note }) => {
    await put('/v1/agent/service/register', web)
    const first = await get('/v1/agent/service/web')
    const hash = first.headers['x-consul-contenthash']
    const { ContentHash } = first.json<{ ContentHash: string }>()
    note('the header is the field', hash === ContentHash)
    note('hexadecimal digits', /^[0-9a-f]+$/.test(ContentHash) && ContentHash.length)
    const again = await get('/v1/agent/service/web')
    note('the same content has the same hash', again.headers['x-consul-contenthash'] === hash)
    await get('/v1/agent/service/web?hash=0123456789abcdef&wait=10s')
  },
  'hash blocking: waits for a change of that service alone': async ({ put, get, note, peek }) => {
    await put('/v1/agent/service/register', web)
    const { ContentHash } = (await peek('/v1/agent/service/web')).json<{ ContentHash: string }>()
    let answered = false
    const blocked = peek(`/v1/agent/service/web?hash=${ContentHash}&wait=20s`).then((answer) => {
      answered = true
      return answer
    })
    await put('/v1/agent/service/register', { Name: 'api' })
    await get('/v1/agent/service/api')
    note('still waits after another service changed', !answered)
    await put('/v1/agent/service/register', { ...web, Tags: ['changed'] })
    const { Tags, ContentHash: next } = (await blocked).json<{ Tags: string[]; ContentHash: string }>()
    note('answers with the change', Tags)
    note('with another hash', next !== ContentHash)
  },
  'hash blocking: what does not change is answered when the wait is over': async ({ put, note, peek }) => {
    await put('/v1/agent/service/register', web)
    const { ContentHash } = (await peek('/v1/agent/service/web')).json<{ ContentHash: string }>()
    const answer = await peek(`/v1/agent/service/web?hash=${ContentHash}&wait=50ms`)
    note('status', answer.status)
    note('same hash', answer.json<{ ContentHash: string }>().ContentHash === ContentHash)
  },
  'hash blocking: a service that goes is a 404': async ({ put, note, peek }) => {
    await put('/v1/agent/service/register', web)
    const { ContentHash } = (await peek('/v1/agent/service/web')).json<{ ContentHash: string }>()
    const blocked = peek(`/v1/agent/service/web?hash=${ContentHash}&wait=20s`)
    await put('/v1/agent/service/deregister/web')
    const { status, text } = await blocked
    note('status', status)
    note('text', text)
  },

  'health of a service by id': async ({ put, get }) => {
    await put('/v1/agent/service/register', { ...web, ID: 'web-1', Check: { TTL: '1h', Status: 'passing' } })
    await get('/v1/agent/health/service/id/web-1')
    await get('/v1/agent/health/service/id/web-1?format=text')
    await put('/v1/agent/check/warn/service:web-1?note=slow')
    await get('/v1/agent/health/service/id/web-1')
    await get('/v1/agent/health/service/id/web-1?format=text')
    await put('/v1/agent/check/fail/service:web-1?note=broken')
    await get('/v1/agent/health/service/id/web-1')
    await get('/v1/agent/health/service/id/web-1?format=text')
    await put('/v1/agent/service/maintenance/web-1?enable=true')
    await get('/v1/agent/health/service/id/web-1', { unordered: true })
    await get('/v1/agent/health/service/id/web-1?format=text')
  },
  'health of a service by name is that of its worst': async ({ put, get }) => {
    await put('/v1/agent/service/register', { ...web, ID: 'web-1', Check: { TTL: '1h', Status: 'passing' } })
    await put('/v1/agent/service/register', { ...web, ID: 'web-2', Check: { TTL: '1h', Status: 'passing' } })
    await get('/v1/agent/health/service/name/web', { unordered: true })
    await get('/v1/agent/health/service/name/web?format=text')
    await put('/v1/agent/check/warn/service:web-2')
    await get('/v1/agent/health/service/name/web', { unordered: true })
    await get('/v1/agent/health/service/name/web?format=text')
    await put('/v1/agent/check/fail/service:web-1')
    await get('/v1/agent/health/service/name/web?format=text')
    // Of one that is critical and one in maintenance, Consul takes either.
    await put('/v1/agent/check/pass/service:web-1')
    await put('/v1/agent/service/maintenance/web-2?enable=true')
    await get('/v1/agent/health/service/name/web?format=text')
    await get('/v1/agent/health/service/name/web', { unordered: true })
  },
  'health of a service without checks is passing': async ({ put, get }) => {
    await put('/v1/agent/service/register', web)
    await get('/v1/agent/health/service/id/web')
    await get('/v1/agent/health/service/name/web')
    await get('/v1/agent/health/service/name/web?format=json')
  },
  'health of a service that is not known': async ({ get }) => {
    await get('/v1/agent/health/service/id/none')
    await get('/v1/agent/health/service/id/none?format=text')
    await get('/v1/agent/health/service/name/none')
    await get('/v1/agent/health/service/name/none?format=text')
    await get('/v1/agent/health/service/id/')
    await get('/v1/agent/health/service/name/')
  },
  'health of a service counts the checks of its node': async ({ put, get }) => {
    await put('/v1/agent/service/register', { ...web, Check: { TTL: '1h', Status: 'passing' } })
    await put('/v1/agent/check/register', { Name: 'disk', TTL: '1h' })
    await get('/v1/agent/health/service/id/web', { unordered: true })
    await get('/v1/agent/health/service/name/web?format=text')
    await put('/v1/agent/maintenance?enable=true')
    await get('/v1/agent/health/service/id/web?format=text')
  },

  'maintenance of a service': async ({ put, get }) => {
    await put('/v1/agent/service/register', web)
    await put('/v1/agent/service/maintenance/web?enable=true&reason=new+disk')
    await get('/v1/agent/checks')
    await get('/v1/health/checks/web')
    await get('/v1/health/service/web?passing')
    await put('/v1/agent/service/maintenance/web?enable=true&reason=other')
    await get('/v1/agent/checks')
    await put('/v1/agent/service/maintenance/web?enable=false')
    await get('/v1/agent/checks')
    await get('/v1/health/service/web?passing')
    await put('/v1/agent/service/maintenance/web?enable=false')
  },
  'maintenance of a service without a reason': async ({ put, get }) => {
    await put('/v1/agent/service/register', web)
    await put('/v1/agent/service/maintenance/web?enable=true')
    await get('/v1/agent/checks')
  },
  'maintenance survives registering again': async ({ put, get }) => {
    await put('/v1/agent/service/register', web)
    await put('/v1/agent/service/maintenance/web?enable=true')
    await put('/v1/agent/service/register', { ...web, Tags: ['new'] })
    await get('/v1/agent/checks')
    await get('/v1/health/service/web?passing')
  },
  'maintenance: what is refused': async ({ put, get }) => {
    await put('/v1/agent/service/register', web)
    await put('/v1/agent/service/maintenance/web')
    await put('/v1/agent/service/maintenance/web?enable')
    await put('/v1/agent/service/maintenance/web?enable=maybe')
    await put('/v1/agent/service/maintenance/?enable=true')
    await put('/v1/agent/maintenance')
    await put('/v1/agent/maintenance?enable=maybe')
    await get('/v1/agent/checks')
  },
  'maintenance of the node': async ({ put, get }) => {
    await put('/v1/agent/service/register', { ...web, Check: { TTL: '1h', Status: 'passing' } })
    await put('/v1/agent/maintenance?enable=true&reason=kernel')
    await get('/v1/agent/checks')
    await get('/v1/health/service/web')
    await get('/v1/health/service/web?passing')
    await get('/v1/health/state/critical')
    await put('/v1/agent/maintenance?enable=true&reason=other')
    await get('/v1/agent/checks')
    await put('/v1/agent/maintenance?enable=false')
    await get('/v1/agent/checks')
    await get('/v1/health/service/web?passing')
  },
  'maintenance of the node without a reason': async ({ put, get }) => {
    await put('/v1/agent/maintenance?enable=true')
    await get('/v1/agent/checks')
  },

  'check/register: a check of the node': async ({ put, get }) => {
    await put('/v1/agent/check/register', { Name: 'disk space', Notes: 'half full', TTL: '1h' })
    await get('/v1/agent/checks')
    await get('/v1/health/checks/web')
    await put('/v1/agent/check/pass/disk%20space')
    await get('/v1/agent/checks')
    await put('/v1/agent/check/deregister/disk%20space')
    await get('/v1/agent/checks')
  },
  'check/register: a check of a service': async ({ put, get }) => {
    await put('/v1/agent/service/register', { ...web, Tags: ['a'] })
    await put('/v1/agent/check/register', { ID: 'beats', Name: 'beats', ServiceID: 'web', TTL: '1h' })
    await get('/v1/agent/checks')
    await get('/v1/health/checks/web')
    await get('/v1/health/service/web')
    await put('/v1/agent/check/deregister/beats')
    await get('/v1/health/service/web')
  },
  'check/register: an ID of its own, and status as told': async ({ put, get }) => {
    await put('/v1/agent/check/register', { ID: 'c1', Name: 'one', TTL: '1h', Status: 'passing' })
    await put('/v1/agent/check/register', { ID: 'c2', Name: 'two', TTL: '1h', Status: 'warning' })
    await put('/v1/agent/check/register', { id: 'c3', name: 'three', ttl: '1h', status: 'critical' })
    await get('/v1/agent/checks')
  },
  'check/register: what is refused': async ({ put, get }) => {
    const register = (body?: object | string) => put('/v1/agent/check/register', body)
    await register()
    await register('nonsense')
    await register({})
    await register({ ID: 'c1', TTL: '1h' })
    await register({ Name: 'c1' })
    await register({ CheckID: 'c1', Name: 'c1', TTL: '1h' })
    await register({ Name: 'c1', TTL: '1h', Unknown: 1 })
    await register({ Name: 'c1', TTL: '1h', Status: 'fine' })
    await register({ Name: 'c1', TTL: '1h', ServiceID: 'none' })
    await register({ Name: 'c1', HTTP: 'http://127.0.0.1:1/' })
    await register({ Name: 'c1', TTL: 'x' })
    await register({ Name: 'c1', Args: ['true'], Interval: '10s' })
    await get('/v1/agent/checks')
  },
  'check/deregister of an unknown check is taken': async ({ put }) => {
    await put('/v1/agent/check/deregister/none')
    await put('/v1/agent/check/deregister/')
  },
  'check/pass, warn and fail, with notes': async ({ put, get }) => {
    await put('/v1/agent/check/register', { Name: 'c', TTL: '1h' })
    await put('/v1/agent/check/pass/c?note=all+is%20well')
    await get('/v1/agent/checks')
    await put('/v1/agent/check/warn/c?note=so%20so')
    await get('/v1/agent/checks')
    await put('/v1/agent/check/fail/c')
    await get('/v1/agent/checks')
    await put('/v1/agent/check/pass/c')
    await get('/v1/health/node/harbour')
  },
  'check/update': async ({ put, get }) => {
    await put('/v1/agent/check/register', { Name: 'c', TTL: '1h' })
    await put('/v1/agent/check/update/c', { Status: 'passing', Output: 'fine' })
    await get('/v1/agent/checks')
    await put('/v1/agent/check/update/c', { Status: 'warning' })
    await get('/v1/agent/checks')
    await put('/v1/agent/check/update/c', { status: 'critical', output: 'lower case' })
    await get('/v1/agent/checks')
  },
  'check/update: what is refused': async ({ put, get }) => {
    await put('/v1/agent/check/register', { Name: 'c', TTL: '1h' })
    await put('/v1/agent/check/update/c')
    await put('/v1/agent/check/update/c', 'nonsense')
    await put('/v1/agent/check/update/c', {})
    await put('/v1/agent/check/update/c', { Status: 'fine' })
    await put('/v1/agent/check/update/none', { Status: 'passing' })
    await put('/v1/agent/check/update/', { Status: 'passing' })
    await get('/v1/agent/checks')
  },
  'a long output is cut': async ({ put, get, note }) => {
    await put('/v1/agent/check/register', { Name: 'c', TTL: '1h' })
    await put('/v1/agent/check/update/c', { Status: 'passing', Output: 'x'.repeat(5000) })
    const { c } = (await get('/v1/agent/checks')).json<{ c: { Output: string } }>()
    note('how long it is shown', c.Output.length)
  },
  'reporting a check that is unknown, or is no TTL check': async ({ put }) => {
    await put('/v1/agent/check/pass/none')
    await put('/v1/agent/check/warn/none')
    await put('/v1/agent/check/fail/none')
    await put('/v1/agent/check/pass/')
    await put('/v1/agent/check/register', { ID: 't', Name: 't', TCP: '127.0.0.1:1', Interval: '1h' })
    await put('/v1/agent/check/pass/t')
    await put('/v1/agent/check/update/t', { Status: 'passing' })
  },
  'a TTL check that nobody passes turns critical': async ({ put, get, until }) => {
    await put('/v1/agent/service/register', { ...web, Check: { TTL: '1s', Status: 'passing' } })
    const status = (answer: { text: string }) => JSON.parse(answer.text)['service:web'].Status
    await until('/v1/agent/checks', (answer) => status(answer) === 'critical')
    await until('/v1/health/service/web?passing', ({ text }) => text.trim() === '[]')
    await put('/v1/agent/service/register', { ...web, Check: { TTL: '1h' } })
    await put('/v1/agent/check/pass/service:web')
    await get('/v1/health/service/web?passing')
  },
  'replace-existing-checks in maintenance': async ({ put, get }) => {
    await put('/v1/agent/service/register', web)
    await put('/v1/agent/service/maintenance/web?enable=true')
    await put('/v1/agent/service/register?replace-existing-checks', web)
    await get('/v1/agent/checks')
  },
  'the id of a check is taken once: it moves to who registers it': async ({ put, get }) => {
    const Check = { CheckID: 'c1', TTL: '1h', Status: 'passing' }
    await put('/v1/agent/service/register', { ...web, ID: 'web-1', Check })
    await put('/v1/agent/service/register', { ...web, ID: 'web-2', Check })
    await get('/v1/agent/checks')
    await put('/v1/agent/check/register', { ID: 'c1', Name: 'own', TTL: '1h', Status: 'passing' })
    await get('/v1/agent/checks')
    await get('/v1/health/service/web')
    await put('/v1/agent/check/register', {
      ID: 'c1',
      Name: 'again',
      TTL: '1h',
      Status: 'critical',
      ServiceID: 'web-1',
    })
    await get('/v1/agent/checks')
  },
  'checks of a service are listed by their ids': async ({ put, get }) => {
    const check = (CheckID: string) => ({ CheckID, TTL: '1h', Status: 'passing' })
    await put('/v1/agent/service/register', { ...web, ID: 'web-1', Checks: [check('d'), check('b')] })
    await put('/v1/agent/service/register', { ...web, ID: 'web-2', Checks: [check('c'), check('a')] })
    await get('/v1/health/checks/web')
    await get('/v1/health/service/web')
    await get('/v1/health/state/any')
  },
  "checks show their service's tags, also when those change": async ({ put, get }) => {
    await put('/v1/agent/service/register', { ...web, Tags: ['a'], Check: { TTL: '1h' } })
    await put('/v1/agent/service/register', { ...web, Tags: ['b'] })
    await get('/v1/agent/checks')
    await get('/v1/health/checks/web')
  },
  'a service that is registered again with fewer fields has lost them': async ({ put, get }) => {
    await put('/v1/agent/service/register', {
      ...web,
      Address: '10.0.0.1',
      Meta: { a: '1' },
      Tags: ['a'],
      Weights: { Passing: 7, Warning: 3 },
      EnableTagOverride: true,
    })
    await put('/v1/agent/service/register', { Name: 'web' })
    await get('/v1/agent/service/web')
    await get('/v1/catalog/service/web')
  },
  'tags may repeat, and be empty': async ({ put, get }) => {
    await put('/v1/agent/service/register', { Name: 'web', Tags: ['a', 'a', '', 'B'] })
    await get('/v1/agent/service/web')
    await get('/v1/catalog/service/web?tag=b')
    await get('/v1/catalog/services', { unordered: true })
  },
  'null is as good as nothing': async ({ put, get }) => {
    await put('/v1/agent/service/register', {
      ID: null,
      Name: 'web',
      Tags: null,
      Meta: null,
      Port: null,
      Check: null,
      Checks: null,
      Weights: null,
      TaggedAddresses: null,
    })
    await get('/v1/agent/service/web')
    await get('/v1/agent/checks')
  },
  'weights may be given in part': async ({ put, get }) => {
    await put('/v1/agent/service/register', { Name: 'a', Weights: { Passing: 5 } })
    await put('/v1/agent/service/register', { Name: 'b', Weights: { Warning: 5 } })
    await put('/v1/agent/service/register', { Name: 'c', Weights: {} })
    await get('/v1/agent/services')
  },
  'an address of IPv6, and one that is a host name': async ({ put, get }) => {
    await put('/v1/agent/service/register', { Name: 'six', Address: '2001:db8::1', Port: 1 })
    await put('/v1/agent/service/register', { Name: 'host', Address: 'db.example.com', Port: 2 })
    await get('/v1/agent/services')
    await get('/v1/catalog/service/six')
    await get('/v1/health/service/host')
  },
  'what is registered in the catalog is none of the agent': async ({ put, get }) => {
    await put('/v1/catalog/register', {
      Node: 'rock',
      Address: '10.9.0.1',
      Service: { ID: 'db', Service: 'db', Port: 1 },
      Check: { CheckID: 'db', Name: 'db', Status: 'passing', ServiceID: 'db' },
    })
    await get('/v1/agent/services')
    await get('/v1/agent/service/db')
    await get('/v1/agent/checks')
    await get('/v1/agent/health/service/name/db')
    await put('/v1/agent/check/fail/db')
    await put('/v1/agent/service/deregister/db')
    await put('/v1/agent/service/maintenance/db?enable=true')
    await put('/v1/agent/check/deregister/db')
    await get('/v1/health/service/db')
  },
  'a service of the agent and one of another node share their name': async ({ put, get }) => {
    await put('/v1/agent/service/register', { ...web, Tags: ['here'] })
    await put('/v1/catalog/register', {
      Node: 'rock',
      Address: '10.9.0.1',
      Service: { ID: 'web', Service: 'web', Port: 1, Tags: ['there'] },
    })
    await get('/v1/catalog/service/web')
    await get('/v1/health/service/web?tag=there')
    await get('/v1/catalog/services', { unordered: true })
    await put('/v1/agent/service/deregister/web')
    await get('/v1/catalog/service/web')
    await get('/v1/catalog/services')
  },
  'filters on services and checks of the agent': async ({ put, get }) => {
    await put('/v1/agent/service/register', { ...web, Tags: ['a'], Check: { TTL: '1h', Status: 'passing' } })
    await put('/v1/agent/service/register', { Name: 'api', Meta: { k: 'v' }, Check: { TTL: '1h' } })
    await get('/v1/agent/services?filter=Service%3D%3Dweb')
    await get('/v1/agent/services?filter=a%20in%20Tags')
    await get('/v1/agent/services?filter=Meta.k%3D%3Dv')
    await get('/v1/agent/services?filter=Service%3D%3Dnone')
    await get('/v1/agent/checks?filter=Status%3D%3Dpassing')
    await get('/v1/agent/checks?filter=ServiceName%3D%3Dapi')
    await get('/v1/agent/services?filter=Nothing%3D%3D1')
    await get('/v1/agent/services?filter=Service%3D%3D')
  },
  'reload, tokens, join and force-leave': async ({ put, get, call }) => {
    await put('/v1/agent/reload')
    await put('/v1/agent/token/default', { Token: 'x' })
    await put('/v1/agent/force-leave/none')
    await call('PUT', '/v1/agent/join/')
    await get('/v1/agent/nothing')
  },
}
