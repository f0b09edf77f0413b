import { describe, expect, it } from 'vitest'
import { asking } from '../../test/asking.ts'
import { serving } from '../../test/serving.ts'

const whole = {
  ID: 'web-1',
  Name: 'web',
  Tags: ['v2', 'primary'],
  Address: '10.0.0.1',
  TaggedAddresses: { lan: { address: '10.0.0.1', port: 8080 }, wan: { address: '198.51.100.1', port: 80 } },
  Meta: { version: '2.1.0', zone: 'a' },
  Port: 8080,
  EnableTagOverride: true,
  Weights: { Passing: 10, Warning: 2 },
  Check: { TTL: '30s', Status: 'passing', Notes: 'beats' },
}

describe('registering with the agent', () => {
  it('shows the service as Consul does, in all its places', async () => {
    await using asked = await asking()
    const done = await asked.ask('PUT', '/agent/service/register', whole)
    expect([done.status, done.text, done.headers.get('content-type')]).toEqual([200, '', null])
    const tagged = {
      lan: { Address: '10.0.0.1', Port: 8080 },
      lan_ipv4: { Address: '10.0.0.1', Port: 8080 },
      wan: { Address: '198.51.100.1', Port: 80 },
      wan_ipv4: { Address: '10.0.0.1', Port: 8080 },
    }
    const service = {
      ID: 'web-1',
      Service: 'web',
      Tags: ['v2', 'primary'],
      Meta: { version: '2.1.0', zone: 'a' },
      Port: 8080,
      Address: '10.0.0.1',
      TaggedAddresses: tagged,
      Weights: { Passing: 10, Warning: 2 },
      EnableTagOverride: true,
    }
    expect((await asked.ask('GET', '/agent/services')).json).toEqual({ 'web-1': service })
    const index = expect.any(Number)
    const check = {
      Node: 'n1',
      CheckID: 'service:web-1',
      Name: "Service 'web' check",
      Status: 'passing',
      Notes: 'beats',
      Output: '',
      ServiceID: 'web-1',
      ServiceName: 'web',
      ServiceTags: ['v2', 'primary'],
      Type: 'ttl',
      Definition: {},
    }
    expect((await asked.ask('GET', '/agent/checks')).json).toEqual({
      'service:web-1': { ...check, CreateIndex: 0, ModifyIndex: 0 },
    })
    const [health] = (await asked.ask('GET', '/health/service/web?passing')).json
    expect(health.Service).toEqual({
      ...service,
      Proxy: { MeshGateway: {}, Expose: {} },
      Connect: {},
      CreateIndex: index,
      ModifyIndex: index,
    })
    expect(health.Checks.map(({ CheckID }: { CheckID: string }) => CheckID)).toEqual([
      'serfHealth',
      'service:web-1',
    ])
    expect((await asked.ask('GET', '/catalog/services')).json).toEqual({ consul: [], web: ['primary', 'v2'] })
    expect((await asked.ask('GET', '/catalog/service/web')).json).toMatchObject([
      { Node: 'n1', Address: '127.0.0.1', ServiceAddress: '10.0.0.1', ServiceTaggedAddresses: tagged },
    ])
  })

  it('is seen through the native API, and what was registered there is seen by Consul', async () => {
    await using served = await serving()
    const ask = (method: string, path: string, body?: unknown) =>
      fetch(`${served.server.url}/v1${path}`, {
        method,
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }).then(async (response) => ({ status: response.status, text: await response.text() }))
    await ask('PUT', '/agent/service/register', whole)
    const { json } = await served.ask('GET', '/namespaces/default/services/web/instances/web-1')
    expect(json.instance).toMatchObject({
      address: '10.0.0.1',
      port: 8080,
      weight: 10,
      tags: ['v2', 'primary'],
    })
    expect(json.instance.health.status).toBe('passing')

    await served.register('api', 'api-1', { address: '10.0.0.9', tags: ['a'], metadata: { k: 'v' } })
    const [found] = JSON.parse((await ask('GET', '/health/service/api?passing')).text)
    expect(found.Service).toMatchObject({
      ID: 'api-1',
      Address: '10.0.0.9',
      Port: 3000,
      Tags: ['a'],
      Meta: { k: 'v' },
    })
    expect((await ask('PUT', '/agent/service/deregister/api-1')).status).toBe(200)
    expect((await served.ask('GET', '/namespaces/default/services/api/instances/api-1')).status).toBe(404)
  })

  it('again keeps the status of checks, and those that are not named', async () => {
    await using asked = await asking()
    const register = (fields: object, query = '') =>
      asked.ask('PUT', `/agent/service/register${query}`, { Name: 'web', ...fields })
    await register({ Checks: [{ CheckID: 'c1', TTL: '1h' }] })
    await asked.ask('PUT', '/agent/check/pass/c1?note=fine')
    await register({ Checks: [{ CheckID: 'c2', TTL: '1h' }] })
    const checks = async () => {
      const { json } = await asked.ask('GET', '/agent/checks')
      return Object.values<{ CheckID: string; Status: string; Output: string }>(json).map(
        ({ CheckID, Status, Output }) => `${CheckID} ${Status} ${Output}`,
      )
    }
    expect(await checks()).toEqual(['c1 passing fine', 'c2 critical '])
    await register({ Checks: [{ CheckID: 'c2', TTL: '1h' }] }, '?replace-existing-checks')
    expect(await checks()).toEqual(['c2 critical '])
  })

  it('again with nothing new changes no index', async () => {
    await using asked = await asking()
    const fields = { Name: 'web', Port: 80, Check: { TTL: '1h', Status: 'passing' } }
    const index = async () => (await asked.ask('GET', '/health/service/web')).headers.get('x-consul-index')
    await asked.ask('PUT', '/agent/service/register', fields)
    const before = await index()
    await asked.ask('PUT', '/agent/service/register', fields)
    expect(await index()).toBe(before)
    await asked.ask('PUT', '/agent/service/register', { ...fields, Port: 81 })
    expect(Number(await index())).toBeGreaterThan(Number(before))
  })

  it('under another name moves the id there', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/agent/service/register', { ID: 'one', Name: 'web' })
    await asked.ask('PUT', '/agent/service/register', { ID: 'one', Name: 'api' })
    expect((await asked.ask('GET', '/catalog/services')).json).toEqual({ api: [], consul: [] })
  })

  it('at the same time as another of that id leaves one of the two', async () => {
    await using asked = await asking()
    const names = Array.from({ length: 20 }, (_, index) => `web-${index}`)
    await Promise.all(names.map((Name) => asked.ask('PUT', '/agent/service/register', { ID: 'one', Name })))
    const { consul: _itself, ...services } = (await asked.ask('GET', '/catalog/services')).json
    expect(Object.keys(services)).toHaveLength(1)
  })

  const refused: [body: unknown, status: number, text: string][] = [
    [undefined, 400, 'Request decode failed: EOF'],
    ['nonsense', 400, "Request decode failed: invalid character 'o' in literal null (expecting 'u')"],
    ['{"Name":', 400, 'Request decode failed: unexpected EOF'],
    [{}, 400, 'Missing service name'],
    [
      { Name: 5 },
      400,
      'Request decode failed: json: cannot unmarshal number into Go struct field .Name of type string',
    ],
    [{ Name: 'x', Unknown: 1 }, 400, 'Request decode failed: json: unknown field "Unknown"'],
    [{ Name: 'x', Address: '0.0.0.0' }, 400, 'Invalid service address'],
    [{ Name: 'x', Address: 'no host' }, 400, 'address must be an IP address or a host name'],
    [{ Name: 'x', Port: 70_000 }, 400, 'port must be a whole number from 0 to 65535'],
    [{ Name: 'x', Weights: { Passing: 0 } }, 400, 'Invalid Weights: Passing must be greater than 0'],
    [
      { Name: 'x', Meta: { 'a b': '' } },
      400,
      "Invalid Service Meta: Couldn't load metadata pair ('a b', ''): Key contains invalid characters",
    ],
    [{ Name: 'x', Check: { TTL: 'soon' } }, 400, 'Request decode failed: time: invalid duration "soon"'],
    [
      { Name: 'x', Check: { HTTP: 'http://[::1]' } },
      400,
      'Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks',
    ],
    [
      { Name: 'x', Check: { TTL: '1s', Status: 'fine' } },
      400,
      "Status for checks must 'passing', 'warning', 'critical'",
    ],
    [
      { Name: 'x', Check: { Args: ['true'], Interval: '1s' } },
      500,
      "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true",
    ],
    [
      { Name: 'x', Check: { CheckID: 'maintenance', TTL: '1s' } },
      400,
      'Invalid check: the ID "maintenance" is taken',
    ],
    [{ Name: 'x\u0000' }, 400, 'service must not hold control characters'],
  ]
  it.each(refused)('refuses %j in Consul’s words, and registers nothing', async (body, status, text) => {
    await using asked = await asking()
    const answer = await asked.ask('PUT', '/agent/service/register', body)
    expect([answer.status, answer.text]).toEqual([status, text])
    expect((await asked.ask('GET', '/agent/services')).json).toEqual({})
    expect(asked.server.catalog.size).toBe(0)
  })

  it('refuses checks of other machines, as the server does everywhere', async () => {
    await using asked = await asking()
    const Check = { HTTP: 'http://10.1.2.3/', Interval: '10s' }
    const answer = await asked.ask('PUT', '/agent/service/register', { Name: 'x', Check })
    expect(answer.status).toBe(403)
    expect(answer.text).toContain('a check may only target its instance')
  })
})

