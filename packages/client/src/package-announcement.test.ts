import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Announcement, type Engine, memory, type Notice } from '@seamark/core'
import { type Server, server } from '@seamark/server'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { connect } from './connect.ts'
import type { AnnounceOptions, Discovery } from './discovery.ts'
import { type AnnouncePackageOptions, announcePackage } from './package-announcement.ts'

let folder: string
let engine: Engine
let registry: Server
let discovery: Discovery
let notices: Notice[]
const open: AsyncDisposable[] = []

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'seamark-package-'))
  notices = []
  engine = memory()
  registry = await server({ engine, engineName: 'memory', port: 0 })
  discovery = connect(registry.url, { notify: (notice) => notices.push(notice) })
  open.push(engine, registry, discovery)
})

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

/** A package.json with this in it. */
function file(content: unknown): URL {
  const path = join(folder, 'package.json')
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return pathToFileURL(path)
}

const www = (seamark?: object) => file({ name: 'www', version: '1.2.3', ...(seamark && { seamark }) })

const announce = (options: Omit<AnnouncePackageOptions, 'port'>) =>
  announcePackage(discovery, { port: 3000, drain: 0, ...options })

/** Another service, announced by another process as far as one can tell. */
async function other(options: Partial<AnnounceOptions> = {}): Promise<Announcement> {
  const elsewhere = connect(registry.url, { notify: () => {} })
  open.push(elsewhere)
  return elsewhere.announce({ name: 'api', port: 4000, version: '2.1.0', drain: 0, ...options })
}

const announced = () => registry.catalog.services().map(({ service }) => service)
const events = () => notices.filter(({ level }) => level !== 'info').map(({ event }) => event)

/** An HTTP server that says its name. */
async function speaker(name: string): Promise<number> {
  const speaking = createServer((request, response) => response.end(`${name} ${request.url}`))
  speaking.listen(0, '127.0.0.1')
  await once(speaking, 'listening')
  open.push({
    async [Symbol.asyncDispose]() {
      speaking.close()
      speaking.closeAllConnections()
      await once(speaking, 'close')
    },
  })
  return (speaking.address() as AddressInfo).port
}

describe('what is announced of a package', () => {
  test('is its name and version', async () => {
    const announcement = await announce({ file: www() })
    expect(announcement.instance).toMatchObject({ service: 'www', version: '1.2.3', port: 3000 })
    await announcement.ready()
    expect(announcement.registered).toBe(true)
    expect(await discovery.find('www')).toMatchObject({ version: '1.2.3' })
    await announcement.close()
    expect(announced()).toEqual([])
    expect(events()).toEqual([])
  })

  test('goes without the scope, and may have neither version nor block', async () => {
    const { instance } = await announce({ file: file({ name: '@shop/www' }) })
    expect(instance.service).toBe('www')
    expect(instance.version).toBe(undefined)
  })

  test('lives for the ttl of the file', async () => {
    const register = vi.spyOn(engine, 'register')
    await announce({ file: www({ ttl: '77s' }) })
    expect(register.mock.lastCall?.[1]).toMatchObject({ ttl: 77_000 })
  })

  test('can be said otherwise by options', async () => {
    const register = vi.spyOn(engine, 'register')
    const { instance } = await announce({
      file: www({ ttl: '77s' }),
      name: 'front',
      version: '3.0.0',
      ttl: '66s',
      tags: ['blue'],
      route: { path: '/front' },
    })
    expect(instance).toMatchObject({
      service: 'front',
      version: '3.0.0',
      tags: ['blue'],
      route: { path: '/front' },
    })
    expect(register.mock.lastCall?.[1]).toMatchObject({ ttl: 66_000 })
  })
})

