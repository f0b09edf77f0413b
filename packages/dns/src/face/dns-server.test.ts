import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { catalog, type Directory, instance, isSeamarkError, memory } from '@seamark/core'
import { dnsServer, dnsSource } from '@seamark/dns'
import { describe, expect, it } from 'vitest'
import { overUdp, question, said, served } from '../../test/face.ts'

describe('a DNS server', () => {
  it('is understood by Node.js, which asks with c-ares', async () => {
    await using face = await served({ serviceTtl: { api: '10s' } })
    for (let n = 1; n <= 20; n++)
      await face.put({ service: 'api', id: `api-${n}`, address: `10.0.0.${n}`, port: 3000 + n, weight: n })
    await face.put({ service: 'six', address: '2001:db8::1' })
    await face.put({ service: 'ext', address: 'example.com' })
    await face.put({
      namespace: 'seamark',
      service: 'node',
      id: 'web',
      address: '10.0.0.1',
      metadata: { os: 'linux' },
    })
    const resolver = new Resolver({ timeout: 2_000, tries: 2 })
    resolver.setServers([`127.0.0.1:${face.port}`])
    expect(await resolver.resolve4('api.service.consul', { ttl: true })).toHaveLength(20)
    expect((await resolver.resolve4('api.default.seamark', { ttl: true }))[0]).toMatchObject({ ttl: 10 })
    expect(await resolver.resolveSrv('_api._tcp.service.consul')).toContainEqual({
      name: '0a000007.addr.dc1.consul',
      port: 3007,
      priority: 1,
      weight: 7,
    })
    expect(await resolver.resolve6('six.service.consul')).toEqual(['2001:db8::1'])
    expect(await resolver.resolveCname('ext.service.consul')).toEqual(['example.com'])
    expect(await resolver.resolveTxt('web.node.consul')).toEqual([['os=linux']])
    expect(await resolver.reverse('10.0.0.1')).toEqual(['web.node.dc1.consul'])
    expect(await resolver.resolveNs('consul')).toEqual(['ns.consul'])
    expect(await resolver.resolveSoa('consul')).toMatchObject({ nsname: 'ns.consul', minttl: 1 })
    await expect(resolver.resolve4('nobody.service.consul')).rejects.toMatchObject({ code: 'ENOTFOUND' })
    await expect(resolver.resolve6('api.service.consul')).rejects.toMatchObject({ code: 'ENODATA' })
    await expect(resolver.resolve4('example.com')).rejects.toMatchObject({ code: 'EREFUSED' })
  })

  it('is a registry that others may read with our own source', async () => {
    await using face = await served()
    for (let n = 1; n <= 100; n++)
      await face.put({
        namespace: 'test.shop',
        service: 'app2',
        id: `a-${n}`,
        address: `10.0.0.${n}`,
        port: 3000 + n,
        weight: n,
      })
    await using source = dnsSource([`127.0.0.1:${face.port}`], { name: 'seamark' })
    const stop = new AbortController()
    for await (const { changes } of source.watch(
      [{ namespace: 'test.shop', service: 'app2' }],
      stop.signal,
    )) {
      const [reset] = changes
      if (reset?.type !== 'reset') throw new Error('The first change is a reset.')
      expect(reset.entries).toHaveLength(100)
      expect(reset.entries.find(({ instance }) => instance.port === 3042)?.instance).toMatchObject({
        address: '10.0.0.42',
        weight: 42,
      })
      stop.abort()
    }
  })

  it('says SERVFAIL until it knows what is registered', async () => {
    const engine = memory()
    let begin = () => {}
    const begun = new Promise<void>((resolve) => {
      begin = resolve
    })
    const slow: Directory = {
      freshness: 'push',
      watch: (services, signal) => engine.watch(services, signal),
      async *watchAll(signal) {
        await begun
        yield* engine.watchAll(signal)
      },
      [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
    }
    const replica = catalog(slow)
    await using face = await served({ catalog: replica })
    for (const name of ['api.service.consul', 'consul', 'api.default.seamark', '1.0.0.10.in-addr.arpa'])
      expect(await face.ask(name)).toMatchObject({ code: 'SERVFAIL', answers: [], authorities: [] })
    expect((await face.ask('example.com')).code).toBe('REFUSED')
    begin()
    await replica.warm()
    await expect.poll(async () => (await face.ask('api.service.consul')).code).toBe('NXDOMAIN')
  })

  it('goes on with what was known while the registry is away', async () => {
    const engine = memory()
    const away = new AbortController()
    const broken: Directory = {
      freshness: 'push',
      watch: (services, signal) => engine.watch(services, signal),
      async *watchAll(signal) {
        if (away.signal.aborted) throw new Error('away')
        yield* engine.watchAll(AbortSignal.any([signal, away.signal]))
      },
      [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
    }
    const replica = catalog(broken)
    await using face = await served({ catalog: replica })
    const key = { namespace: 'default', service: 'api', id: 'api' }
    await engine.register(instance({ ...key, address: '10.0.0.1', port: 80 }))
    await expect.poll(async () => (await face.ask('api.service.consul')).answers).toEqual(['10.0.0.1'])
    away.abort()
    await expect.poll(() => replica.staleSince).toBeDefined()
    expect((await face.ask('api.service.consul')).answers).toEqual(['10.0.0.1'])
    await engine[Symbol.asyncDispose]()
  })

  it('listens on IPv6', async () => {
    await using face = await served({ host: '::1' })
    await face.put({ service: 'api', address: '10.0.0.1' })
    expect(face.server.address).toBe('::1')
    for (const transport of ['udp', 'tcp'] as const)
      expect((await face.ask('api.service.consul', 'A', { transport })).answers).toEqual(['10.0.0.1'])
    expect((await face.ask('ns.consul', 'AAAA')).answers).toEqual(['::1'])
  })

  it('listens everywhere, and then names no address of its own', async () => {
    await using face = await served({ host: '0.0.0.0' })
    expect(said(await overUdp('127.0.0.1', face.port, question('consul', 'NS')))).toMatchObject({
      answers: ['ns.consul'],
      extras: [],
    })
    expect(said(await overUdp('127.0.0.1', face.port, question('ns.consul')))).toMatchObject({
      code: 'NOERROR',
      answers: [],
    })
  })

  it('takes the address of a host by its name', async () => {
    await using face = await served({ host: 'localhost' })
    expect(['127.0.0.1', '::1']).toContain(face.server.address)
    expect((await face.ask('consul', 'SOA')).code).toBe('NOERROR')
  })

  it('says so where another process listens', async () => {
    await using face = await served()
    const error = await dnsServer({ catalog: face.catalog, port: face.port }).catch((error: unknown) => error)
    expect(isSeamarkError(error, 'configuration')).toBe(true)
    expect((error as Error).message).toBe(
      `DNS cannot listen on 127.0.0.1:${face.port}: another process listens there.`,
    )
  })

  it('says so where another process listens for datagrams alone', async () => {
    const other = createSocket('udp4')
    other.bind(0, '127.0.0.1')
    await once(other, 'listening')
    await using engine = memory()
    await using replica = catalog(engine)
    const { port } = other.address()
    await expect(dnsServer({ catalog: replica, port })).rejects.toThrow(
      `127.0.0.1:${port}: another process listens there.`,
    )
    other.close()
  })

  it('is gone once it is disposed of, and a second time says nothing', async () => {
    await using face = await served()
    await face.server[Symbol.asyncDispose]()
    await face.server[Symbol.asyncDispose]()
    await using other = await dnsServer({ catalog: face.catalog, port: face.port })
    expect(other.port).toBe(face.port)
  })

  it.each([
    [{ domain: '' }, /"" is no domain/],
    [{ domain: '.' }, /is no domain/],
    [{ domain: 'a..b' }, /is no domain/],
    [{ domain: `${'x'.repeat(64)}.` }, /is no domain/],
    [{ altDomain: 'Consul' }, /"consul\." is there twice/],
    [{ namespaceDomains: ['a.', 'A'] }, /"a\." is there twice/],
    [{ namespaceDomains: ['in-addr.arpa'] }, /is there twice/],
    [{ datacenter: 'eu.west' }, /The datacenter "eu.west" is no label/],
    [{ recursors: ['dns.example'] }, /"dns.example" is no recursor/],
    [{ recursors: ['10.0.0.1:99999'] }, /is no DNS server/],
    [{ udpAnswerLimit: 0 }, /udpAnswerLimit must be a whole number from 1/],
    [{ aRecordLimit: -1 }, /aRecordLimit must be/],
    [{ port: 65_536 }, /port must be a whole number from 0 to 65535/],
    [{ responseRate: 0.5 }, /responseRate must be/],
    [{ responseRateExempt: ['10.0.0.0/33'] }, /"10.0.0.0\/33" is no network/],
    [{ responseRateExempt: ['everybody'] }, /is no network/],
    [{ serviceTtl: { api: '10 years' } }, /serviceTtl\/api must be/],
    [{ nodeTtl: -1 }, /nodeTtl must be/],
    [{ bounds: { datagramBytes: 65_000 } }, /datagramBytes must be from 512 to 4096/],
    [{ bounds: { connections: 0 } }, /bounds.connections must be/],
    [{ bounds: { conections: 1 } }, /bounds.conections is none of the bounds/],
  ])('refuses what it cannot do: %j', async (options, message) => {
    await using engine = memory()
    await using replica = catalog(engine)
    const error = await dnsServer({ catalog: replica, port: 0, ...(options as object) }).catch(
      (error: unknown) => error,
    )
    expect(isSeamarkError(error, 'configuration')).toBe(true)
    expect((error as Error).message).toMatch(message)
  })
})
