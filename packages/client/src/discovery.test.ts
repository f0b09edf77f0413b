import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Engine, instance, memory, type Notice } from '@seamark/core'
import { type Server, server } from '@seamark/server'
import { afterEach, describe, expect, test } from 'vitest'
import { type ConnectOptions, connect } from './connect.ts'
import type { Discovery } from './discovery.ts'

const open: AsyncDisposable[] = []

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]()
})

function disposed<T extends AsyncDisposable>(one: T): T {
  open.push(one)
  return one
}

async function registry(port = 0, engine: Engine = disposed(memory())): Promise<Server> {
  return disposed(await server({ engine, engineName: 'memory', port }))
}

function discovery(url: string, options: ConnectOptions = {}): Discovery {
  return disposed(connect(url, { notify: () => {}, ...options }))
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A service that answers with its name. */
async function service(name: string, port = 0): Promise<{ port: number; stop(): Promise<void> }> {
  const server: HttpServer = createServer((request, response) => {
    response.end(`${name} ${request.method} ${request.url}`)
  }).listen(port, '127.0.0.1')
  await once(server, 'listening')
  const stop = async () => {
    if (!server.listening) return
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }
  open.push({ [Symbol.asyncDispose]: stop })
  return { port: (server.address() as AddressInfo).port, stop }
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5))
}

function ids(found: Discovery, name = 'api'): string[] {
  return found.service(name).snapshot.entries.map(({ instance }) => instance.id)
}

const api = { name: 'api', port: 3000, drain: 0 }

