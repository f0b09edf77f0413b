import { once } from 'node:events'
import Consul from 'consul'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Agent, agentTests, node } from './agent.ts'

/** The changes that a watch of the client tells, in their order. */
function changes(consul: Consul, method: (...args: never[]) => unknown, options: Record<string, string>) {
  const watch = consul.watch({ method, options })
  const seen: unknown[] = []
  const errors: string[] = []
  watch.on('change', (data) => seen.push(data))
  watch.on('error', ({ message }) => errors.push(message))
  return {
    errors,
    /** Resolves once the latest is so. */
    async told(check: (latest: never) => void) {
      await eventually(async () => {
        expect(seen.length).toBeGreaterThan(0)
        check(seen.at(-1) as never)
      })
    },
    async [Symbol.asyncDispose]() {
      const ended = once(watch, 'end')
      watch.end()
      await ended
    },
  }
}

/** What the client makes of an answer of `false` or `null`. */
const no = undefined

/** The status that a call failed with. */
async function failure(call: Promise<unknown>): Promise<unknown> {
  try {
    await call
  } catch (error) {
    return (error as { statusCode?: number }).statusCode ?? error
  }
  throw new Error('It did not fail.')
}

/** Consul's agent tells its catalog a moment later. */
const eventually = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 10_000, interval: 20 })

