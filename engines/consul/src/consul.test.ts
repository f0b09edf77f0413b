import { randomUUID } from 'node:crypto'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { directoryFollower, type Follower, follower, itemFollower } from '@seamark/conformance'
import {
  catalog,
  type Engine,
  type InstanceInput,
  instance,
  maintenanceCheck,
  type Notice,
  type ServiceKey,
} from '@seamark/core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type ConsulServer, consulServer } from '../../../test/servers/consul.ts'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { tls } from '../../../test/servers/tls.ts'
import { policy } from './agent.ts'
import { type ConsulOptions, consul } from './consul.ts'
import { location } from './location.ts'

engineTests('consul', () => {
  let server: ConsulServer
  const opened: AsyncDisposable[] = []

  beforeAll(async () => {
    server = await consulServer({ settings: { session_ttl_min: '500ms' } })
  })
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]()
  })
  afterEach(async () => {
    for (const each of opened.splice(0).reverse()) await each[Symbol.asyncDispose]()
  })

  /** A registry of its own in the one Consul. */
  function world(on: ConsulServer = server, token = '') {
    const prefix = `t${randomUUID()}`
    const url = `consul://${token}127.0.0.1:${on.port}/${prefix}?session-ttl-min=500ms`
    const open = (options?: ConsulOptions): Engine => {
      const engine = consul(url, options)
      opened.push(engine)
      return engine
    }
    return { prefix, url, open }
  }

  async function ask<T = unknown>(
    method: string,
    path: string,
    body?: unknown,
    { on = server, token = '' } = {},
  ): Promise<T> {
    const response = await fetch(`http://127.0.0.1:${on.port}/v1${path}`, {
      method,
      headers: { 'x-consul-token': token },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return (text === '' ? undefined : JSON.parse(text)) as T
  }

  function unique(): ServiceKey {
    return { namespace: 'default', service: `s${randomUUID().slice(0, 8)}` }
  }

  function an(key: ServiceKey, id: string, fields: Partial<InstanceInput> = {}) {
    return instance({ ...key, id, address: '127.0.0.1', port: 3_000, ...fields })
  }

  function following(engine: Engine, services?: readonly ServiceKey[]): Follower {
    const made =
      services === undefined ? directoryFollower(engine) : follower(engine, services, { persistent: true })
    opened.push(made)
    return made
  }

  async function eventually(holds: () => Promise<boolean>): Promise<void> {
    while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 50))
  }

  const nodeName = async () =>
    (await ask<{ Config: { NodeName: string } }>('GET', '/agent/self')).Config.NodeName

  describe('what others registered in Consul', () => {
    it('is found, with its health, by a watch of the service and one of everything', async () => {
      const key = unique()
      const node = await nodeName()
      const watches = [following(world().open(), [key]), following(world().open())]
      await ask('PUT', '/agent/service/register', {
        ID: 'web-1',
        Name: key.service,
        Port: 8_080,
        Tags: ['canary'],
        Meta: { version: '1.2.3', zone: 'a', secure: 'true', team: 'shop' },
        Weights: { Passing: 7, Warning: 1 },
        Check: { CheckID: 'alive', TTL: '10m', Status: 'passing' },
      })
      const shown = { ...key, id: `${node}/web-1` }
      for (const watch of watches) {
        await watch.until('the instance', () => watch.entry(shown) !== undefined)
        expect(watch.entry(shown)?.instance).toEqual(
          instance({
            ...shown,
            address: '127.0.0.1',
            port: 8_080,
            scheme: 'https',
            version: '1.2.3',
            zone: 'a',
            weight: 7,
            tags: ['canary'],
            metadata: { version: '1.2.3', zone: 'a', secure: 'true', team: 'shop' },
          }),
        )
        await watch.until('its health', () => watch.entry(shown)?.health.status === 'passing')
      }
      await ask('PUT', '/agent/check/fail/alive?note=broken')
      for (const watch of watches) {
        await watch.until('that it is critical', () => watch.entry(shown)?.health.status === 'critical')
        expect(watch.entry(shown)?.health.checks).toContainEqual({
          id: 'alive',
          status: 'critical',
          output: 'broken',
        })
      }
      await ask('PUT', '/agent/service/maintenance/web-1?enable=true&reason=a+new+disk')
      for (const watch of watches) {
        await watch.until('maintenance', () => watch.entry(shown)?.health.status === 'maintenance')
        expect(watch.entry(shown)?.health.checks).toContainEqual({
          id: maintenanceCheck,
          status: 'maintenance',
          output: 'a new disk',
        })
      }
      await ask('PUT', '/agent/service/maintenance/web-1?enable=false')
      await ask('PUT', '/agent/check/pass/alive')
      for (const watch of watches)
        await watch.until('that it passes again', () => watch.entry(shown)?.health.status === 'passing')
      await ask('PUT', '/agent/service/deregister/web-1')
      for (const watch of watches)
        await watch.until('its end', () => watch.entry(shown) === undefined && watch.batches.length > 1)
    })

    it('is found on nodes without an agent too, twice if two nodes have one of that id', async () => {
      const key = unique()
      for (const [node, Address] of [
        ['east', '10.0.0.1'],
        ['west', 'west.example.org'],
      ])
        await ask('PUT', '/catalog/register', {
          Node: node,
          Address,
          Service: {
            Service: key.service,
            Tags: ['', 'x'],
            Meta: { scheme: 'no scheme', version: 'latest' },
          },
        })
      const watch = following(world().open(), [key])
      await watch.until('both', ({ entries }) => entries.size === 2)
      const shown = [...watch.entries.values()].map((entry) => entry.instance)
      expect(shown.map(({ id, address }) => [id, address]).sort()).toEqual([
        [`east/${key.service}`, '10.0.0.1'],
        [`west/${key.service}`, 'west.example.org'],
      ])
      // Port 0 is none, and what is no scheme and no version is only metadata.
      expect(shown[0]).toMatchObject({
        port: 0,
        scheme: 'http',
        tags: ['x'],
        metadata: { version: 'latest' },
      })
      for (const node of ['east', 'west']) await ask('PUT', '/catalog/deregister', { Node: node })
    })

    it('is not shown where it is a proxy of the mesh, and is skipped and told once where it has no address', async () => {
      const [key, proxied] = [unique(), unique()]
      const Node = `node-${key.service}`
      await ask('PUT', '/catalog/register', {
        Node,
        Address: 'not an address',
        Service: { ID: 'bad', Service: key.service },
      })
      await ask('PUT', '/catalog/register', {
        Node,
        Address: 'not an address',
        Service: { ID: 'good', Service: key.service, Address: '10.0.0.3', Port: 1 },
      })
      await ask('PUT', '/catalog/register', {
        Node,
        Address: 'not an address',
        Service: {
          ID: 'proxy',
          Kind: 'connect-proxy',
          Service: proxied.service,
          Address: '10.0.0.3',
          Proxy: { DestinationServiceName: 'x' },
          Port: 1,
        },
      })
      const notices: Notice[] = []
      const watch = following(world().open({ notify: (notice) => notices.push(notice) }), [key, proxied])
      await watch.until('the good one', ({ entries }) => entries.size === 1)
      expect([...watch.entries.values()][0]?.instance.id).toBe(`${Node}/good`)
      expect(notices).toMatchObject([{ event: 'record_skipped', level: 'warn' }])
      expect(notices[0]!.message).toContain(`${key.service}/${Node}/bad`)
      await ask('PUT', '/catalog/deregister', { Node })
    })

    it('belongs to whoever registered it', async () => {
      const key = unique()
      await ask('PUT', '/agent/service/register', { ID: 'theirs', Name: key.service })
      const engine = world().open()
      const theirs = { ...key, id: `${await nodeName()}/theirs` }
      const refused = { code: 'not_allowed', message: expect.stringContaining('change it there') }
      await expect(engine.deregister(theirs)).rejects.toMatchObject(refused)
      await expect(engine.report(theirs, [{ id: 'x', status: 'passing' }])).rejects.toMatchObject(refused)
      await ask('PUT', '/agent/service/deregister/theirs')
    })

    it('is not another Seamark registry in the same Consul', async () => {
      const key = unique()
      await world().open().register(an(key, 'elsewhere'))
      const engine = world().open()
      const watches = [following(engine, [key]), following(engine)]
      await engine.register(an(key, 'here'))
      for (const watch of watches) {
        await watch.until('ours', () => watch.entry({ ...key, id: 'here' }) !== undefined)
        expect(watch.entry({ ...key, id: 'elsewhere' })).toBeUndefined()
      }
    })
  })

  describe('what Seamark registers', () => {
    interface Seen {
      Service: { ID: string; Address: string; Port: number; Tags: string[]; Meta: Record<string, string> }
      Checks: { Status: string; Output: string }[]
    }

    it("is seen by Consul's API and DNS, with its health", async () => {
      const key = unique()
      const engine = world().open()
      await engine.register(
        an(key, 'i1', {
          address: '10.1.2.3',
          version: '2.0.0',
          weight: 5,
          tags: ['v2'],
          metadata: { team: 'shop', 'no key': 'for Consul', long: 'x'.repeat(600) },
        }),
      )
      const seen = () => ask<Seen[]>('GET', `/health/service/${key.service}`)
      const [entry] = await seen()
      expect(entry?.Service).toMatchObject({
        Address: '10.1.2.3',
        Port: 3_000,
        Tags: ['v2'],
        Weights: { Passing: 5, Warning: 5 },
        Meta: {
          'seamark-namespace': 'default',
          'seamark-id': 'i1',
          'seamark-scheme': 'http',
          'seamark-version': '2.0.0',
          team: 'shop',
        },
      })
      expect(Object.keys(entry!.Service.Meta)).toHaveLength(5)
      const resolver = new Resolver()
      resolver.setServers([`127.0.0.1:${server.dnsPort}`])
      expect(await resolver.resolve4(`${key.service}.service.consul`)).toEqual(['10.1.2.3'])
      expect(await resolver.resolveSrv(`v2.${key.service}.service.consul`)).toMatchObject([
        { port: 3_000, weight: 5 },
      ])
      for (const [status, there] of [
        ['warning', 'warning'],
        ['critical', 'critical'],
        ['passing', 'passing'],
        ['maintenance', 'critical'],
      ] as const) {
        await engine.report({ ...key, id: 'i1' }, [{ id: 'up', status, output: 'why' }])
        expect((await seen())[0]?.Checks).toMatchObject([{ Status: there, Output: `up: ${status}: why` }])
      }
      await engine.deregister({ ...key, id: 'i1' })
      expect(await seen()).toEqual([])
    })

    it('in another namespace has a name of its own there', async () => {
      const engine = world().open()
      const { service } = unique()
      await engine.register(an({ namespace: 'test.shop', service }, 'i1'))
      expect(await ask<Seen[]>('GET', `/health/service/${service}`)).toEqual([])
      const [entry] = await ask<Seen[]>('GET', `/health/service/${service}--test-shop`)
      expect(entry?.Service.Meta['seamark-namespace']).toBe('test.shop')
    })

    it('ends with its lease, by Consul itself, also when no handle is left', async () => {
      const { open, prefix } = world()
      const key = unique()
      const owner = open()
      await owner.register(an(key, 'i1'), { ttl: 1_500 })
      await owner[Symbol.asyncDispose]()
      const there = async () => (await (await fetch(keysOf(prefix))).json().catch(() => [])) as string[]
      const keysOf = (under: string) => `http://127.0.0.1:${server.port}/v1/kv/${under}/?keys`
      expect(await there()).toHaveLength(2)
      await eventually(async () => (await there()).length === 0)
      // Consul's tools see it until somebody watches again.
      const seen = () => ask<Seen[]>('GET', `/health/service/${key.service}`)
      expect(await seen()).toHaveLength(1)
      following(open())
      await eventually(async () => (await seen()).length === 0)
    })

    it("leaves Consul's catalog once somebody who watches saw it expire", async () => {
      const key = unique()
      const { open } = world()
      const watch = following(open(), [key])
      const lease = await open().register(an(key, 'i1'), { ttl: 1_000 })
      await watch.reached(lease.revision)
      await watch.until('its end', ({ entries }) => entries.size === 0)
      await eventually(async () => (await ask<Seen[]>('GET', `/health/service/${key.service}`)).length === 0)
    })

    it('keeps its token to itself', async () => {
      const { open, prefix } = world()
      const key = unique()
      const lease = await open().register(an(key, 'i1'), { ttl: 60_000 })
      const all = JSON.stringify([
        await ask('GET', `/health/service/${key.service}`),
        await ask('GET', '/session/list'),
        (await ask<{ Key: string; Value: string }[]>('GET', `/kv/${prefix}/?recurse`)).map(
          ({ Key, Value }) => [Key, Buffer.from(Value, 'base64').toString()],
        ),
      ])
      expect(all).toContain('i1')
      expect(all).not.toContain(lease.token)
    })

    it('shows again what was taken out of the catalog, with the next report', async () => {
      const { open, prefix } = world()
      const key = unique()
      const engine = open()
      const lease = await engine.register(an(key, 'i1'), { ttl: 60_000 })
      const [entry] = await ask<Seen[]>('GET', `/health/service/${key.service}`)
      await ask('PUT', '/catalog/deregister', { Node: prefix, ServiceID: entry!.Service.ID })
      await engine.report(lease.key, [{ id: 'up', status: 'passing' }])
      expect(await ask<Seen[]>('GET', `/health/service/${key.service}`)).toHaveLength(1)
      await ask('PUT', '/catalog/deregister', { Node: prefix, ServiceID: entry!.Service.ID })
      expect(await engine.release(lease.token)).toBeDefined()
    })
  })

  it('skips a record that it cannot read, and says so once', async () => {
    const { open, prefix } = world()
    const key = { namespace: 'shop', service: 'api' }
    const notices: Notice[] = []
    const engine = open({ notify: (notice) => notices.push(notice) })
    await ask('PUT', `/kv/${prefix}/services/shop/api/instances/bad`, 'not JSON')
    await engine.register(an(key, 'good'))
    const watch = following(engine, [key])
    await watch.until('the good one', ({ entries }) => entries.size === 1)
    await ask('PUT', `/kv/${prefix}/services/shop/api/instances/bad`, 'still not JSON')
    await engine.register(an(key, 'better'))
    await watch.until('the better one', ({ entries }) => entries.size === 2)
    const another = following(engine, [key])
    await another.until('both', ({ entries }) => entries.size === 2)
    expect(notices.map(({ event, details }) => [event, details])).toEqual([
      ['record_skipped', { key: `${prefix}/services/shop/api/instances/bad` }],
    ])
    // It is in nobody's way.
    await expect(engine.report({ ...key, id: 'bad' }, [])).rejects.toMatchObject({
      code: 'instance_not_found',
    })
    expect(await engine.deregister({ ...key, id: 'bad' })).toBeDefined()
  })

  it('leaves a node alone that is not its own', async () => {
    const { open, prefix } = world()
    await ask('PUT', '/catalog/register', { Node: prefix, Address: '10.9.9.9' })
    const refused = { code: 'configuration', message: expect.stringContaining('another prefix') }
    for (const options of [{ ttl: 1_000 }, {}])
      await expect(open().register(an(unique(), 'i1'), options)).rejects.toMatchObject(refused)
    expect(await ask('GET', `/catalog/node/${prefix}`)).toMatchObject({ Node: { Address: '10.9.9.9' } })
    await ask('PUT', '/catalog/deregister', { Node: prefix })
  })

  it('refuses with its reason what is more than Consul takes', async () => {
    const engine = world().open()
    const key = unique()
    const lease = await engine.register(an(key, 'i1'))
    const reports = Array.from({ length: 32 }, (_, index) => ({
      id: `c${index}`,
      status: 'passing' as const,
      output: '\u0001'.repeat(4_096),
    }))
    await expect(engine.report(lease.key, reports)).rejects.toMatchObject({ code: 'too_large' })
    expect(await engine.renew([lease.token])).toEqual([true])
  })

  it('grants no shorter lease than Consul, and says what to do where Consul has another minimum', async () => {
    const engine = consul('consul://127.0.0.1')
    opened.push(engine)
    expect(engine.terms).toEqual({ minimumTtl: 20_000, lateness: 1_000 })
    const wrong = consul(`consul://127.0.0.1:${server.port}?session-ttl-min=100ms`)
    opened.push(wrong)
    await expect(wrong.register(an(unique(), 'i1'), { ttl: 1 })).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringContaining('session-ttl-min=10s'),
    })
  })

  it('opens another session when its own ended before anything could be bound to it', async () => {
    const { prefix } = world()
    let sessions = 0
    // Consul, but for a session that ends at once.
    const late = createServer(async (request, response) => {
      const body = await text(request)
      const init = { method: request.method!, ...(body !== '' && { body }) }
      const answer = await fetch(`http://127.0.0.1:${server.port}${request.url}`, init)
      const answered = await answer.text()
      if (request.url === '/v1/session/create' && ++sessions === 1)
        await ask('PUT', `/session/destroy/${JSON.parse(answered).ID}`)
      response.writeHead(answer.status, { 'x-consul-index': answer.headers.get('x-consul-index') ?? '1' })
      response.end(answered)
    }).listen(0, '127.0.0.1')
    await once(late, 'listening')
    const { port } = late.address() as AddressInfo
    const engine = consul(`consul://127.0.0.1:${port}/${prefix}?session-ttl-min=500ms`)
    try {
      const lease = await engine.register(an(unique(), 'i1'), { ttl: 60_000 })
      expect(sessions).toBe(2)
      expect(await engine.renew([lease.token])).toEqual([true])
    } finally {
      await engine[Symbol.asyncDispose]()
      late.close()
      late.closeAllConnections()
    }
  })

  it('is unavailable where nobody listens, and says where that is', async () => {
    const engine = consul('consul://127.0.0.1:1')
    opened.push(engine)
    const expected = { code: 'engine_unavailable', message: expect.stringContaining('http://127.0.0.1:1') }
    const watch = engine.watchAll(new AbortController().signal)[Symbol.asyncIterator]()
    await expect(watch.next()).rejects.toMatchObject(expected)
    await expect(engine.register(an(unique(), 'i1'), { ttl: 1 })).rejects.toMatchObject(expected)
    await expect(engine.renew(['token'])).rejects.toMatchObject(expected)
  })

  it('speaks TLS, and believes only the authority that it was given', async () => {
    const { prefix } = world()
    const url = `consul://localhost:${server.securePort}/${prefix}?session-ttl-min=500ms`
    const key = unique()
    const trusting = consul(`${url}&ca=${encodeURIComponent(tls.ca)}`)
    opened.push(trusting)
    const lease = await trusting.register(an(key, 'i1'), { ttl: 60_000 })
    const watch = following(trusting, [key])
    await watch.reached(lease.revision)
    const wary = consul(`${url}&tls=true`)
    opened.push(wary)
    await expect(wary.renew([lease.token])).rejects.toMatchObject({ code: 'engine_unavailable' })
  })

  it('makes a watch fail while the agent hangs, and goes on when it is back', async () => {
    await using hanging = await consulServer()
    const engine = world(hanging).open()
    const key = unique()
    await engine.register(an(key, 'i1'))
    await using replica = catalog(engine)
    await replica.ready(key)
    hanging.pause()
    await eventually(async () => replica.staleSince !== undefined)
    expect(replica.snapshot(key).entries).toHaveLength(1)
    await expect(engine.register(an(key, 'i2'))).rejects.toMatchObject({ code: 'engine_unavailable' })
    hanging.resume()
    await eventually(async () => replica.staleSince === undefined)
    await engine.register(an(key, 'i3'))
    await eventually(async () => replica.entry({ ...key, id: 'i3' }) !== undefined)
  }, 60_000)

  it('starts anew with a Consul that lost its data', async () => {
    await using forgetful = await consulServer()
    const engine = world(forgetful).open()
    const key = unique()
    const lease = await engine.register(an(key, 'i1'), { ttl: 60_000 })
    for (let turn = 0; turn < 50; turn++) await engine.register(an(key, 'i2', { port: turn }))
    await using replica = catalog(engine)
    await replica.warm()
    expect(replica.snapshot(key).entries).toHaveLength(2)
    forgetful.kill()
    rmSync(join(forgetful.folder, 'data'), { recursive: true, force: true })
    await forgetful.restart()
    await eventually(async () => replica.snapshot(key).entries.length === 0)
    await expect(lease.renew()).rejects.toMatchObject({ code: 'lease_lost' })
    await engine.register(an(key, 'i1'), { ttl: 60_000 })
    await eventually(async () => replica.entry({ ...key, id: 'i1' }) !== undefined)
  }, 60_000)

  it('says which policy a token needs, and that is enough', async () => {
    const root = randomUUID()
    await using guarded = await consulServer({
      settings: { acl: { enabled: true, default_policy: 'deny', tokens: { master: root } } },
      token: root,
    })
    const denied = { code: 'configuration', message: expect.stringContaining('key_prefix') }
    const key = unique()
    const without = world(guarded).open()
    await expect(without.register(an(key, 'i1'))).rejects.toMatchObject(denied)
    const watch = without.watch([key], new AbortController().signal)[Symbol.asyncIterator]()
    await expect(watch.next()).rejects.toMatchObject(denied)
    const small = { type: 'put', key: 'a', value: new Uint8Array(1) } as const
    const large = { ...small, value: new Uint8Array(500_000) }
    for (const operation of [small, large])
      await expect(without.write([operation])).rejects.toMatchObject(denied)
    const items = without.watchItems('', new AbortController().signal)[Symbol.asyncIterator]()
    await expect(items.next()).rejects.toMatchObject(denied)

    const { prefix } = world(guarded)
    const base = `127.0.0.1:${guarded.port}/${prefix}`
    const as = { on: guarded, token: root }
    const Rules = policy(location(`consul://${base}`))
    // The leader sets its ACLs up a moment after it was elected.
    await eventually(() =>
      ask('PUT', '/acl/policy', { Name: 'seamark', Rules }, as).then(
        () => true,
        () => false,
      ),
    )
    const { SecretID } = await ask<{ SecretID: string }>(
      'PUT',
      '/acl/token',
      { Policies: [{ Name: 'seamark' }] },
      as,
    )
    const engine = consul(`consul://${SecretID}@${base}`)
    opened.push(engine)
    const lease = await engine.register(an(key, 'i1'), { ttl: 20_000 })
    const claim = await engine.claim('primary', lease)
    await engine.report(lease.key, [{ id: 'up', status: 'passing' }])
    await lease.renew()
    const all = following(engine)
    await all.until('the claim', ({ holders }) => holders.size === 1)
    await all.until('what others registered', ({ entries }) =>
      [...entries.values()].some((entry) => entry.instance.service === 'consul'),
    )
    await claim![Symbol.asyncDispose]()
    expect(await engine.release(lease.token)).toBeDefined()
    for (const operation of [small, large]) expect(await engine.write([operation])).toBeGreaterThan(0)
    await using kept = itemFollower(engine, '')
    await kept.until('the item', () => kept.items.size === 1)
  }, 60_000)
})