describe('finding', () => {
  test('gives a healthy instance with its origin', async () => {
    const { url } = await registry()
    const client = discovery(url)
    await client.announce({
      ...api,
      id: 'i1',
      version: '2.1.0',
      tags: ['blue'],
      metadata: { team: 'checkout' },
    })
    expect(
      await client.find('api', { version: '^2', tags: ['blue'], metadata: { team: 'checkout' } }),
    ).toMatchObject({
      name: 'api',
      id: 'i1',
      address: '127.0.0.1',
      port: 3000,
      tags: ['blue'],
      origin: 'http://127.0.0.1:3000',
      health: 'passing',
      version: '2.1.0',
    })
  })

  test('is synchronous once warm, and the same object while nothing changes', async () => {
    const { url } = await registry()
    const client = discovery(url)
    await client.announce({ ...api, id: 'i1' })
    const found = await client.find('api')
    expect(client.service('api')).toBe(client.service('default/api'))
    expect(client.service('api').pick()).toBe(found)
    expect(client.service('api').pick({ tags: ['none'] })).toBeUndefined()
  })

  test('takes another namespace from the name', async () => {
    const { url } = await registry()
    const client = discovery(url, { namespace: 'test.shop' })
    await client.announce({ ...api, id: 'i1' })
    await client.announce({ ...api, id: 'i2', namespace: 'default' })
    expect((await client.find('api')).id).toBe('i1')
    expect((await client.find('default/api')).id).toBe('i2')
    expect((await client.find('test.shop/api')).namespace).toBe('test.shop')
  })

  test('spreads over the instances by their weights', async () => {
    const { url } = await registry()
    const client = discovery(url)
    await client.announce({ ...api, id: 'light', weight: 1 })
    await client.announce({ ...api, id: 'heavy', weight: 3 })
    await client.announce({ ...api, id: 'none', weight: 0 })
    await until(() => ids(client).length === 3)
    const counts: Record<string, number> = { light: 0, heavy: 0, none: 0 }
    for (let n = 0; n < 20_000; n++) counts[client.service('api').pick()!.id]!++
    expect(counts.none).toBe(0)
    expect(counts.heavy! / counts.light!).toBeGreaterThan(2.5)
    expect(counts.heavy! / counts.light!).toBeLessThan(3.5)
  })

  test('passes over the unhealthy, unless they are asked for', async () => {
    const { url } = await registry()
    const client = discovery(url)
    await client.announce({ ...api, id: 'well' })
    await client.announce({
      ...api,
      id: 'ill',
      checks: [{ type: 'tcp', target: '127.0.0.1:1', interval: 60_000 }],
    })
    await until(() => ids(client).length === 2)
    expect((await client.findAll('api')).map(({ id }) => id)).toEqual(['well'])
    expect((await client.findAll('api', { health: ['critical'] })).map(({ id }) => id)).toEqual(['ill'])
    expect(await client.findAll('api', { version: '^9' })).toEqual([])
  })

  test('says what there is when nobody fits', async () => {
    const { url } = await registry()
    const client = discovery(url)
    await expect(client.find('api')).rejects.toMatchObject({
      code: 'service_not_found',
      message: 'No instance of api is registered.',
    })
    await client.announce({ ...api, id: 'i1', version: '1.0.0' })
    await until(() => ids(client).length === 1)
    await expect(client.find('api', { version: '^2' })).rejects.toMatchObject({
      code: 'no_match',
      message:
        'No instance of api is healthy and fits version ^2. 1 instance exists: 1 passing; versions 1.0.0.',
    })
  })

  test.each([
    'Api',
    'api/',
    '/api',
    'a/b/c',
    '',
    'api_1',
    '-api',
    'ä',
    'UPPER.shop/api',
    undefined as unknown as string,
  ])('refuses the name "%s"', async (name) => {
    const client = discovery('memory:')
    await expect(client.find(name)).rejects.toMatchObject({ code: 'invalid_field' })
    expect(() => client.service(name)).toThrow(expect.objectContaining({ code: 'invalid_field' }))
  })

  test('refuses a version that is no range', async () => {
    const client = discovery('memory:')
    await expect(client.find('api', { version: 'newest' })).rejects.toMatchObject({
      code: 'invalid_field',
      field: 'version',
    })
  })

  test('shares one wait among all who ask while it starts, and one connection among all services', async () => {
    const port = await freePort()
    const client = discovery(`http://127.0.0.1:${port}`, { wait: '20s' })
    const finds = Promise.allSettled(Array.from({ length: 200 }, (_, n) => client.find(`service-${n % 20}`)))
    const running = await registry(port)
    const writer = discovery(running.url)
    for (let n = 0; n < 20; n++) await writer.announce({ ...api, name: `service-${n}` })
    // Those who came before the instances were told so at once; nobody waited in vain.
    for (const result of await finds)
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'service_not_found' })
    const found = await Promise.all(Array.from({ length: 20 }, (_, n) => client.waitFor(`service-${n}`)))
    expect(found).toHaveLength(20)
    await until(async () => {
      const metrics = await (await fetch(`${running.url}/metrics`)).text()
      return metrics.includes('\nseamark_watch_streams 1\n')
    })
  })

  test('says so when the registry was never reached and nothing is on disk', async () => {
    const client = discovery(`http://127.0.0.1:${await freePort()}`, { wait: 2_000 })
    const error = await client.find('api').catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'engine_unavailable' })
    expect(error.message).toMatch(/not reached within 2000 ms.*ECONNREFUSED/)
    expect(error.cause).toMatchObject({ code: 'engine_unavailable' })
  })

  test('says what is wrong with the URL of an engine that is not installed', async () => {
    const client = discovery('nonesuch://host', { wait: 200 })
    const error = await client.find('api').catch((thrown) => thrown)
    expect(error.message).toContain('npm install @seamark/nonesuch')
    await expect(client.announce(api)).rejects.toMatchObject({ code: 'configuration' })
  })

  test('works on an engine inside the process', async () => {
    const client = discovery('memory:')
    const announcement = await client.announce({ ...api, id: 'i1' })
    expect((await client.find('api')).address).toBe('127.0.0.1')
    await announcement.close()
    await until(() => ids(client).length === 0)
  })

  test('is over once the discovery is closed', async () => {
    const client = discovery('memory:')
    await client.announce(api)
    await client.find('api')
    await client.close()
    await expect(client.find('api')).rejects.toMatchObject({ code: 'closed' })
    await expect(client.find('www')).rejects.toMatchObject({ code: 'closed' })
    await expect(client.announce(api)).rejects.toMatchObject({ code: 'closed' })
  })
})