describe('one service of the agent', () => {
  it('waits for its hash to be another, and for no other service', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/agent/service/register', { Name: 'web', Port: 1 })
    const { json, headers } = await asked.ask('GET', '/agent/service/web')
    expect(headers.get('x-consul-contenthash')).toBe(json.ContentHash)
    let isOver = false
    const waiting = asked.ask('GET', `/agent/service/web?hash=${json.ContentHash}&wait=1m`).finally(() => {
      isOver = true
    })
    await asked.ask('PUT', '/agent/service/register', { Name: 'api' })
    expect(isOver).toBe(false)
    await asked.ask('PUT', '/agent/service/register', { Name: 'web', Port: 2 })
    expect((await waiting).json).toMatchObject({ Port: 2 })
  })

  it('is a 404 once it goes, also to one who waits', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/agent/service/register', { Name: 'web' })
    const { ContentHash } = (await asked.ask('GET', '/agent/service/web')).json
    const waiting = asked.ask('GET', `/agent/service/web?hash=${ContentHash}`)
    await asked.ask('PUT', '/agent/service/deregister/web')
    expect(await waiting).toMatchObject({ status: 404, text: 'unknown service ID: web' })
  })
})

describe('maintenance of a service', () => {
  it('takes it out, survives registering again, and is over when it is said', async () => {
    await using asked = await asking()
    const passing = async () => (await asked.ask('GET', '/health/service/web?passing')).json.length
    await asked.ask('PUT', '/agent/service/register', { Name: 'web' })
    await asked.ask('PUT', '/agent/service/maintenance/web?enable=true&reason=new+disk')
    expect(await passing()).toBe(0)
    await asked.ask('PUT', '/agent/service/register', { Name: 'web', Tags: ['b'] })
    expect((await asked.ask('GET', '/health/checks/web')).json).toMatchObject([
      { CheckID: '_service_maintenance:web', Notes: 'new disk', Status: 'critical', Type: 'maintenance' },
    ])
    await asked.ask('PUT', '/agent/service/maintenance/web?enable=false')
    expect(await passing()).toBe(1)
  })

  it.each([
    ['/agent/service/maintenance/web', 400, 'Missing value for enable'],
    ['/agent/service/maintenance/web?enable=maybe', 400, 'Invalid value for enable: "maybe"'],
    ['/agent/service/maintenance/?enable=true', 400, 'Missing service ID'],
    ['/agent/service/maintenance/none?enable=true', 404, 'No service registered with ID "none"'],
    ['/agent/maintenance', 400, 'Missing value for enable'],
  ])('refuses %s', async (path, status, text) => {
    await using asked = await asking()
    expect(await asked.ask('PUT', path)).toMatchObject({ status, text })
  })
})

describe('the health of a service', () => {
  it('is a status that load balancers understand', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/agent/service/register', {
      Name: 'web',
      Check: { TTL: '1h', Status: 'passing' },
    })
    const ask = async (how: string) => {
      const { status, text, headers } = await asked.ask('GET', `/agent/health/service/${how}?format=text`)
      return [status, text, headers.get('x-consul-reason')]
    }
    expect(await ask('id/web')).toEqual([200, 'passing', 'passing'])
    await asked.ask('PUT', '/agent/check/warn/service:web')
    expect(await ask('name/web')).toEqual([429, 'warning', 'warning'])
    await asked.ask('PUT', '/agent/check/fail/service:web')
    expect(await ask('id/web')).toEqual([503, 'critical', 'critical'])
    await asked.ask('PUT', '/agent/maintenance?enable=true')
    expect(await ask('id/web')).toEqual([503, 'maintenance', 'maintenance'])
    expect(await ask('id/none')).toEqual([404, '"ServiceId none not found"', 'ServiceId none not found'])
    expect(await ask('name/none')).toEqual([404, 'ServiceName none Not Found', 'ServiceName none Not Found'])
  })
})
