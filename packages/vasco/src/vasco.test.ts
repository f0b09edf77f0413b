import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { type Notice, SeamarkError } from '@seamark/core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type Line, line } from '../../../test/servers/line.ts'
import { type RedisServer, redisServer } from '../../../test/servers/redis.ts'
import { Original } from '../test/original.ts'
import { type Package, Vasco, type VascoOptions } from './vasco.ts'

const settled = { timeout: 20_000, interval: 10 }

engineTests('redis', () => {
  let server: RedisServer
  let original: Original
  /** Services and URLs of one test's own: all tests share a Redis. */
  let api: Package
  let service: string
  let url: string
  const vascos: Vasco[] = []

  beforeAll(async () => {
    server = await redisServer()
    original = new Original(server.port)
  })

  afterAll(async () => {
    original?.[Symbol.dispose]()
    await server?.[Symbol.asyncDispose]()
  })

  beforeEach(() => {
    const name = `api-${randomUUID()}`
    api = { name, version: '1.0.0' }
    service = `${name}@1.0.0`
    url = `10.0.0.1:${name}`
  })

  afterEach(async () => {
    for (const vasco of vascos.splice(0)) await vasco[Symbol.asyncDispose]()
  })

  function vasco(options: VascoOptions = {}): Vasco {
    const one = new Vasco({ url: () => server.url, ...options })
    vascos.push(one)
    return one
  }

  const needed = () => ({ [api.name]: api.version })
  const endpoints = () => original.redis.smembers(`endpoints.${service}`)
  const alive = (of = url) => original.redis.get(`alive.${of}`)

  /** What clients send that concerns the services of this test, from now on; transactions in one piece. */
  async function monitored(): Promise<{ commands: string[][] } & AsyncDisposable> {
    const monitor = await original.redis.monitor()
    const commands: string[][] = []
    monitor.on('monitor', (_time: string, [command = '', ...args]: string[], source: string) => {
      if (source !== 'lua' && args.join(' ').includes(api.name))
        commands.push([command.toUpperCase(), ...args])
    })
    return {
      commands,
      async [Symbol.asyncDispose]() {
        monitor.disconnect()
        await once(monitor, 'end')
      },
    }
  }

  describe('a registration', () => {
    test('writes what the original writes, in its order', async () => {
      await using monitor = await monitored()
      await original.register(url, service, 7)
      await vi.waitFor(() => expect(monitor.commands).toHaveLength(2), settled)
      const theirs = monitor.commands.splice(0)
      await vasco().register(url, { ...api, vasco: { aliveDuration: 7 } })
      await vi.waitFor(() => expect(monitor.commands).toHaveLength(2), settled)
      expect(monitor.commands).toEqual(theirs)
      expect(theirs).toEqual([
        ['SADD', `endpoints.${service}`, url],
        ['SET', `alive.${url}`, service, 'EX', '7'],
      ])
    })

    test('lasts for ten seconds unless renewed, unless it says otherwise', async () => {
      await vasco().register(url, api)
      expect(await original.redis.ttl(`alive.${url}`)).toBe(10)
      expect(await original.redis.ttl(`endpoints.${service}`)).toBe(-1)
    })

    test('is found by the original', async () => {
      await vasco().register(url, api)
      expect(await original.find(service)).toBe(url)
    })

    test('puts back what others removed', async () => {
      await vasco().register(url, { ...api, vasco: { aliveDuration: 1 } })
      await original.redis.del(`endpoints.${service}`, `alive.${url}`)
      await vi.waitFor(async () => expect(await original.find(service)).toBe(url), settled)
    })

    test('never lapses, and is always found, by both, while it is renewed', async () => {
      const owner = vasco()
      await owner.register(url, { ...api, vasco: { aliveDuration: 1 } })
      await using monitor = await monitored()
      const renewals = () => monitor.commands.filter(([command]) => command === 'SET').length
      const caller = vasco()
      while (renewals() < 9) {
        expect(await caller.findDependencies(needed())).toEqual({ [api.name]: url })
        expect(await original.find(service)).toBe(url)
      }
      expect(monitor.commands.filter(([command]) => command === 'SREM')).toEqual([])
    })

    test('registers nothing when a dependency is missing', async () => {
      const dependencies = { missing: '1.0.0', [api.name]: 'v1.0.0' }
      await original.register(url, service)
      const registering = vasco().register('10.0.0.2:80', { ...api, vasco: { dependencies } })
      await expect(registering).rejects.toMatchObject({
        message: 'No url for: missing',
        code: 'service_not_found',
        details: { missing: ['missing', api.name] },
      })
      expect(await endpoints()).toEqual([url])
      expect(await alive('10.0.0.2:80')).toBe(null)
    })

    test('gives the URLs of its dependencies', async () => {
      await original.register(url, service)
      const pkg = {
        name: `www-${api.name}`,
        version: '1',
        vasco: { dependencies: { ...needed(), auth: '3' }, mocks: { auth: 'localhost:3000', other: 'x' } },
      }
      expect(await vasco().register(`www.${url}`, pkg)).toEqual({ [api.name]: url, auth: 'localhost:3000' })
    })

    test.each<[string, string, unknown]>([
      ['Need url of service', '', { name: 'api', version: '1.0.0' }],
      ['Invalid package', 'a:1', undefined],
      ['Invalid package', 'a:1', null],
      ['Invalid package', 'a:1', { version: '1.0.0' }],
      ['Invalid package', 'a:1', { name: 'api' }],
      [
        'vasco.aliveDuration must be a whole number of seconds',
        'a:1',
        { name: 'api', version: '1', vasco: { aliveDuration: 0.5 } },
      ],
    ])('is refused with "%s" for %j and %j', async (message, url, pkg) => {
      const error = await vasco()
        .register(url, pkg as Package)
        .catch((error) => error)
      expect(error).toBeInstanceOf(SeamarkError)
      expect(error).toMatchObject({ message, code: 'invalid_field' })
    })

    test('takes its endpoint away when it ends, and what another service has put there since, stays', async () => {
      const first = vasco()
      await first.register(url, api)
      await original.register(`b.${url}`, service)
      await first[Symbol.asyncDispose]()
      expect(await endpoints()).toEqual([`b.${url}`])
      expect(await alive()).toBe(null)

      await first.register(url, api)
      await original.renew(url, 'other@1.0.0')
      await first[Symbol.asyncDispose]()
      expect(await endpoints()).toEqual([`b.${url}`])
      expect(await alive()).toBe('other@1.0.0')
      await original.redis.del(`alive.${url}`)
    })

    test('is one when made twice, and the last one of its URL', async () => {
      const owner = vasco()
      const other = { ...api, version: '2.0.0' }
      await Promise.all([owner.register(url, api), owner.register(url, api)])
      expect(await endpoints()).toEqual([url])
      await owner.register(url, other)
      expect(await endpoints()).toEqual([])
      expect(await alive()).toBe(`${api.name}@2.0.0`)
      await owner[Symbol.asyncDispose]()
      expect(await alive()).toBe(null)
      expect(await original.redis.exists(`endpoints.${api.name}@2.0.0`)).toBe(0)
    })
  })

  describe('a lookup', () => {
    test('finds what the original registered, each of several', async () => {
      await original.register(url, service)
      await original.register(`b.${url}`, service)
      const found = new Set<string | undefined>()
      const caller = vasco()
      while (found.size < 2) found.add((await caller.findDependencies(needed()))[api.name])
      expect([...found].sort()).toEqual([url, `b.${url}`])
    })

    test('takes what early releases of the original wrote for alive', async () => {
      await original.register(url, service)
      await original.redis.set(`alive.${url}`, 'true')
      expect(await vasco().findDependencies(needed())).toEqual({ [api.name]: url })
      await original.redis.del(`alive.${url}`)
    })

    test('fails when nobody is there', async () => {
      await expect(vasco().findDependencies(needed())).rejects.toThrow(`No url for: ${api.name}`)
    })

    test('fails when all are dead, and removes them', async () => {
      await original.redis.sadd(`endpoints.${service}`, url, `b.${url}`)
      await expect(vasco().findDependencies(needed())).rejects.toThrow(`No url for: ${api.name}`)
      expect(await endpoints()).toEqual([])
    })

    test('answers who is alive, and removes the dead beside it', async () => {
      await original.register(url, service)
      await original.redis.sadd(`endpoints.${service}`, `dead.${url}`)
      const caller = vasco()
      expect(await caller.findDependencies(needed())).toEqual({ [api.name]: url })
      await vi.waitFor(async () => expect(await endpoints()).toEqual([url]), settled)
    })

    test('waits for an original that is just renewing, and lets it be', async () => {
      await original.register(url, service)
      await original.redis.del(`alive.${url}`)
      await using monitor = await monitored()
      const finding = vasco().findDependencies(needed())
      // It has seen the key missing, and looks again.
      await vi.waitFor(() => expect(monitor.commands.length).toBeGreaterThan(3), settled)
      await original.renew(url, service)
      expect(await finding).toEqual({ [api.name]: url })
      expect(await endpoints()).toEqual([url])
    })

    test('never loses an original, though its key expires before each renewal', async () => {
      await original.register(url, service, 1)
      const renewing = (async () => {
        for (let times = 0; times < 3; times++) {
          await vi.waitFor(async () => expect(await alive()).toBe(null), { ...settled, interval: 1 })
          await original.renew(url, service, 1)
        }
        return 'done' as const
      })()
      const caller = vasco()
      for (let state: string | undefined; state !== 'done'; ) {
        expect(await caller.findDependencies(needed())).toEqual({ [api.name]: url })
        expect(await endpoints()).toEqual([url])
        state = await Promise.race([renewing, setImmediate(undefined)])
      }
    })

    test('neither answers nor removes a URL that is alive as another service, nor spins', async () => {
      await original.register(url, service)
      await original.renew(url, 'other@1.0.0')
      await expect(vasco().findDependencies(needed())).rejects.toThrow(`No url for: ${api.name}`)
      await original.register(`b.${url}`, service)
      for (let times = 0; times < 20; times++)
        expect(await vasco().findDependencies(needed())).toEqual({ [api.name]: `b.${url}` })
      expect((await endpoints()).sort()).toEqual([url, `b.${url}`])
      await original.redis.del(`alive.${url}`)
    })

    test('asks nobody about mocks', async () => {
      const nowhere = vasco({ url: () => 'redis://127.0.0.1:1' })
      expect(await nowhere.findDependencies({ auth: '1' }, { auth: 'localhost:3000' })).toEqual({
        auth: 'localhost:3000',
      })
      expect(await nowhere.findDependencies({})).toEqual({})
    })

    test('takes no property of all objects for a mock', async () => {
      await expect(vasco().findDependencies({ constructor: '1' }, {})).rejects.toThrow(
        'No url for: constructor',
      )
    })
  })

  describe('the connection', () => {
    let way: Line
    beforeEach(async () => {
      way = await line(server.port)
    })
    afterEach(async () => {
      for (const vasco of vascos.splice(0)) await vasco[Symbol.asyncDispose]()
      await way[Symbol.asyncDispose]()
    })

    const connections = async () =>
      String(await original.redis.client('LIST', 'TYPE', 'NORMAL'))
        .split('\n')
        .filter(Boolean).length

    test('is one, and closed when nobody needs it', async () => {
      // Those of earlier tests are about to go.
      await vi.waitFor(async () => expect(await connections()).toBe(1), settled)
      const one = vasco()
      await Promise.all([
        one.register(url, api),
        one.register(`b.${url}`, api),
        ...Array.from({ length: 20 }, () => one.findDependencies({ none: '1' }).catch(() => {})),
      ])
      expect(await connections()).toBe(2)
      await one.findDependencies(needed())
      expect(await connections()).toBe(2)
      await one[Symbol.asyncDispose]()
      await vi.waitFor(async () => expect(await connections()).toBe(1), settled)
    })

    test('that cannot be made fails the call, and the next one tries again', async () => {
      way.lead(undefined)
      const one = vasco({ url: () => `127.0.0.1:${way.port}` })
      await expect(one.register(url, api)).rejects.toMatchObject({
        code: 'engine_unavailable',
        message: expect.stringMatching(/^Redis failed: ./),
      })
      await expect(one.findDependencies(needed())).rejects.toMatchObject({ code: 'engine_unavailable' })
      way.lead(server.port)
      await one.register(url, api)
      expect(await one.findDependencies(needed())).toEqual({ [api.name]: url })
    })

    test('that breaks is made anew, and what is registered comes back, with one warning', async () => {
      const notices: Notice[] = []
      const owner = vasco({ url: () => `127.0.0.1:${way.port}`, notify: (notice) => notices.push(notice) })
      await owner.register(url, { ...api, vasco: { aliveDuration: 1 } })
      way.lead(undefined)
      way.cut()
      await vi.waitFor(async () => expect(await alive()).toBe(null), settled)
      await original.redis.del(`endpoints.${service}`)
      way.lead(server.port)
      await vi.waitFor(async () => expect(await original.find(service)).toBe(url), settled)
      expect(notices.map(({ event }) => event)).toEqual(['announcement_failed'])
    })

    test('tells no password when it is refused', async () => {
      const one = vasco({ url: () => `redis://nobody:geheim@127.0.0.1:${server.port}` })
      const error: Error = await one.findDependencies(needed()).catch((error) => error)
      expect(error.message).toMatch(/^Redis failed: ./)
      expect(JSON.stringify(error) + JSON.stringify(error.cause)).not.toContain('geheim')
    })

    test('needs no more rights than the README says', async () => {
      const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
      const rights = /^`(~endpoints[^`]*)`/m.exec(readme)![1]!.split(' ')
      await original.redis.acl('SETUSER', 'vasco', 'on', '>secret', ...rights)
      const one = vasco({ url: () => `vasco:secret@127.0.0.1:${server.port}/0` })
      await original.redis.sadd(`endpoints.${service}`, `dead.${url}`)
      await expect(one.findDependencies(needed())).rejects.toMatchObject({ code: 'service_not_found' })
      await one.register(url, api)
      expect(await one.findDependencies(needed())).toEqual({ [api.name]: url })
      await one[Symbol.asyncDispose]()
      expect(await endpoints()).toEqual([])
    })

    test('uses the user and database of the URL', async () => {
      await vasco({ url: () => `redis://127.0.0.1:${server.port}/3` }).register(url, api)
      await original.redis.select(3)
      const found = await endpoints()
      await original.redis.select(0)
      expect(found).toEqual([url])
      expect(await endpoints()).toEqual([])
    })
  })
})