describe('waiting for a service', () => {
  test('ends with the first instance that fits', async () => {
    const { url } = await registry()
    const client = discovery(url)
    const waiting = client.waitFor('api', { version: '^2' })
    await client.announce({ ...api, id: 'old', version: '1.0.0' })
    await client.announce({ ...api, id: 'new', version: '2.0.0' })
    expect((await waiting).id).toBe('new')
  })

  test('ends after its time, saying what there is', async () => {
    const client = discovery('memory:')
    await client.announce({ ...api, version: '1.0.0' })
    await expect(client.waitFor('api', { version: '^2', timeout: '50ms' })).rejects.toMatchObject({
      code: 'timeout',
      message: expect.stringContaining('versions 1.0.0'),
    })
  })

  test('ends with the reason of its signal', async () => {
    const client = discovery('memory:')
    const controller = new AbortController()
    const waiting = client.waitFor('api', { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await expect(client.waitFor('api', { signal: controller.signal })).rejects.toThrow('enough')
  })

  test('ends when the discovery is closed', async () => {
    const client = discovery('memory:')
    const waiting = client.waitFor('api')
    void client.close()
    await expect(waiting).rejects.toMatchObject({ code: 'closed' })
  })
})

describe('a watch', () => {
  test('gives the present, then the latest after each change, and ends with its signal', async () => {
    const { url } = await registry()
    const client = discovery(url)
    const controller = new AbortController()
    const snapshots = client.watch('api', { signal: controller.signal })[Symbol.asyncIterator]()
    expect((await snapshots.next()).value.entries).toEqual([])
    for (let n = 0; n < 10; n++) await client.announce({ ...api, id: `i${n}` })
    await until(() => ids(client).length === 10)
    // Nobody read meanwhile: what comes is the last.
    expect((await snapshots.next()).value.entries).toHaveLength(10)
    const next = snapshots.next()
    controller.abort()
    expect(await next).toEqual({ done: true, value: undefined })
  })

  test('ends when the discovery is closed', async () => {
    const client = discovery('memory:')
    const seen: number[] = []
    const watching = (async () => {
      for await (const { entries } of client.watch('api')) seen.push(entries.length)
    })()
    await until(() => seen.length === 1)
    await client.close()
    await watching
  })
})

describe('without the registry, a client', () => {
  test('goes on finding, and says since when its view is stale', async () => {
    const running = await registry()
    const client = discovery(running.url)
    await client.announce({ ...api, id: 'i1' })
    await client.find('api')
    await running.close()
    await until(() => client.staleSince !== undefined)
    expect((await client.find('api')).id).toBe('i1')
    await expect(client.find('api', { zone: 'eu-1' })).rejects.toThrow(/This view is stale since \d{4}-/)
  })

  test('has everything back when it comes up empty, and never saw nothing', async () => {
    const port = await freePort()
    const first = await registry(port)
    const owners = [discovery(first.url), discovery(first.url), discovery(first.url)]
    for (const [index, owner] of owners.entries())
      await owner.announce({ ...api, id: `i${index}`, ttl: '3s' })
    const caller = discovery(first.url)
    const counts: number[] = []
    const watching = (async () => {
      for await (const { entries } of caller.watch('api')) counts.push(entries.length)
    })()
    await until(() => counts.at(-1) === 3)
    await first.close()
    const second = await registry(port)
    await until(() => second.catalog.size === 3)
    await until(() => caller.staleSince === undefined && ids(caller).length === 3)
    await caller.close()
    await watching
    expect(counts.every((count) => count > 0)).toBe(true)
  })

  test('starts with what a former one left on disk', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'seamark-cache-'))
    open.push({ [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true }) })
    const cache = join(directory, 'known.json')
    const running = await registry()
    const writer = discovery(running.url)
    await writer.announce({ ...api, id: 'i1' })
    const former = discovery(running.url, { cache })
    await former.find('api')
    await former.close()
    await running.close()

    const client = discovery(running.url, { cache, wait: '20s' })
    expect((await client.find('api')).id).toBe('i1')
    expect(client.staleSince).toBeLessThanOrEqual(Date.now())
    await expect(discovery(running.url, { cache, wait: 100 }).find('www')).rejects.toMatchObject({
      code: 'engine_unavailable',
    })
  })

  test('prefers what the registry says to what is on disk', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'seamark-cache-'))
    open.push({ [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true }) })
    const cache = join(directory, 'known.json')
    const running = await registry()
    const writer = discovery(running.url)
    const old = await writer.announce({ ...api, id: 'old' })
    const former = discovery(running.url, { cache })
    await former.find('api')
    await former.close()
    await old.close()
    await writer.announce({ ...api, id: 'new' })
    expect((await discovery(running.url, { cache }).find('api')).id).toBe('new')
  })

  test('ignores a damaged file, with a notice', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'seamark-cache-'))
    open.push({ [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true }) })
    const cache = join(directory, 'known.json')
    writeFileSync(cache, '{')
    const notices: Notice[] = []
    const { url } = await registry()
    const client = discovery(url, { cache, notify: (notice) => notices.push(notice) })
    await client.announce(api)
    expect((await client.find('api')).service).toBe('api')
    expect(notices.map(({ event }) => event)).toContain('cache_ignored')
  })

  test('announces once the registry is there', async () => {
    const port = await freePort()
    const client = discovery(`http://127.0.0.1:${port}`)
    const announcement = await client.announce({ ...api, id: 'i1', ttl: '1s' })
    expect(announcement.registered).toBe(false)
    const running = await registry(port)
    await announcement.ready()
    expect(running.catalog.size).toBe(1)
  })

  test('moves to another server over the same engine', async () => {
    const engine = disposed(memory())
    const servers = [await registry(0, engine), await registry(0, engine)]
    const client = discovery(servers.map(({ url }) => url).join())
    const announcement = await client.announce({ ...api, id: 'i1', ttl: '1s' })
    await client.find('api')
    for (const [index, gone] of servers.entries()) {
      await gone.close()
      if (index === 0) {
        // Whichever of them it was on: it finds, renews and hears news by way of the other.
        await client.announce({ ...api, id: 'i2', ttl: '1s' })
        await until(() => client.staleSince === undefined && ids(client).length === 2)
      }
    }
    await until(() => client.staleSince !== undefined)
    expect(ids(client)).toEqual(['i1', 'i2'])
    expect(announcement.instance.id).toBe('i1')
  })
})

