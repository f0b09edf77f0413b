import { follower } from '@seamark/conformance'
import {
  type Engine,
  type Entry,
  type InstanceInput,
  instance,
  type Notice,
  type ServiceKey,
} from '@seamark/core'
import { Etcd3 } from 'etcd3'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type EtcdServer, etcdServer } from '../../../test/servers/etcd.ts'
import { etcd } from './etcd.ts'
import { noLease } from './token.ts'

const service: ServiceKey = { namespace: 'default', service: 'api' }
const api = (id: string, fields: Partial<InstanceInput> = {}) =>
  instance({ ...service, id, address: '10.0.0.1', port: 8080, ...fields })

engineTests('etcd', () => {
  let server: EtcdServer
  let raw: Etcd3
  let worlds = 0
  let prefix: string
  let url: string
  let engine: Engine
  let notices: Notice[]
  const opened: Engine[] = []

  beforeAll(async () => {
    server = await etcdServer()
    raw = new Etcd3({ hosts: `127.0.0.1:${server.port}` })
  })
  afterAll(async () => {
    raw?.close()
    await server?.[Symbol.asyncDispose]()
  })
  beforeEach(async () => {
    prefix = `w${++worlds}`
    url = `${server.url}/${prefix}`
    notices = []
    engine = await open()
  })
  afterEach(async () => {
    for (const each of opened.splice(0)) await each[Symbol.asyncDispose]()
  })

  async function open(query = ''): Promise<Engine> {
    const one = await etcd(url + query, { notify: (notice) => notices.push(notice) })
    opened.push(one)
    return one
  }

  /** What a new watch shows first. */
  async function entries(source: Engine, services = [service]): Promise<Map<string, Entry>> {
    await using following = follower(source, services)
    await following.until('the listing', () => true)
    return new Map([...following.entries.values()].map((entry) => [entry.instance.id, entry]))
  }

  /** All there is in this world, by the part of the key after the prefix. */
  async function stored(): Promise<Record<string, string>> {
    const all = await raw.getAll().prefix(`/${prefix}/`).strings()
    return Object.fromEntries(
      Object.entries(all).map(([key, value]) => [key.slice(prefix.length + 2), value]),
    )
  }

  const leaseOf = async (key: string) => (await raw.get(key).exec()).kvs[0]?.lease
  const leases = async () => (await raw.leaseClient.leaseLeases()).leases.map(({ ID }) => ID)

  describe('in etcd', () => {
    it('an instance, its health, its claims and its lease are one lease of etcd', async () => {
      const lease = await engine.register(api('i1'), { ttl: 30_000 })
      await engine.report(lease.key, [{ id: 'up', status: 'warning', output: 'slow' }])
      await engine.claim('primary', lease)
      const all = await stored()
      const [hash] = Object.keys(all).flatMap((key) => /^leases\/(.+)$/.exec(key)?.[1] ?? [])
      expect(all).toEqual({
        'services/default/api/instances/i1': JSON.stringify({ ...api('i1'), lease: hash }),
        'services/default/api/health/i1': '{"checks":[{"id":"up","status":"warning","output":"slow"}]}',
        'services/default/api/claims/primary': '{"id":"i1"}',
        [`leases/${hash}`]: '{"namespace":"default","service":"api","id":"i1","ttl":30000}',
      })
      expect(JSON.stringify(all)).not.toContain(lease.token)
      const bound = await Promise.all(Object.keys(all).map((key) => leaseOf(`/${prefix}/${key}`)))
      expect(new Set(bound).size).toBe(1)
      const { grantedTTL, keys } = await raw.leaseClient.leaseTimeToLive({ ID: bound[0]!, keys: true })
      expect(grantedTTL).toBe('30')
      expect(keys).toHaveLength(4)
      await lease[Symbol.asyncDispose]()
      expect(await stored()).toEqual({})
      await vi.waitFor(async () => expect(await leases()).not.toContain(bound[0]))
    })

    it('a registration that stays is bound to no lease', async () => {
      await engine.register(api('i1'))
      const all = await stored()
      expect(Object.keys(all)).toHaveLength(2)
      for (const key of Object.keys(all)) expect(await leaseOf(`/${prefix}/${key}`)).toBe(noLease)
    })

    it('a superseded lease is revoked, and takes nothing with it', async () => {
      const key = `/${prefix}/services/default/api/instances/i1`
      const { revision } = await engine.register(api('i1'), { ttl: 30_000 })
      const former = await leaseOf(key)
      const successor = await engine.register(api('i1', { port: 9 }), { ttl: 30_000 })
      await vi.waitFor(async () => expect(await leases()).not.toContain(former))
      expect((await entries(engine)).get('i1')).toMatchObject({
        instance: { port: 9 },
        createdRevision: revision,
        modifiedRevision: successor.revision,
      })
      expect(Object.keys(await stored())).toHaveLength(2)
      await successor.renew()
    })

    it('a TTL is whole seconds: what was granted is told, and learned', async () => {
      expect(engine.terms.minimumTtl).toBe(1_000)
      for (const [asked, granted] of [
        [1, 1_000],
        [1_000, 1_000],
        [1_001, 2_000],
        [29_999, 30_000],
      ] as const)
        expect((await engine.register(api('i1'), { ttl: asked })).ttl).toBe(granted)
    })

    it('more claims than fit into one transaction are given up with their registration', async () => {
      const lease = await engine.register(api('i1'))
      const names = Array.from({ length: 250 }, (_, n) => `shard ${n}`)
      await Promise.all(names.map((name) => engine.claim(name, lease)))
      const successor = await engine.register(api('i1'))
      expect(Object.keys(await stored()).filter((key) => key.includes('/claims/'))).toEqual([])
      await Promise.all(names.map((name) => engine.claim(name, successor)))
      expect(await engine.deregister(lease.key)).toBeDefined()
      expect(await stored()).toEqual({})
    })

    it('another prefix is another registry, also one that begins alike', async () => {
      await engine.register(api('i1'))
      url = `${server.url}/${prefix}x`
      expect((await entries(await open())).size).toBe(0)
      url = `${server.url}/${prefix.slice(0, -1)}`
      expect((await entries(await open())).size).toBe(0)
    })
  })

  describe('what others do to it', () => {
    const at = (key: string) => `/${prefix}/services/default/api/${key}`

    it('a record that cannot be read is skipped, told of once, and no harm to the rest', async () => {
      await raw.put(at('instances/bad')).value('{"namespace":"default"')
      await raw.put(at('instances/other')).value(JSON.stringify(api('i9')))
      await raw.put(at('health/good')).value('[]')
      await raw.put(at('claims/primary')).value('{}')
      await engine.register(api('good', { checks: [{ id: 'up', type: 'tcp' }] }))
      await using following = follower(engine, [service])
      await following.until('the good one', ({ entries }) => entries.size === 1)
      await entries(engine)
      await raw.put(at('instances/late')).value('null')
      await raw.put(at('health/good')).value('nonsense')
      await engine.register(api('next'))
      await following.until('the next one', ({ entries }) => entries.size === 2)
      expect(following.holders.size).toBe(0)
      expect(following.entry(api('good'))?.health).toMatchObject({ status: 'critical' })
      const told = notices
        .filter(({ event }) => event === 'record_skipped')
        .map(({ details }) => details?.key)
      expect(told.toSorted()).toEqual(
        ['instances/bad', 'instances/other', 'instances/late', 'health/good', 'claims/primary']
          .map(at)
          .toSorted(),
      )
    })

    it('what cannot be read can be registered over', async () => {
      await raw.put(at('instances/i1')).value('nonsense')
      await raw.put(at('health/i1')).value('nonsense')
      const lease = await engine.register(api('i1'))
      expect([...(await entries(engine)).keys()]).toEqual(['i1'])
      await lease.renew()
    })

    it('an instance that somebody removed is lost to its owner, who then can register again', async () => {
      for (const options of [{}, { ttl: 30_000 }]) {
        const lease = await engine.register(api('i1'), options)
        await raw.delete().key(at('instances/i1'))
        expect(lease.lost.aborted).toBe(false)
        expect(await engine.renew([lease.token])).toEqual([false])
        expect(lease.lost.aborted).toBe(true)
        await expect(engine.resume(lease.token)).rejects.toMatchObject({ code: 'lease_lost' })
        await expect(engine.claim('primary', lease)).rejects.toMatchObject({ code: 'lease_lost' })
        expect(await engine.release(lease.token)).toBeUndefined()
      }
      expect((await entries(engine)).size).toBe(0)
      const { revision } = await engine.register(api('i1'))
      expect((await entries(engine)).get('i1')?.createdRevision).toBe(revision)
    })

    it('what is left of an instance that somebody removed is not taken for that of the next', async () => {
      const lease = await engine.register(api('i1', { checks: [{ id: 'up', type: 'tcp' }] }))
      await engine.report(lease.key, [{ id: 'up', status: 'passing' }])
      await engine.claim('primary', lease)
      await raw.delete().key(at('instances/i1'))
      await engine.register(api('i1', { checks: [{ id: 'up', type: 'tcp' }] }))
      const other = await engine.register(api('i2'))
      expect((await entries(engine)).get('i1')?.health.status).toBe('critical')
      expect(await engine.claim('primary', other)).toBeDefined()
    })

    it('a health that somebody removed is that of an instance that nobody saw', async () => {
      const { key } = await engine.register(api('i1'))
      const reported = await engine.report(key, [{ id: 'up', status: 'critical' }])
      await using following = follower(engine, [service])
      await following.reached(reported)
      await raw.delete().key(at('health/i1'))
      await following.until('the removal', () => following.entry(key)?.health.status === 'passing')
      expect(following.entry(key)!.modifiedRevision).toBeGreaterThan(reported)
    })

    it('a lease that outlived its registration is not held, and is ended', async () => {
      const lease = await engine.register(api('i1'), { ttl: 30_000 })
      const id = (await leaseOf(at('instances/i1')))!
      // As a process leaves it that dies between the two steps of deregistering.
      await raw.delete().prefix(`/${prefix}/`)
      expect(await leases()).toContain(id)
      expect(await engine.renew([lease.token])).toEqual([false])
      await vi.waitFor(async () => expect(await leases()).not.toContain(id))
    })
  })

  describe("in gRPC's naming format", () => {
    const at = (id: string) => `${prefix}/api/${id}`
    let ours: Engine
    beforeEach(async () => {
      ours = await open('?format=grpc')
    })

    it('finds what Go programs put there, follows it, and loses it with their lease', async () => {
      await using following = follower(ours, [service])
      const lease = raw.lease(30, { autoKeepAlive: false })
      await lease.put(at('10.0.0.1:8080')).value('{"Op":0,"Addr":"10.0.0.1:8080","Metadata":null}')
      const key = { ...service, id: '10.0.0.1:8080' }
      await following.until('theirs', () => following.entry(key) !== undefined)
      expect(following.entry(key)).toMatchObject({
        instance: api(key.id, { scheme: 'grpc' }),
        health: { status: 'passing', checks: [] },
      })
      await lease.put(at('10.0.0.1:8080')).value('{"Op":0,"Addr":"10.0.0.2:8080","Metadata":{"weight":"5"}}')
      await following.until('the change', () => following.entry(key)?.instance.address === '10.0.0.2')
      expect(following.entry(key)?.instance.metadata).toEqual({ weight: '5' })
      await lease.revoke()
      await following.until('the end', () => following.entry(key) === undefined)
    })

    it('is found by them, at the name that their resolvers watch', async () => {
      await ours.register(api('i1', { scheme: 'grpc', version: '2.0.0', tags: ['canary'] }), { ttl: 30_000 })
      await ours.register(api('i2', { namespace: 'shop', address: '::1' }))
      const found = await raw.getAll().prefix(at('')).strings()
      expect(Object.keys(found)).toEqual([at('i1')])
      const { Op, Addr, Metadata, ...rest } = JSON.parse(found[at('i1')]!)
      expect({ Op, Addr, rest }).toEqual({ Op: 0, Addr: '10.0.0.1:8080', rest: {} })
      // Anything but a string (or null) makes gRPC in Go panic.
      expect(Metadata).toEqual(expect.any(String))
      expect(JSON.parse(Metadata)).toEqual({
        seamark: {
          scheme: 'grpc',
          version: '2.0.0',
          weight: 1,
          tags: ['canary'],
          metadata: {},
          checks: [],
          lease: expect.stringMatching(/^[\w-]{43}$/),
        },
      })
      expect(JSON.parse((await raw.get(`${prefix}/shop/api/i2`).string())!)).toMatchObject({
        Addr: '[::1]:8080',
      })
      const [seen] = (await entries(await open('?format=grpc'))).values()
      expect(seen?.instance).toEqual(api('i1', { scheme: 'grpc', version: '2.0.0', tags: ['canary'] }))
    })

    it('watches, maintains and removes theirs as its own, and leaves their lease to them', async () => {
      const lease = raw.lease(30, { autoKeepAlive: false })
      for (const id of ['a', 'b'])
        await lease.put(at(id)).value(JSON.stringify({ Op: 0, Addr: `10.0.0.1:80`, Metadata: null }))
      await using following = follower(ours, [service])
      const key = { ...service, id: 'a' }
      await following.reached(await ours.report(key, [{ id: 'maintenance', status: 'maintenance' }]))
      expect(following.entry(key)?.health.status).toBe('maintenance')
      expect(await ours.deregister(key)).toBeDefined()
      expect(await leases()).toContain(await lease.grant())
      const mine = await ours.register(api('b'))
      expect(await leases()).toContain(await lease.grant())
      await lease.revoke()
      expect([...(await entries(ours)).keys()]).toEqual(['b'])
      await mine.renew()
    })

    it('is lost to its owner once another program took its name', async () => {
      for (const options of [{}, { ttl: 30_000 }]) {
        const lease = await ours.register(api('i1'), options)
        await raw.put(at('i1')).value('{"Op":0,"Addr":"10.0.0.9:80","Metadata":null}')
        await expect(lease.renew()).rejects.toMatchObject({ code: 'lease_lost' })
        expect((await entries(ours)).get('i1')?.instance.address).toBe('10.0.0.9')
      }
    })

    it('shows everything of a prefix, and of no prefix everything that is an endpoint', async () => {
      await raw.put(`${prefix}/other/thing`).value('not JSON')
      await raw.put(`${prefix}/lonely`).value('not an endpoint')
      await ours.register(api('i1'))
      await ours.register(api('i2', { namespace: 'shop', service: 'web' }))
      const without = await etcd(`${server.url}?format=grpc`)
      opened.push(without)
      for (const [source, namespaces] of [
        [ours, ['default', 'shop']],
        [without, [prefix, `${prefix}/shop`]],
      ] as const) {
        const controller = new AbortController()
        for await (const { changes } of source.watchAll(controller.signal)) {
          const [reset] = changes
          const found = reset?.type === 'reset' ? reset.entries.map((entry) => entry.instance.namespace) : []
          expect(found.filter((name) => namespaces.some((known) => known === name)).toSorted()).toEqual(
            namespaces,
          )
          break
        }
      }
    })
  })

  it('holds up a crowd, and loses none of it', async () => {
    const ids = Array.from({ length: 2_000 }, (_, n) => `i${n}`)
    const registered = await Promise.all(ids.map((id) => engine.register(api(id), { ttl: 60_000 })))
    expect((await entries(engine)).size).toBe(ids.length)
    expect(await engine.renew(registered.map(({ token }) => token))).toEqual(ids.map(() => true))
  }, 60_000)
})