agentTests((start) => {
  let agent: Agent
  let consul: Consul
  beforeAll(async () => {
    agent = await start()
    consul = new Consul({ port: agent.port })
  })
  afterAll(async () => {
    consul?.destroy()
    await agent?.[Symbol.asyncDispose]()
  })

  describe("the npm client 'consul'", () => {
    it('registers, finds and deregisters a service', async () => {
      await consul.agent.service.register({
        name: 'web',
        id: 'web-1',
        address: '127.0.0.2',
        port: 8080,
        tags: ['blue', 'v1'],
        meta: { team: 'shop' },
      })
      expect((await consul.agent.services())['web-1']).toMatchObject({
        ID: 'web-1',
        Service: 'web',
        Address: '127.0.0.2',
        Port: 8080,
        Tags: ['blue', 'v1'],
        Meta: { team: 'shop' },
        Weights: { Passing: 1, Warning: 1 },
        EnableTagOverride: false,
      })
      await eventually(async () => {
        expect((await consul.catalog.services()).web?.toSorted()).toEqual(['blue', 'v1'])
        expect(await consul.catalog.service.nodes('web')).toMatchObject([
          { Node: node, ServiceID: 'web-1', ServiceAddress: '127.0.0.2', ServicePort: 8080 },
        ])
      })
      expect(await consul.catalog.service.nodes({ service: 'web', tag: 'green' })).toEqual([])
      expect(await consul.catalog.node.services(node)).toMatchObject({
        Node: { Node: node },
        Services: { 'web-1': { Service: 'web' } },
      })

      await consul.agent.service.deregister('web-1')
      expect(await consul.agent.services()).not.toHaveProperty('web-1')
      await eventually(async () => {
        expect(await consul.catalog.services()).not.toHaveProperty('web')
        expect(await consul.health.service('web')).toEqual([])
      })
    })

    it('registers by name alone', async () => {
      await consul.agent.service.register('plain')
      await eventually(async () => {
        expect(await consul.health.service({ service: 'plain', passing: true })).toMatchObject([
          { Service: { ID: 'plain', Service: 'plain', Address: '', Port: 0, Tags: [] } },
        ])
      })
      await consul.agent.service.deregister({ id: 'plain' })
    })

    it('keeps a TTL check passing, warning and failing', async () => {
      await consul.agent.service.register({
        name: 'worker',
        id: 'worker-1',
        port: 9000,
        check: { name: 'alive', ttl: '60s', timeout: '1s' },
      })
      const id = 'service:worker-1'
      const is = (status: string, output?: string) =>
        eventually(async () => {
          const [check] = await consul.health.checks('worker')
          expect(check).toMatchObject({ CheckID: id, Node: node, ServiceID: 'worker-1', Status: status })
          if (output !== undefined) expect(check!.Output).toBe(output)
        })
      await is('critical')
      expect(await consul.health.service({ service: 'worker', passing: true })).toEqual([])
      await consul.agent.check.pass({ id, note: 'all is well' })
      await is('passing', 'all is well')
      expect(await consul.health.service({ service: 'worker', passing: true })).toHaveLength(1)
      await consul.agent.check.warn(id)
      await is('warning')
      await consul.agent.check.fail({ id, note: 'broken' })
      await is('critical', 'broken')
      expect(await consul.health.state('critical')).toEqual(
        expect.arrayContaining([expect.objectContaining({ CheckID: id, Output: 'broken' })]),
      )
      expect(await failure(consul.agent.check.pass('service:nobody'))).toBe(500)
      await consul.agent.service.deregister('worker-1')
    })

    it('adds and removes checks of the node and of a service', async () => {
      await consul.agent.service.register({ name: 'disk', id: 'disk-1', port: 9001 })
      await consul.agent.check.register({ name: 'space', ttl: '60s', timeout: '1s', serviceid: 'disk-1' })
      await consul.agent.check.register({
        name: 'fans',
        id: 'fans',
        ttl: '60s',
        timeout: '1s',
        status: 'passing',
      } as never)
      expect(await consul.agent.checks()).toMatchObject({
        space: { Name: 'space', ServiceID: 'disk-1', Status: 'critical', Type: 'ttl' },
        fans: { Name: 'fans', ServiceID: '', Status: 'passing' },
      })
      await eventually(async () => {
        const checks = await consul.health.node({ node } as never)
        expect(checks.map(({ CheckID }) => CheckID)).toEqual(
          expect.arrayContaining(['serfHealth', 'space', 'fans']),
        )
      })
      await consul.agent.check.deregister('space')
      await consul.agent.check.deregister('fans')
      expect(await consul.agent.checks()).not.toHaveProperty('space')
      await consul.agent.service.deregister('disk-1')
    })

    it('puts a service and the node into maintenance', async () => {
      await consul.agent.service.register({ name: 'shop', id: 'shop-1', port: 9002 })
      const passing = (count: number) =>
        eventually(async () =>
          expect(await consul.health.service({ service: 'shop', passing: true })).toHaveLength(count),
        )
      await passing(1)
      await consul.agent.service.maintenance({ id: 'shop-1', enable: true, reason: 'stocktaking' })
      await passing(0)
      expect((await consul.agent.checks())['_service_maintenance:shop-1']).toMatchObject({
        Status: 'critical',
        Notes: 'stocktaking',
      })
      await consul.agent.service.maintenance({ id: 'shop-1', enable: false })
      await passing(1)
      await consul.agent.maintenance({ enable: true, reason: 'new disk' })
      await passing(0)
      expect((await consul.agent.checks())._node_maintenance).toMatchObject({ Notes: 'new disk' })
      await consul.agent.maintenance(false)
      await passing(1)
      await consul.agent.service.deregister('shop-1')
    })

    it('watches the health of a service by blocking', async () => {
      await using watched = changes(consul, consul.health.service, { service: 'seen', wait: '10s' })
      await watched.told((latest) => expect(latest).toEqual([]))
      await consul.agent.service.register({
        name: 'seen',
        id: 'seen-1',
        port: 9003,
        check: { name: 'alive', ttl: '60s', timeout: '1s', status: 'passing' },
      })
      await watched.told((latest) =>
        expect(latest).toMatchObject([
          {
            Node: { Node: node },
            Service: { ID: 'seen-1' },
            Checks: expect.arrayContaining([
              expect.objectContaining({ CheckID: 'service:seen-1', Status: 'passing' }),
            ]),
          },
        ]),
      )
      await consul.agent.check.fail('service:seen-1')
      await watched.told((latest) =>
        expect(latest).toMatchObject([
          { Checks: expect.arrayContaining([expect.objectContaining({ Status: 'critical' })]) },
        ]),
      )
      await consul.agent.service.deregister('seen-1')
      await watched.told((latest) => expect(latest).toEqual([]))
      expect(watched.errors).toEqual([])
    })

    it('watches the list of services, and a key', async () => {
      await using services = changes(consul, consul.catalog.service.list, { wait: '10s' })
      await using key = changes(consul, consul.kv.get, { key: 'watched/key', wait: '10s' })
      await services.told((latest) => expect(latest).toHaveProperty('consul'))
      await key.told((latest) => expect(latest).toBeUndefined())
      await consul.agent.service.register({ name: 'listed', port: 9004 })
      await services.told((latest) => expect(latest).toHaveProperty('listed'))
      await consul.kv.set('watched/key', 'one')
      await key.told((latest) => expect(latest).toMatchObject({ Value: 'one' }))
      await consul.kv.set('watched/key', 'two')
      await key.told((latest) => expect(latest).toMatchObject({ Value: 'two' }))
      await consul.agent.service.deregister('listed')
      await services.told((latest) => expect(latest).not.toHaveProperty('listed'))
    })

    it('registers and removes what is elsewhere', async () => {
      await consul.catalog.register({
        node: 'buoy',
        address: '192.0.2.7',
        nodemeta: { sea: 'north' },
        service: { id: 'lamp-1', service: 'lamp', port: 70, tags: ['red'] },
        checks: [{ checkid: 'lit', name: 'Lit', serviceid: 'lamp-1', status: 'passing' }] as never,
      })
      expect(await consul.catalog.service.nodes('lamp')).toMatchObject([
        { Node: 'buoy', Address: '192.0.2.7', NodeMeta: { sea: 'north' }, ServicePort: 70 },
      ])
      expect((await consul.catalog.node.list()).map(({ Node }) => Node).toSorted()).toEqual(['buoy', node])
      expect(await consul.health.service({ service: 'lamp', passing: true })).toMatchObject([
        {
          Node: { Node: 'buoy' },
          Service: { ID: 'lamp-1' },
          Checks: [{ CheckID: 'lit', Status: 'passing' }],
        },
      ])
      await consul.catalog.deregister({ node: 'buoy' })
      expect(await consul.catalog.service.nodes('lamp')).toEqual([])
      expect(await consul.catalog.node.services('buoy')).toBe(no)
    })

    it('reads, lists, compares and deletes keys', async () => {
      const { kv } = consul
      expect(await kv.get('box/none')).toBeUndefined()
      expect(await kv.set({ key: 'box/a', value: 'hello', flags: 42 })).toBe(true)
      expect(await kv.set('box/b/deep', Buffer.from([0, 255, 10]))).toBe(true)
      expect(await kv.get('box/a')).toMatchObject({ Key: 'box/a', Value: 'hello', Flags: 42, LockIndex: 0 })
      expect(await kv.get({ key: 'box/b/deep', raw: true })).toEqual(Buffer.from([0, 255, 10]))
      expect(await kv.get({ key: 'box/', recurse: true })).toMatchObject([
        { Key: 'box/a' },
        { Key: 'box/b/deep' },
      ])
      expect(await kv.keys('box/')).toEqual(['box/a', 'box/b/deep'])
      expect(await kv.keys({ key: 'box/', separator: '/' })).toEqual(['box/a', 'box/b/'])
      expect(await failure(kv.keys('crate/'))).toBe(404)

      const { ModifyIndex } = (await kv.get('box/a'))!
      expect(await kv.set({ key: 'box/a', value: 'no', cas: 0 })).toBe(no)
      expect(await kv.set({ key: 'box/a', value: 'bye', cas: ModifyIndex })).toBe(true)
      expect(await kv.set({ key: 'box/a', value: 'late', cas: ModifyIndex })).toBe(no)
      expect(await kv.set({ key: 'box/new', value: 'first', cas: 0 })).toBe(true)
      expect(await kv.get('box/a')).toMatchObject({ Value: 'bye', Flags: 0 })

      expect(await kv.del({ key: 'box/a', cas: ModifyIndex })).toBe(no)
      expect(await kv.del('box/a')).toBe(true)
      expect(await kv.del({ key: 'box/', recurse: true })).toBe(true)
      expect(await kv.get({ key: 'box/', recurse: true })).toBeUndefined()
    })

    it('writes several keys at once, or none', async () => {
      const { Results } = await consul.transaction.create([
        { KV: { Verb: 'set', Key: 'pair/a', Value: Buffer.from('1').toString('base64') } },
        { KV: { Verb: 'set', Key: 'pair/b', Value: Buffer.from('2').toString('base64') } },
      ] as never)
      expect(Results).toMatchObject([{ KV: { Key: 'pair/a' } }, { KV: { Key: 'pair/b' } }])
      const failing = consul.transaction.create([
        { KV: { Verb: 'set', Key: 'pair/a', Value: Buffer.from('9').toString('base64') } },
        { KV: { Verb: 'check-index', Key: 'pair/b', Index: 1 } },
      ] as never)
      expect(await failure(failing)).toBe(409)
      expect(await consul.kv.get('pair/a')).toMatchObject({ Value: '1' })
    })

    it('holds a lock with a session, which frees it when it ends', async () => {
      const { ID: session } = await consul.session.create({ name: 'mate', ttl: '30s', lockdelay: '0s' })
      const { ID: other } = await consul.session.create({ lockdelay: '0s' })
      expect(await consul.session.info(session)).toMatchObject({
        ID: session,
        Name: 'mate',
        Node: node,
        TTL: '30s',
        Behavior: 'release',
        LockDelay: 0,
      })
      expect((await consul.session.list()).map(({ ID }) => ID)).toEqual(
        expect.arrayContaining([session, other]),
      )
      expect(await consul.session.node(node)).toHaveLength((await consul.session.list()).length)

      const key = 'locks/helm'
      expect(await consul.kv.set({ key, value: 'mate', acquire: session })).toBe(true)
      expect(await consul.kv.set({ key, value: 'other', acquire: other })).toBe(no)
      expect(await consul.kv.get(key)).toMatchObject({ Value: 'mate', Session: session, LockIndex: 1 })
      expect(await consul.kv.set({ key, value: 'mate', release: other })).toBe(no)
      expect(await consul.kv.set({ key, value: 'left', release: session })).toBe(true)
      expect(await consul.kv.get(key)).not.toHaveProperty('Session')

      expect(await consul.kv.set({ key, value: 'again', acquire: session })).toBe(true)
      expect(await consul.session.renew(session)).toMatchObject([{ ID: session, TTL: '30s' }])
      await consul.session.destroy(session)
      expect(await consul.kv.get(key)).not.toHaveProperty('Session')
      expect(await consul.session.info(session)).toBeUndefined()
      expect(await failure(consul.session.renew(session))).toBe(404)
      expect(await consul.kv.set({ key, value: 'other', acquire: other })).toBe(true)
      await consul.session.destroy({ id: other })
    })

    it('fires and lists events', async () => {
      const fired = await consul.event.fire('deploy', 'v2')
      expect(fired).toMatchObject({ Name: 'deploy', Payload: 'v2', NodeFilter: '' })
      await eventually(async () => {
        expect(await consul.event.list('deploy')).toMatchObject([{ ID: fired.ID, Payload: 'v2' }])
        expect(await consul.event.list('other')).toEqual([])
      })
    })

    it('keeps prepared queries, and executes them', async () => {
      await consul.agent.service.register({ name: 'quay', id: 'quay-1', port: 9005, tags: ['deep'] })
      const { ID } = await consul.query.create({
        name: 'berth',
        service: { service: 'quay', onlypassing: true, tags: ['deep', '!closed'] },
        dns: { ttl: '10s' },
      } as never)
      expect(await consul.query.get(ID)).toMatchObject({ ID, Name: 'berth', Service: { Service: 'quay' } })
      await eventually(async () => {
        expect(await consul.query.execute('berth')).toMatchObject({
          Service: 'quay',
          Datacenter: 'dc1',
          Nodes: [{ Service: { ID: 'quay-1' } }],
          DNS: { TTL: '10s' },
        })
      })
      await consul.query.update({ query: ID, name: 'berth', service: { service: 'pier' } })
      expect(await consul.query.execute(ID)).toMatchObject({ Service: 'pier', Nodes: [] })
      expect(await consul.query.list()).toHaveLength(1)
      // Its types forgot this one.
      await (consul.query as unknown as { destroy(id: string): Promise<void> }).destroy(ID)
      expect(await consul.query.list()).toEqual([])
      expect(await failure(consul.query.execute('berth'))).toBe(404)
      await consul.agent.service.deregister('quay-1')
    })

    it('is told who is there', async () => {
      expect(await consul.catalog.datacenters()).toEqual(['dc1'])
      expect(await consul.agent.members()).toMatchObject([{ Name: node, Status: 1, Tags: { dc: 'dc1' } }])
      expect(await consul.agent.self()).toMatchObject({
        Config: { NodeName: node, Datacenter: 'dc1', Server: true },
        Member: { Name: node },
      })
      const leader = await consul.status.leader()
      expect(leader).toMatch(/^127\.0\.0\.1:\d+$/)
      expect(await consul.status.peers()).toEqual([leader])
    })

    it('narrows lists by a filter', async () => {
      for (const [id, tags] of [
        ['crane-1', ['heavy']],
        ['crane-2', ['light']],
      ] as const)
        await consul.agent.service.register({ name: 'crane', id, port: 9006, tags: [...tags] })
      expect(Object.keys(await consul.agent.services({ filter: 'heavy in Tags' } as never))).toEqual([
        'crane-1',
      ])
      await eventually(async () => {
        const found = await consul.health.service({
          service: 'crane',
          filter: 'Service.Tags contains "light" and Service.Port == 9006',
        })
        expect(found).toMatchObject([{ Service: { ID: 'crane-2' } }])
      })
      const wrong = consul.catalog.service.nodes({ service: 'crane', filter: 'Nope ==' })
      expect(await failure(wrong)).toBe(500)
      for (const id of ['crane-1', 'crane-2']) await consul.agent.service.deregister(id)
    })
  })
})