describe('announcing', () => {
  test('gives an id and an address of its own', async () => {
    const { url } = await registry()
    const client = discovery(url)
    const one = await client.announce(api)
    const two = await client.announce(api)
    expect(one.instance.id).toMatch(/^api-[0-9a-f]{10}$/)
    expect(one.instance.id).not.toBe(two.instance.id)
    expect(one.instance.address).toBe('127.0.0.1')
    expect(one.instance.scheme).toBe('http')
  })

  test('has no view that could be stale', async () => {
    const client = discovery('memory:')
    await client.announce({ name: 'api', port: 3000, drain: 0 })
    expect(client.staleSince).toBeUndefined()
  })

  test('takes the address from SEAMARK_ADVERTISE_ADDRESS', async () => {
    process.env.SEAMARK_ADVERTISE_ADDRESS = '192.0.2.7'
    try {
      const client = discovery('memory:')
      const { instance } = await client.announce(api)
      expect(instance.address).toBe('192.0.2.7')
      expect((await client.announce({ ...api, address: '192.0.2.8' })).instance.address).toBe('192.0.2.8')
    } finally {
      delete process.env.SEAMARK_ADVERTISE_ADDRESS
    }
  })

  test.each([
    [{ name: 'API' }, 'name'],
    [{ namespace: 'Shop' }, 'namespace'],
    [{ port: 0 }, 'port'],
    [{ port: 70_000 }, 'port'],
    [{ version: 'new' }, 'version'],
    [{ ttl: '10 seconds' }, 'ttl'],
    [{ ttl: 0 }, 'ttl'],
    [{ drain: -1 }, 'drain'],
    [{ prefer: '10.0.0.0' }, 'prefer'],
    [{ color: 'blue' }, 'color'],
    [{ checks: [{ type: 'http' as const, url: 'healthz' }] }, 'checks/0/url'],
  ])('refuses %o, naming the field, and registers nothing', async (wrong, field) => {
    const client = discovery('memory:')
    await expect(client.announce({ ...api, ...wrong })).rejects.toMatchObject({
      code: 'invalid_field',
      field,
    })
    await client.find('api').catch(() => {})
    expect(ids(client)).toEqual([])
  })

  test('refuses an id that another service has', async () => {
    const { url } = await registry()
    const client = discovery(url)
    await client.announce({ ...api, id: 'i1' })
    await expect(client.announce({ ...api, name: 'www', id: 'i1' })).rejects.toMatchObject({
      code: 'id_taken',
    })
    await client.close()
  })

  test('registers again after somebody removed it', async () => {
    const engine = disposed(memory())
    const running = await registry(0, engine)
    const client = discovery(running.url)
    const announcement = await client.announce({ ...api, id: 'i1', ttl: 600 })
    const { createdRevision } = running.catalog.entry(announcement.instance)!
    await engine.deregister(announcement.instance)
    await until(() => (running.catalog.entry(announcement.instance)?.createdRevision ?? 0) > createdRevision)
  })

  test('ends with the announcement, before its close() resolves', async () => {
    const running = await registry()
    const client = discovery(running.url)
    const announcement = await client.announce(api)
    expect(running.catalog.size).toBe(1)
    await announcement.close()
    expect(running.catalog.size).toBe(0)
    await announcement.close()
  })

  test('ends with the discovery', async () => {
    const running = await registry()
    const client = discovery(running.url)
    await client.announce(api)
    await client.announce({ ...api, name: 'www' })
    await client.close()
    expect(running.catalog.size).toBe(0)
  })
})