describe('a dependency', () => {
  test('is who fits its range now', async () => {
    const first = await other({ id: 'a' })
    await other({ id: 'old', version: '1.9.0' })
    const announcement = await announce({ file: www({ dependencies: { api: '^2.0.0' } }) })
    const api = announcement.dependency('api')
    expect(api).toMatchObject({ name: 'api', version: '^2.0.0', isMock: false })
    expect(await api.find()).toMatchObject({ id: 'a', origin: 'http://127.0.0.1:4000' })
    expect(api.pick()).toMatchObject({ id: 'a' })

    await other({ id: 'b', version: '2.2.0', port: 4001 })
    await first.close()
    await until(() => api.pick()?.id === 'b')
    expect(await api.find()).toMatchObject({ id: 'b', origin: 'http://127.0.0.1:4001' })
  })

  test('is called, at another instance when one fails', async () => {
    await other({ id: 'gone', port: 1 })
    await other({ id: 'here', port: await speaker('api') })
    const announcement = await announce({ file: www({ dependencies: { api: '^2' } }) })
    for (let times = 0; times < 10; times++)
      expect(await (await announcement.dependency('api').fetch('/x')).text()).toBe('api /x')
  })

  test('of "*" may have no version', async () => {
    const { url } = registry
    const elsewhere = connect(url, { notify: () => {} })
    open.push(elsewhere)
    await elsewhere.announce({ name: 'api', port: 4000, drain: 0 })
    const announcement = await announce({ file: www({ dependencies: { api: '*' } }) })
    expect(await announcement.dependency('api').find()).toMatchObject({ port: 4000 })
  })

  test('may be of another namespace', async () => {
    await other({ namespace: 'shop' })
    const announcement = await announce({ file: www({ dependencies: { 'shop/api': '^2' } }) })
    expect(await announcement.dependency('shop/api').find()).toMatchObject({ namespace: 'shop' })
  })

  test('that is not declared is refused', async () => {
    const announcement = await announce({ file: www({ mocks: { auth: 'localhost:3000' } }) })
    expect(() => announcement.dependency('api')).toThrow('name must be a dependency of www/')
  })
})

describe('dependencies that are missing', () => {
  test('are told all at once, and nothing is announced', async () => {
    await other({ version: '1.9.0' })
    await other({ name: 'auth', version: '1.0.0' })
    const dependencies = { auth: '1.x', api: '^2.0.0', mail: '*' }
    const error = await announce({ file: www({ dependencies }) }).catch((error) => error)
    expect(error).toMatchObject({
      code: 'dependencies_missing',
      details: {
        missing: [
          { name: 'api', version: '^2.0.0', code: 'no_match' },
          { name: 'mail', version: '*', code: 'service_not_found' },
        ],
      },
    })
    expect(error.message).toBe(
      `Not all that ${join(folder, 'package.json')} depends on was found:
- api ^2.0.0: No instance of api is healthy and fits version ^2.0.0. 1 instance exists: 1 passing; versions 1.9.0.
- mail *: No instance of mail is registered.`,
    )
    expect(error.cause.errors).toHaveLength(2)
    expect(announced().sort()).toEqual(['api', 'auth'])
  })

  test('are waited for, when asked', async () => {
    const announcing = announce({ file: www({ dependencies: { api: '^2', auth: '*' } }), timeout: '20s' })
    await other({ id: 'too-old', version: '1.0.0' })
    await other({ id: 'a' })
    await other({ name: 'auth' })
    const announcement = await announcing
    expect(await announcement.dependency('api').find()).toMatchObject({ id: 'a' })
  })

  test('are waited for no longer than that', async () => {
    const announcing = announce({ file: www({ dependencies: { api: '^2' } }), timeout: 50 })
    await expect(announcing).rejects.toMatchObject({
      code: 'dependencies_missing',
      details: { missing: [{ name: 'api', code: 'timeout' }] },
      cause: { code: 'timeout' },
    })
    expect(announced()).toEqual([])
  })

  test('are all of them while nothing is known of the registry', async () => {
    const alone = connect('http://127.0.0.1:1', { notify: () => {}, wait: 50 })
    open.push(alone)
    const announcing = announcePackage(alone, { port: 3000, file: www({ dependencies: { api: '^2' } }) })
    await expect(announcing).rejects.toMatchObject({
      code: 'dependencies_missing',
      details: { missing: [{ name: 'api', code: 'engine_unavailable' }] },
    })
  })

  test('are waited for until the discovery is closed', async () => {
    const announcing = announce({ file: www({ dependencies: { api: '^2' } }), timeout: '1h' })
    const refused = expect(announcing).rejects.toMatchObject({ code: 'closed' })
    await until(() => discovery.service('api').isKnown)
    await discovery.close()
    await refused
  })
})

