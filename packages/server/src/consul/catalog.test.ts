import { memory } from '@seamark/core'
import { describe, expect, it } from 'vitest'
import { type Asking, asking } from '../../test/asking.ts'
import { condition } from '../../test/condition.ts'

const rock = {
  ID: '40e4a748-2192-161a-0510-9bf59fe950b5',
  Node: 'rock',
  Address: '10.9.0.1',
  TaggedAddresses: { lan: '10.9.0.1', wan: '198.51.100.9' },
  NodeMeta: { external: 'true', rack: 'r1' },
  Service: {
    ID: 'db-1',
    Service: 'db',
    Tags: ['primary'],
    Address: '10.9.0.2',
    Port: 5432,
    Meta: { version: '1' },
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
}

async function nodes(asked: Asking): Promise<string[]> {
  return (await asked.ask('GET', '/catalog/nodes')).json.map(({ Node }: { Node: string }) => Node)
}

describe('the catalog', () => {
  it('holds the server itself, as the service consul on a node that is alive', async () => {
    await using asked = await asking({
      consul: { nodeName: 'harbour', nodeMeta: { rack: 'r2' }, datacenter: 'dc9' },
    })
    const { port } = asked.server
    expect((await asked.ask('GET', '/catalog/nodes')).json).toMatchObject([
      {
        Node: 'harbour',
        Address: '127.0.0.1',
        Datacenter: 'dc9',
        Meta: { 'consul-network-segment': '', rack: 'r2' },
      },
    ])
    expect((await asked.ask('GET', '/catalog/service/consul')).json).toMatchObject([
      { ServiceID: 'consul', ServicePort: port, NodeMeta: { rack: 'r2' } },
    ])
    expect((await asked.ask('GET', '/health/service/consul?passing')).json).toMatchObject([
      { Checks: [{ CheckID: 'serfHealth', Status: 'passing' }] },
    ])
    expect((await asked.ask('GET', '/catalog/datacenters')).json).toEqual(['dc9'])
    expect((await asked.ask('GET', '/status/leader')).json).toBe(`127.0.0.1:${port}`)
    expect((await asked.ask('GET', '/status/peers')).json).toEqual([`127.0.0.1:${port}`])
    expect((await asked.ask('GET', '/agent/members')).json).toMatchObject([{ Name: 'harbour', Status: 1 }])
    expect((await asked.ask('GET', '/agent/self')).json.Config).toMatchObject({
      Datacenter: 'dc9',
      NodeName: 'harbour',
    })
  })

  it('keeps a node without an agent as it is told, with its service and its checks', async () => {
    await using asked = await asking()
    expect((await asked.ask('PUT', '/catalog/register', rock)).json).toBe(true)
    const index = expect.any(Number)
    const node = {
      ID: rock.ID,
      Node: 'rock',
      Address: '10.9.0.1',
      Datacenter: 'dc1',
      TaggedAddresses: { lan: '10.9.0.1', wan: '198.51.100.9' },
      Meta: { external: 'true', rack: 'r1' },
      CreateIndex: index,
      ModifyIndex: index,
    }
    const service = {
      ID: 'db-1',
      Service: 'db',
      Tags: ['primary'],
      Address: '10.9.0.2',
      Meta: { version: '1' },
      Port: 5432,
      Weights: { Passing: 1, Warning: 1 },
      EnableTagOverride: false,
      Proxy: { MeshGateway: {}, Expose: {} },
      Connect: {},
      CreateIndex: index,
      ModifyIndex: index,
    }
    const { Node: _node, ...told } = rock.Check
    const check = {
      ...told,
      Node: 'rock',
      ServiceName: 'db',
      ServiceTags: ['primary'],
      Type: 'tcp',
      CreateIndex: index,
      ModifyIndex: index,
    }
    expect((await asked.ask('GET', '/catalog/node/rock')).json).toEqual({
      Node: node,
      Services: { 'db-1': service },
    })
    expect((await asked.ask('GET', '/catalog/node-services/ROCK')).json).toEqual({
      Node: node,
      Services: [service],
    })
    expect((await asked.ask('GET', '/health/service/db')).json).toEqual([
      { Node: node, Service: service, Checks: [check] },
    ])
    expect((await asked.ask('GET', '/health/node/rock')).json).toEqual([check])
    expect(
      (await asked.ask('GET', '/health/state/passing')).json.map(
        (check: { CheckID: string }) => check.CheckID,
      ),
    ).toEqual(['serfHealth', 'service:db-1'])
    // The agent has nothing to do with it.
    expect((await asked.ask('GET', '/agent/services')).json).toEqual({})
    expect(await asked.ask('PUT', '/agent/check/pass/service:db-1')).toMatchObject({ status: 500 })
  })

  it('follows what it is told of a check, also statuses of somebody’s own', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/catalog/register', rock)
    const passing = async () => (await asked.ask('GET', '/health/service/db?passing')).json.length
    const { Service: _service, Check, ...node } = rock
    await asked.ask('PUT', '/catalog/register', {
      ...node,
      Check: { ...Check, Status: 'critical', Output: 'broken' },
    })
    expect(await passing()).toBe(0)
    await asked.ask('PUT', '/catalog/register', { ...node, Check: { ...Check, Status: 'odd' } })
    expect((await asked.ask('GET', '/health/state/odd')).json).toMatchObject([{ CheckID: 'service:db-1' }])
    await asked.ask('PUT', '/catalog/register', { ...node, Check })
    expect(await passing()).toBe(1)
  })

  it('lets a check of the node count for what is on it, for native readers too', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/catalog/register', {
      ...rock,
      Checks: [{ Name: 'ping', Status: 'critical' }],
      Check: undefined,
    })
    expect((await asked.ask('GET', '/health/service/db?passing')).json).toEqual([])
    const db = { namespace: 'default', service: 'db' }
    await condition(() => asked.server.catalog.snapshot(db).entries[0]?.health.status === 'critical')
    await asked.ask('PUT', '/catalog/deregister', { Node: 'rock', CheckID: 'ping' })
    await condition(() => asked.server.catalog.snapshot(db).entries[0]?.health.status === 'passing')
    expect((await asked.ask('GET', '/health/service/db?passing')).json).toHaveLength(1)
  })

  it('has the same id on two nodes as two services', async () => {
    await using asked = await asking()
    for (const Node of ['b', 'a'])
      await asked.ask('PUT', '/catalog/register', {
        Node,
        Address: '10.0.0.1',
        Service: { ID: 'x', Service: 'db', Port: 1 },
      })
    const found = async () =>
      (await asked.ask('GET', '/catalog/service/db')).json.map(
        ({ Node, ServiceID }: Record<string, string>) => `${Node} ${ServiceID}`,
      )
    expect(await found()).toEqual(['a x', 'b x'])
    await asked.ask('PUT', '/catalog/deregister', { Node: 'a', ServiceID: 'x' })
    expect(await found()).toEqual(['b x'])
  })

  it('moves what has no address of its own with its node', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/catalog/register', {
      Node: 'rock',
      Address: '10.9.0.1',
      Service: { Service: 'db', Port: 1 },
    })
    await asked.ask('PUT', '/catalog/register', { Node: 'rock', Address: '10.9.0.7' })
    const [entry] = asked.server.catalog.snapshot({ namespace: 'default', service: 'db' }).entries
    expect(entry?.instance.address).toBe('10.9.0.7')
    await asked.ask('PUT', '/catalog/register', { Node: 'rock', Address: '10.9.0.9', SkipNodeUpdate: true })
    expect((await asked.ask('GET', '/catalog/node/rock')).json.Node.Address).toBe('10.9.0.7')
  })

  it('forgets a node with its services and checks', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/catalog/register', rock)
    expect((await asked.ask('PUT', '/catalog/deregister', { Node: 'rock' })).json).toBe(true)
    expect(await nodes(asked)).toEqual(['n1'])
    expect((await asked.ask('GET', '/catalog/services')).json).toEqual({ consul: [] })
    expect((await asked.ask('GET', '/catalog/node/rock')).json).toBeNull()
    await condition(async () => {
      const items = await fetch(`${asked.server.url}/api/v1/items?prefix=consul/`)
      return ((await items.json()) as { items: unknown[] }).items.length === 0
    })
  })

  it('has one node for one id', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/catalog/register', rock)
    await asked.ask('PUT', '/catalog/register', { Node: 'stone', Address: '10.9.0.1', ID: rock.ID })
    expect(await nodes(asked)).toEqual(['n1', 'stone'])
    expect((await asked.ask('GET', '/catalog/service/db')).json).toEqual([])
  })

  it('is filtered by tags, node metadata and expressions', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/catalog/register', rock)
    await asked.ask('PUT', '/agent/service/register', { ID: 'db-2', Name: 'db', Tags: ['Replica', 'v1'] })
    const ids = async (query: string) =>
      (await asked.ask('GET', `/catalog/service/db?${query}`)).json.map(
        ({ ServiceID }: { ServiceID: string }) => ServiceID,
      )
    expect(await ids('tag=replica&tag=v1')).toEqual(['db-2'])
    expect(await ids('node-meta=rack:r1')).toEqual(['db-1'])
    expect(await ids('node-meta=nothing')).toEqual([])
    expect(await ids('node-meta=toString:')).toEqual([])
    expect(await ids('filter=ServicePort==5432')).toEqual(['db-1'])
    expect((await asked.ask('GET', '/catalog/services?node-meta=rack:r1')).json).toEqual({ db: ['primary'] })
    expect(await asked.ask('GET', '/catalog/nodes?filter=Nothing==1')).toMatchObject({
      status: 500,
      text: 'Failed to create boolean expression evaluator: Selector "Nothing" is not valid',
    })
  })

  it.each([
    ['/catalog/register', undefined, 400, 'Request decode failed: EOF'],
    ['/catalog/register', {}, 500, 'Must provide node'],
    ['/catalog/register', { Node: 'rock' }, 500, 'Must provide address if SkipNodeUpdate is not set'],
    [
      '/catalog/register',
      { Node: 'rock', Address: '10.0.0.1', Datacenter: 'dc2' },
      500,
      'No path to datacenter',
    ],
    [
      '/catalog/register',
      { Node: 'rock', Address: '10.0.0.1', ID: 'x' },
      500,
      'Bad node ID: uuid string is wrong length',
    ],
    [
      '/catalog/register',
      { Node: 'rock', Address: 'no host' },
      400,
      'address must be an IP address or a host name',
    ],
    [
      '/catalog/register',
      { Node: 'rock', Address: '10.0.0.1', Check: { CheckID: 'c', ServiceID: 'none' } },
      500,
      'failed inserting check: Missing service registration on node "rock"',
    ],
    [
      '/catalog/register',
      { Node: 'rock', Address: '10.0.0.1', Check: { CheckID: 'c', Node: 'other' } },
      500,
      'check node "other" does not match node "rock"',
    ],
    ['/catalog/deregister', {}, 500, 'Must provide node'],
  ])('refuses %s %j, and keeps nothing', async (path, body, status, text) => {
    await using asked = await asking()
    expect(await asked.ask('PUT', path, body)).toMatchObject({ status, text })
    expect(await nodes(asked)).toEqual(['n1'])
    expect(asked.server.catalog.size).toBe(0)
  })

  it('hides what Seamark keeps for itself', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/catalog/register', rock)
    expect((await asked.ask('GET', '/catalog/services')).json).toEqual({ consul: [], db: ['primary'] })
    expect(await asked.ask('GET', '/catalog/services?ns=seamark')).toMatchObject({ status: 400 })
    expect((await asked.ask('GET', '/catalog/services?ns=test.shop')).json).toEqual({})
  })
})

it('shows all servers of a registry as nodes, each from each', async () => {
  await using engine = memory()
  await using one = await asking({
    engine,
    shared: true,
    name: 'one',
    consul: { nodeName: 'one', nodeMeta: { a: 'b' } },
  })
  await using two = await asking({ engine, shared: true, name: 'two', consul: { nodeName: 'two' } })
  for (const asked of [one, two]) await condition(async () => (await nodes(asked)).join() === 'one,two')
  await one.ask('PUT', '/agent/service/register', { Name: 'web', Port: 80 })
  await condition(async () => (await two.ask('GET', '/agent/services')).text !== '{}')
  expect((await two.ask('GET', '/health/service/web?passing')).json).toMatchObject([
    { Node: { Node: 'one', Meta: { a: 'b' } }, Service: { Port: 80 } },
  ])
  expect((await two.ask('GET', '/catalog/service/consul')).json).toHaveLength(2)
  expect((await one.ask('GET', '/agent/members')).json).toHaveLength(2)
  expect((await two.ask('PUT', '/agent/service/deregister/web')).status).toBe(200)
  await condition(async () => (await one.ask('GET', '/agent/services')).text === '{}')
})