describe('fetching', () => {
  test('asks an instance of the service', async () => {
    const { url } = await registry()
    const client = discovery(url)
    const { port } = await service('one')
    await client.announce({ ...api, port })
    const response = await client.service('api').fetch('/path?x=1', { method: 'POST', body: 'text' })
    expect(await response.text()).toBe('one POST /path?x=1')
  })

  test('goes on with another instance when one is dead', async () => {
    const { url } = await registry()
    const client = discovery(url)
    const [alive, dead] = [await service('alive'), await service('dead')]
    await client.announce({ ...api, id: 'alive', port: alive.port })
    await client.announce({ ...api, id: 'dead', port: dead.port, ttl: 60_000 })
    await until(() => ids(client).length === 2)
    const answers = new Set<string>()
    while (answers.size < 2) answers.add(await (await client.service('api').fetch('/')).text())
    await dead.stop()
    for (let n = 0; n < 50; n++) {
      const response = await client.service('api').fetch('/', n % 2 ? { method: 'POST', body: 'x' } : {})
      expect(await response.text()).toMatch(/^alive/)
    }
  })

  test('does not repeat a request that may have had an effect', async () => {
    const { url } = await registry()
    const client = discovery(url)
    let asked = 0
    const breaking = createServer((request) => {
      asked++
      request.socket.destroy()
    }).listen(0, '127.0.0.1')
    await once(breaking, 'listening')
    const { port } = breaking.address() as AddressInfo
    for (const id of ['i1', 'i2', 'i3', 'i4']) await client.announce({ ...api, id, port })
    await until(() => ids(client).length === 4)
    await expect(client.service('api').fetch('/', { method: 'POST', body: 'x' })).rejects.toThrow(
      'fetch failed',
    )
    expect(asked).toBe(1)
    await expect(client.service('api').fetch('/')).rejects.toThrow('fetch failed')
    expect(asked).toBe(4)
    breaking.close()
  })

  test('refuses a path that could lead elsewhere, and a scheme that is not HTTP', async () => {
    const client = discovery('memory:')
    await client.announce({ ...api, scheme: 'grpc' })
    await expect(client.service('api').fetch('@evil.test/')).rejects.toMatchObject({ code: 'invalid_field' })
    await expect(client.service('api').fetch('/')).rejects.toThrow(/not served over HTTP/)
  })

  test('ends with the signal of the request, and tries nobody else', async () => {
    const client = discovery('memory:')
    const { port } = await service('one')
    await client.announce({ ...api, port })
    await expect(client.service('api').fetch('/', { signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: 'AbortError',
    })
  })
})

test('an IPv6 address stands in brackets in an origin', async () => {
  const engine = disposed(memory())
  const running = await registry(0, engine)
  await engine.register(
    instance({
      namespace: 'default',
      service: 'api',
      id: 'i1',
      address: '2001:db8::1',
      port: 80,
      scheme: 'https',
    }),
  )
  expect((await discovery(running.url).find('api')).origin).toBe('https://[2001:db8::1]:80')
})

test('says when checks are announced that nobody will run', async () => {
  const notices: Notice[] = []
  const notify = (notice: Notice) => {
    if (notice.level === 'warn') notices.push(notice)
  }
  const checked = { name: 'api', port: 3000, address: '127.0.0.1', drain: 0 } as const
  const inside = discovery('memory:', { notify })
  await inside.announce({ ...checked, checks: [{ type: 'http', url: '/healthz', initial: 'passing' }] })
  expect(notices).toEqual([])
  await inside.announce({ ...checked, checks: [{ type: 'tcp' }] })
  expect(notices).toMatchObject([{ event: 'checks_not_run', details: { checks: ['tcp'] } }])
  const { url } = await registry()
  await discovery(url, { notify }).announce({ ...checked, checks: [{ type: 'tcp' }] })
  expect(notices).toHaveLength(1)
})