describe('a mock', () => {
  test('wins over the registry, with a warning', async () => {
    await other()
    const origin = `http://127.0.0.1:${await speaker('mock')}`
    const announcement = await announce({
      file: www({ dependencies: { api: '^3' }, mocks: { api: origin } }),
    })
    const api = announcement.dependency('api')
    expect(api).toMatchObject({ name: 'api', version: '^3', isMock: true })
    expect(api.pick()).toMatchObject({ service: 'api', origin, health: 'passing' })
    expect(await api.find()).toBe(api.pick())
    expect(await (await api.fetch('/x')).text()).toBe('mock /x')
    expect(events()).toEqual(['dependency_mocked'])
    expect(notices.find(({ event }) => event === 'dependency_mocked')?.message).toBe(
      `${join(folder, 'package.json')} has a mock of api: the registry is not asked for it, and its requests go to ${origin}.`,
    )
  })

  test.each([
    ['localhost:3000', 'http://localhost:3000'],
    ['https://auth.local', 'https://auth.local:443'],
    ['http://[::1]:3000/', 'http://[::1]:3000'],
    ['grpc://10.0.0.1:50051', 'grpc://10.0.0.1:50051'],
  ])('of %s is at %s', async (text, origin) => {
    const announcement = await announce({ file: www({ mocks: { auth: text } }) })
    expect(announcement.dependency('auth').pick()?.origin).toBe(origin)
  })
})

describe('a package.json', () => {
  test.each<[string, unknown, string, string | undefined]>([
    ['is no JSON', '{"name":', 'is no JSON: ', undefined],
    ['is no object', [], 'the package must be an object', 'the package'],
    ['has no name', { version: '1.0.0' }, 'name is missing', 'name'],
    ['has a name that is no label', { name: 'My.App' }, 'name must be a DNS label', 'name'],
    ['has a name that is no text', { name: 1 }, 'name must be a string', 'name'],
    [
      'has a version that is none',
      { name: 'a', version: 'one' },
      'version must be a semantic version',
      'version',
    ],
    ['has a block that is no object', { name: 'a', seamark: 1 }, 'seamark must be an object', 'seamark'],
    [
      'has a misspelt field',
      { name: 'a', seamark: { dependancies: {} } },
      'seamark.dependancies is none of dependencies, mocks, ttl',
      'seamark.dependancies',
    ],
    [
      'has a list of dependencies',
      { name: 'a', seamark: { dependencies: ['api'] } },
      'seamark.dependencies must be an object',
      'seamark.dependencies',
    ],
    [
      'depends on what is no name',
      { name: 'a', seamark: { dependencies: { API: '1' } } },
      'seamark.dependencies.API must be a DNS label',
      'seamark.dependencies.API',
    ],
    [
      'has a range that is none',
      { name: 'a', seamark: { dependencies: { api: 'two' } } },
      'seamark.dependencies.api must be a version range',
      'seamark.dependencies.api',
    ],
    [
      'has a range that is no text',
      { name: 'a', seamark: { dependencies: { api: 2 } } },
      'seamark.dependencies.api must be a string',
      'seamark.dependencies.api',
    ],
    [
      'has a TTL that is none',
      { name: 'a', seamark: { ttl: 'long' } },
      'seamark.ttl must be a whole number',
      'seamark.ttl',
    ],
    ...['localhost', 'http://a:1/path', 'http://a:b@c:1', 'a:99999', '', 3000, null].map(
      (auth): [string, unknown, string, string] => [
        `has the mock ${JSON.stringify(auth)}`,
        { name: 'a', seamark: { mocks: { auth } } },
        'seamark.mocks.auth must be host:port or an origin',
        'seamark.mocks.auth',
      ],
    ),
  ])('that %s is refused, with the file and the field', async (_, content, problem, field) => {
    const location = file(content)
    const error = await announce({ file: location }).catch((error) => error)
    expect(error.message.startsWith(join(folder, 'package.json'))).toBe(true)
    expect(error.message).toContain(problem)
    expect(error).toMatchObject({ code: 'configuration', ...(field !== undefined && { field }) })
    expect(announced()).toEqual([])
  })

  test('that is not there is refused', async () => {
    await expect(announce({ file: join(folder, 'none.json') })).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringContaining('none.json cannot be read: ENOENT'),
    })
  })
})

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}
