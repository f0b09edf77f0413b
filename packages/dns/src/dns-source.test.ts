import { type Follower, follower } from '@seamark/conformance'
import { type Engine, type Notice, type Source, systemClock, watchingCatalog } from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type DnsServer, dnsServer } from '../../../test/servers/dns.ts'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { scriptedServer } from '../test/scripted-server.ts'
import { type DnsSourceOptions, dnsSource, open } from './dns-source.ts'
import { Resolver } from './resolver.ts'

const app2 = { namespace: 'test.shop', service: 'app2' }

engineTests('dns', () => {
  let server: DnsServer
  beforeAll(async () => {
    server = await dnsServer()
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  function source(options: DnsSourceOptions = {}): Source {
    return dnsSource([`127.0.0.1:${server.port}`], { name: 'local', minTtl: 20, ...options })
  }

  /** What a service has at present, as `id weight`. */
  async function found(opened: Source, service = app2): Promise<readonly string[]> {
    await using following = follower(opened, [service])
    await following.until('the first batch', () => true)
    return shown(following)
  }

  function shown({ entries }: Follower): readonly string[] {
    return [...entries.values()].map(({ instance }) => `${instance.id} ${instance.weight}`).sort()
  }

  describe('what it finds', () => {
    test('services of AWS Cloud Map and Copilot, by A and SRV records of the same name', async () => {
      await server.configure([
        'local=/local/',
        'host-record=app2.test.shop.local,10.0.0.1',
        'host-record=app2.test.shop.local,10.0.0.2',
        'srv-host=app2.test.shop.local,one.app2.test.shop.local,8080,1,1',
        'srv-host=app2.test.shop.local,two.app2.test.shop.local,8081,1,1',
        'host-record=one.app2.test.shop.local,10.0.0.1',
        'host-record=two.app2.test.shop.local,10.0.0.2',
      ])
      await using opened = await open(`dns://127.0.0.1:${server.port}/local`)
      expect(await found(opened)).toEqual(['10.0.0.1:8080 1', '10.0.0.2:8081 1'])
      await using following = follower(opened, [app2])
      await following.until('them', ({ entries }) => entries.size === 2)
      expect(following.entry({ ...app2, id: '10.0.0.1:8080' })).toMatchObject({
        instance: { address: '10.0.0.1', port: 8080, scheme: 'http', tags: [], checks: [] },
        health: { status: 'passing' },
      })
    })

    test('headless services of Kubernetes, by the SRV records of a named port', async () => {
      await server.configure([
        'local=/cluster.local/',
        'srv-host=_http._tcp.web.shop.svc.cluster.local,web-0.web.shop.svc.cluster.local,8080,0,50',
        'srv-host=_http._tcp.web.shop.svc.cluster.local,web-1.web.shop.svc.cluster.local,8080,0,50',
        'host-record=web-0.web.shop.svc.cluster.local,10.1.0.1',
        'host-record=web-1.web.shop.svc.cluster.local,10.1.0.2',
      ])
      const web = { namespace: 'shop', service: 'web' }
      await using opened = await open(
        `dns://127.0.0.1:${server.port}/{service}.{namespace}.svc.cluster.local?srv=_http._tcp`,
      )
      expect(await found(opened, web)).toEqual(['10.1.0.1:8080 50', '10.1.0.2:8080 50'])
    })

    test('headless services of Kubernetes, by an A record per ready endpoint and a port that is known', async () => {
      await server.configure([
        'local=/cluster.local/',
        'host-record=web.shop.svc.cluster.local,10.1.0.1',
        'host-record=web.shop.svc.cluster.local,10.1.0.2',
      ])
      const web = { namespace: 'shop', service: 'web' }
      await using opened = await open(`dns://127.0.0.1:${server.port}/svc.cluster.local?port=8080`)
      expect(await found(opened, web)).toEqual(['10.1.0.1:8080 1', '10.1.0.2:8080 1'])
    })

    test('services of Consul, with their weights', async () => {
      await server.configure([
        'local=/consul/',
        'srv-host=web.service.consul,0a000001.addr.dc1.consul,8080,1,10',
        'srv-host=web.service.consul,0a000002.addr.dc1.consul,8080,1,1',
        'host-record=0a000001.addr.dc1.consul,10.0.0.1',
        'host-record=0a000002.addr.dc1.consul,10.0.0.2',
      ])
      await using opened = source({ name: '{service}.service.consul' })
      const web = { namespace: 'default', service: 'web' }
      expect(await found(opened, web)).toEqual(['10.0.0.1:8080 10', '10.0.0.2:8080 1'])
    })

    test.each([
      [{}, '10.0.0.1:80 1'],
      [{ scheme: 'https' }, '10.0.0.1:443 1'],
      [{ scheme: 'grpc', port: 50_051 }, '10.0.0.1:50051 1'],
      [{ scheme: 'grpc' }, undefined],
    ])(
      'addresses without SRV records at the port that is given, or that the scheme has: %o',
      async (options, expected) => {
        await server.configure(['local=/local/', 'host-record=app2.test.shop.local,10.0.0.1'])
        await using opened = source(options)
        expect(await found(opened)).toEqual(expected === undefined ? [] : [expected])
      },
    )

    test('IPv6 addresses, where there is no IPv4', async () => {
      await server.configure([
        'local=/local/',
        'host-record=app2.test.shop.local,fd00::1',
        'host-record=both.test.shop.local,10.0.0.1,fd00::1',
        'srv-host=srv.test.shop.local,app2.test.shop.local,8080',
        'srv-host=srv.test.shop.local,both.test.shop.local,8080',
      ])
      await using opened = source()
      expect(await found(opened)).toEqual(['[fd00::1]:80 1'])
      expect(await found(opened, { ...app2, service: 'both' })).toEqual(['10.0.0.1:80 1'])
      expect(await found(opened, { ...app2, service: 'srv' })).toEqual([
        '10.0.0.1:8080 0',
        '[fd00::1]:8080 0',
      ])
    })

    test('what aliases lead to', async () => {
      await server.configure([
        'local=/local/',
        'cname=app2.test.shop.local,next.local',
        'cname=next.local,last.local',
        'host-record=last.local,10.0.0.1',
        'srv-host=srv.test.shop.local,app2.test.shop.local,8080,0,1',
      ])
      await using opened = source()
      expect(await found(opened)).toEqual(['10.0.0.1:80 1'])
      expect(await found(opened, { ...app2, service: 'srv' })).toEqual(['10.0.0.1:8080 1'])
    })

    test('answers that do not fit into a datagram', async () => {
      const numbers = Array.from({ length: 250 }, (_, index) => index + 1)
      await server.configure([
        'local=/local/',
        ...numbers.map((n) => `host-record=app2.test.shop.local,10.0.0.${n}`),
        ...numbers.map(
          (n) => `srv-host=srv.test.shop.local,host-with-a-long-name-${n}.test.shop.local,8080,0,1`,
        ),
        ...numbers.map((n) => `host-record=host-with-a-long-name-${n}.test.shop.local,10.0.1.${n}`),
      ])
      await using opened = source()
      expect(await found(opened)).toHaveLength(250)
      expect(await found(opened, { ...app2, service: 'srv' })).toEqual(
        numbers.map((n) => `10.0.1.${n}:8080 1`).sort(),
      )
    })

    test('only the records of the lowest priority number that lead anywhere', async () => {
      await server.configure([
        'local=/local/',
        'srv-host=app2.test.shop.local,gone.test.shop.local,8080,0,1',
        'srv-host=app2.test.shop.local,second.test.shop.local,8080,10,1',
        'srv-host=app2.test.shop.local,third.test.shop.local,8080,20,1',
        'host-record=second.test.shop.local,10.0.0.2',
        'host-record=third.test.shop.local,10.0.0.3',
      ])
      const notices: Notice[] = []
      await using opened = source({ notify: (notice) => notices.push(notice) })
      expect(await found(opened)).toEqual(['10.0.0.2:8080 1'])
      expect(notices).toMatchObject([{ event: 'record_skipped', details: { ...app2 } }])
    })

    test('nothing where DNS knows no such name, or no record of a kind that counts', async () => {
      await server.configure(['local=/local/', 'txt-record=text.test.shop.local,hello'])
      await using opened = source()
      expect(await found(opened)).toEqual([])
      expect(await found(opened, { ...app2, service: 'text' })).toEqual([])
      expect(await found(opened, { ...app2, service: 'no name of DNS' })).toEqual([])
    })
  })

  describe('how it follows changes', () => {
    const zone = (...hosts: readonly number[]) => [
      'local=/local/',
      ...hosts.map((n) => `host-record=app2.test.shop.local,10.0.0.${n}`),
    ]

    test('tells what came, what went and what changed, and nothing while nothing does', async () => {
      const clock = fakeClock()
      const srv = (weight: number, ...hosts: readonly number[]) => [
        'local=/local/',
        ...hosts.map((n) => `srv-host=app2.test.shop.local,h${n}.local,8080,0,${weight}`),
        ...[1, 2, 3].map((n) => `host-record=h${n}.local,10.0.0.${n}`),
      ]
      await server.configure(srv(1, 1, 2))
      await using opened = source({ clock, minTtl: 1_000 })
      await using following = follower(opened, [app2])
      await following.until('the reset', () => true)
      await server.configure(srv(1, 2, 3))
      await passing(clock, () => following.batches.length === 2)
      expect(following.batches[1]!.changes).toMatchObject([
        { type: 'delete', key: { ...app2, id: '10.0.0.1:8080' } },
        { type: 'put', entry: { instance: { id: '10.0.0.3:8080' } } },
      ])
      const before = following.entry({ ...app2, id: '10.0.0.2:8080' })!
      await server.configure(srv(5, 2, 3))
      await passing(clock, () => following.batches.length === 3)
      const after = following.entry({ ...app2, id: '10.0.0.2:8080' })!
      expect(after.createdRevision).toBe(before.createdRevision)
      expect(after.modifiedRevision).toBeGreaterThan(before.modifiedRevision)
      await server.configure(['log-queries', ...srv(5, 3, 2)])
      await passing(clock, () => server.log.split('query[SRV] app2.test.shop.local').length > 3)
      expect(following.batches).toHaveLength(3)
    })

    test('keeps what it knows while no server answers, and says so', async () => {
      await server.configure(zone(1, 2))
      const notices: string[] = []
      await using opened = source({ timeout: 200 })
      await using catalog = watchingCatalog(opened, { notify: ({ event }) => notices.push(event) })
      expect((await catalog.ready(app2)).entries).toHaveLength(2)
      server.pause()
      await until(() => catalog.staleSince !== undefined)
      expect(catalog.snapshot(app2).entries).toHaveLength(2)
      server.resume()
      await until(() => catalog.staleSince === undefined)
      await server.stop()
      await until(() => catalog.staleSince !== undefined)
      expect(catalog.snapshot(app2).entries).toHaveLength(2)
      await server.configure(zone(2, 3))
      await until(() => catalog.staleSince === undefined)
      expect(catalog.snapshot(app2).entries.map(({ instance }) => instance.address)).toEqual([
        '10.0.0.2',
        '10.0.0.3',
      ])
      expect(new Set(notices)).toEqual(new Set(['source_lost', 'source_regained']))
    })

    test('takes the next server when one is gone', async () => {
      await using other = await dnsServer(zone(1))
      await server.configure(zone(1))
      await using opened = dnsSource([`127.0.0.1:${server.port}`, `127.0.0.1:${other.port}`], {
        name: 'local',
        minTtl: 20,
      })
      await using following = follower(opened, [app2])
      await following.until('the reset', () => true)
      await server.stop()
      await other.configure(zone(1, 2))
      await following.until('the change', ({ entries }) => entries.size === 2)
      await server.start()
    })

    test('reads the answer that came while the process was busy with something else', async () => {
      await server.configure(zone(1))
      const resolver = new Resolver([{ host: '127.0.0.1', port: server.port }], {
        clock: systemClock,
        timeout: 500,
      })
      server.pause()
      const resolving = resolver.resolve('app2.test.shop.local', 'A', new AbortController().signal)
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
      server.resume()
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000)
      expect((await resolving).addresses).toEqual(['10.0.0.1'])
    })

    test.each([
      ['refuses', false, 'it says REFUSED'],
      ['fails', true, 'it says SERVFAIL'],
    ])(
      'is unavailable where the server %s, and does not say that there is none',
      async (_, forwards, problem) => {
        await using failing = await scriptedServer((asked) => asked.answer({ code: 2 }))
        await server.configure(forwards ? [`server=/local/127.0.0.1#${failing.port}`] : [])
        await using opened = source()
        const reading = opened.watch([app2], new AbortController().signal)[Symbol.asyncIterator]()
        await expect(reading.next()).rejects.toMatchObject({
          code: 'engine_unavailable',
          message: `DNS does not answer for app2.test.shop.local SRV (127.0.0.1:${server.port}: ${problem}).`,
        })
      },
    )
  })

  test('is a source and no engine: a server over it does not compile', async () => {
    await using opened = source()
    // @ts-expect-error: it has no way to write.
    const engine: Engine = opened
    expect(engine).not.toHaveProperty('register')
    expect(opened.freshness).toBe(60_000)
  })
})

/** Lets a clock pass until a condition holds. */
async function passing(clock: ReturnType<typeof fakeClock>, holds: () => boolean): Promise<void> {
  while (!holds()) {
    await clock.advance(250)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise<void>((resolve) => void systemClock.after(5, resolve))
}
