import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type CheckReport,
  catalog,
  type InstanceInput,
  instance,
  memory,
  type Notice,
  type RouteInput,
  systemClock,
} from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { afterAll, describe, expect, it } from 'vitest'
import type { RouteTable, Rule } from '../ports.ts'
import { type GatewayRoutes, routes } from './routes.ts'

const folder = mkdtempSync(join(tmpdir(), 'seamark-routes-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A registry, its catalog, and the routes that are made of it. */
async function world(file?: string, clock = fakeClock()) {
  const engine = memory({ clock })
  const replica = catalog(engine, { clock })
  await replica.warm()
  const notices: Notice[] = []
  const live = await routes({
    catalog: replica,
    clock,
    notify: (notice) => notices.push(notice),
    ...(file !== undefined && { file }),
  })
  const key = (service: string, id: string) => ({ namespace: 'default', service, id })
  return {
    clock,
    live,
    notices,
    async register(service: string, id: string, more: Partial<InstanceInput> = {}) {
      const { revision } = await engine.register(
        instance({ ...key(service, id), address: '127.0.0.1', port: 3000, ...more }),
      )
      await replica.reached(revision)
    },
    async deregister(service: string, id: string) {
      await replica.reached((await engine.deregister(key(service, id)))!)
    },
    async report(service: string, id: string, reports: readonly CheckReport[]) {
      await replica.reached(await engine.report(key(service, id), reports))
    },
    events: () => notices.map(({ event }) => event),
    names: () => live.table.rules.map(({ name }) => name),
    async [Symbol.asyncDispose]() {
      await live[Symbol.asyncDispose]()
      await replica[Symbol.asyncDispose]()
      await engine[Symbol.asyncDispose]()
    },
  }
}

function match(live: GatewayRoutes, path: string, host = ''): Rule {
  const found = live.table.match('GET', host, path)
  if ('service' in found) return found
  throw new Error(`There is no rule for ${host}${path}.`)
}

function ids(live: GatewayRoutes, rule: Rule): readonly string[] {
  return live.snapshot(rule).entries.map(({ instance: { id } }) => id)
}

describe('routes that instances say', () => {
  it('come and go with the instances, and are one rule for all that say the same', async () => {
    await using it = await world()
    expect(it.names()).toEqual([])
    await it.register('tickets', 't1', { route: { path: '/tickets', host: 'shop.example' } })
    const rule = match(it.live, '/tickets/7', 'shop.example')
    expect(rule).toEqual({
      name: 'tickets@shop.example/tickets',
      route: { path: '/tickets', host: 'shop.example' },
      service: { namespace: 'default', service: 'tickets' },
      filter: undefined,
      policy: {},
      origin: 'instances of tickets',
    })
    await it.register('tickets', 't2', { route: { path: '/tickets', host: 'shop.example' } })
    await it.register('tickets', 't3')
    await it.register('other', 'o1', { route: { path: '/tickets' } })
    expect(match(it.live, '/tickets', 'shop.example')).toBe(rule)
    expect(ids(it.live, rule)).toEqual(['t1', 't2'])
    await it.deregister('tickets', 't1')
    expect(match(it.live, '/tickets', 'shop.example')).toBe(rule)
    expect(ids(it.live, rule)).toEqual(['t2'])
    await it.register('tickets', 't2')
    expect(it.names()).toEqual(['other/tickets'])
  })

  it('are known of instances that were there before', async () => {
    const clock = fakeClock()
    await using engine = memory({ clock })
    await engine.register(
      instance({
        namespace: 'shop',
        service: 'api',
        id: 'a',
        address: 'localhost',
        port: 1,
        route: { path: '/' },
      }),
    )
    await using replica = catalog(engine, { clock })
    await replica.warm()
    await using live = await routes({ catalog: replica, clock })
    expect(match(live, '/x').name).toBe('shop/api/')
  })

  it('leave the table and the rules what they are when only health changes', async () => {
    await using it = await world()
    const told: RouteTable[] = []
    it.live.subscribe((table) => told.push(table))
    await it.register('web', 'w1', { route: { path: '/' } })
    await it.register('web', 'w2', { route: { path: '/' } })
    const { table } = it.live
    const rule = match(it.live, '/')
    const snapshot = it.live.snapshot(rule)
    expect(it.live.snapshot(rule)).toBe(snapshot)
    await it.report('web', 'w1', [{ id: 'seen', status: 'critical' }])
    expect(it.live.table).toBe(table)
    expect(told).toEqual([table])
    expect(it.live.snapshot(rule)).not.toBe(snapshot)
    expect(it.live.snapshot(rule).entries[0]?.health.status).toBe('critical')
  })

  it('have the same snapshot while only other instances of the service change', async () => {
    await using it = await world()
    await it.register('web', 'w1', { route: { path: '/a' } })
    await it.register('web', 'w2', { route: { path: '/b' } })
    const [a, b] = [match(it.live, '/a'), match(it.live, '/b')]
    const [before, other] = [it.live.snapshot(a), it.live.snapshot(b)]
    await it.report('web', 'w2', [{ id: 'seen', status: 'warning' }])
    expect(it.live.snapshot(a)).toBe(before)
    expect(it.live.snapshot(b)).not.toBe(other)
  })

  it('that differ in other things than what is asked for are one rule, as the newest instance says it', async () => {
    await using it = await world()
    await it.register('web', 'w1', { route: { path: '/a', timeout: 1_000 } })
    const old = match(it.live, '/a')
    await it.register('web', 'w2', { route: { path: '/a', timeout: 2_000, roles: ['staff'] } })
    const rule = match(it.live, '/a')
    expect(rule.route).toEqual({ path: '/a', timeout: 2_000, roles: ['staff'] })
    expect(rule.name).toBe(old.name)
    expect(ids(it.live, rule)).toEqual(['w1', 'w2'])
    expect(it.live.table.conflicts).toEqual([])
    await it.deregister('web', 'w2')
    expect(match(it.live, '/a').route.timeout).toBe(1_000)
  })

  it('that are sent on to different paths are rules of their own: the older one is in force', async () => {
    await using it = await world()
    await it.register('web', 'w1', { route: { path: '/a' } })
    await it.register('web', 'w2', { route: { path: '/a', rewrite: '/' } })
    expect(ids(it.live, match(it.live, '/a'))).toEqual(['w1'])
    await it.deregister('web', 'w1')
    expect(match(it.live, '/a').route.rewrite).toBe('/')
    expect(ids(it.live, match(it.live, '/a'))).toEqual(['w2'])
  })

  it('in conflict are the older one, and somebody is told once for as long as it lasts', async () => {
    await using it = await world()
    await it.register('first', 'f1', { route: { path: '/a' } })
    await it.register('second', 's1', { route: { path: '/a' } })
    await it.register('second', 's2', { route: { path: '/a' } })
    await it.register('third', 't1', { route: { path: '/b' } })
    expect(match(it.live, '/a').service.service).toBe('first')
    expect(it.live.table.conflicts.map(({ rule, winner }) => [rule.name, winner.name])).toEqual([
      ['second/a', 'first/a'],
    ])
    expect(it.notices).toEqual([
      expect.objectContaining({
        level: 'warn',
        event: 'route_conflict',
        message:
          'The route second/a (instances of second) is not in force: first/a (instances of first) is for the same requests, and comes first.',
      }),
    ])
    await it.deregister('first', 'f1')
    expect(match(it.live, '/a').service.service).toBe('second')
    await it.register('first', 'f2', { route: { path: '/a' } })
    expect(match(it.live, '/a').service.service).toBe('second')
    expect(it.live.table.conflicts.map(({ rule }) => rule.name)).toEqual(['first/a'])
  })

  it('stay in force while their instances are replaced one by one, though somebody waits for the path', async () => {
    await using it = await world()
    await it.register('first', 'f1', { route: { path: '/a' } })
    await it.register('first', 'f2', { route: { path: '/a' } })
    await it.register('second', 's1', { route: { path: '/a' } })
    const rule = match(it.live, '/a')
    for (const old of ['f1', 'f2']) {
      await it.register('first', `${old}-new`, { route: { path: '/a' } })
      await it.deregister('first', old)
      expect(match(it.live, '/a')).toBe(rule)
    }
    expect(ids(it.live, rule)).toEqual(['f1-new', 'f2-new'])
    expect(it.events()).toEqual(['route_conflict'])
  })

  it('are kept for five minutes when the service has nobody: it is away, and not unknown', async () => {
    await using it = await world()
    await it.register('web', 'w1', { route: { path: '/a' } })
    const rule = match(it.live, '/a')
    await it.deregister('web', 'w1')
    await it.clock.advance(299_000)
    expect(match(it.live, '/a')).toBe(rule)
    expect(ids(it.live, rule)).toEqual([])
    await it.register('web', 'w2', { route: { path: '/a' } })
    await it.deregister('web', 'w2')
    await it.clock.advance(299_000)
    expect(match(it.live, '/a')).toBe(rule)
    await it.clock.advance(1_001)
    expect(it.names()).toEqual([])
  })

  it('that are only kept give way to those of somebody who is there', async () => {
    await using it = await world()
    await it.register('web', 'w1', { route: { path: '/a' } })
    await it.deregister('web', 'w1')
    await it.register('new', 'n1', { route: { path: '/a' } })
    expect(match(it.live, '/a').service.service).toBe('new')
    await it.register('web', 'w2')
    expect(it.live.table.conflicts).toEqual([])
  })

  it('of tags are routes too, and what cannot be done is left out and told once', async () => {
    await using it = await world()
    const tags = [
      'urlprefix-/css strip=/css',
      'urlprefix-/private auth=staff',
      'traefik.http.routers.a.rule=Host(`a.example`)',
    ]
    await it.register('web', 'w1', { tags })
    await it.register('web', 'w2', { tags })
    expect(it.names()).toEqual(['web@a.example/', 'web/css'])
    expect(match(it.live, '/css')).toMatchObject({
      route: { path: '/css', rewrite: '/' },
      origin: 'tag urlprefix-/css strip=/css of web',
    })
    expect(it.live.skipped).toEqual([
      {
        service: { namespace: 'default', service: 'web' },
        statement: 'tag urlprefix-/private auth=staff',
        problem: 'this gateway does not know its option "auth"',
      },
    ])
    expect(it.events()).toEqual(['route_skipped'])
    await it.deregister('web', 'w1')
    await it.deregister('web', 'w2')
    expect(it.live.skipped).toEqual([])
  })

  it('of instances that speak no HTTP are left out', async () => {
    await using it = await world()
    await it.register('db', 'd1', { scheme: 'tcp', route: { path: '/' } })
    expect(it.names()).toEqual([])
    expect(it.live.skipped).toMatchObject([
      { statement: 'its route', problem: 'the scheme of the instance is tcp' },
    ])
  })

  it('that an instance says twice count once, its own route first', async () => {
    await using it = await world()
    await it.register('web', 'w1', {
      tags: ['urlprefix-/a'],
      route: { path: '/a', roles: ['staff'] },
    })
    expect(it.live.table.rules).toMatchObject([{ route: { path: '/a', roles: ['staff'] } }])
    expect(it.live.table.conflicts).toEqual([])
  })

  it('make a new table without delay, but not at each of many changes once there are many', async () => {
    await using it = await world()
    const route = (index: number): RouteInput => ({ path: `/p${index}` })
    for (let index = 0; index < 300; index++)
      await it.register(`s${index}`, `i${index}`, { route: route(index) })
    await it.clock.advance(100)
    const told: RouteTable[] = []
    it.live.subscribe((table) => told.push(table))
    for (let index = 300; index < 320; index++)
      await it.register(`s${index}`, `i${index}`, { route: route(index) })
    expect(told.length).toBe(1)
    expect(told[0]!.rules.length).toBe(301)
    await it.clock.advance(10)
    expect(told.length).toBe(2)
    expect(it.live.table.rules.length).toBe(320)
  })
})

/** A file of that content, which may be written again. */
function routesFile(name: string, content: unknown) {
  const path = join(folder, name)
  const write = (content: unknown) =>
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  write(content)
  return { path, write }
}

describe('routes of a file', () => {
  it('lead to the instances that their filter lets through, before those that instances say', async () => {
    const { path } = routesFile('first.json', {
      routes: [
        { service: 'web', path: '/a', filter: { version: '^2' }, concurrency: 3, timeout: '2s' },
        { service: 'web', path: '/a', methods: ['PUT'] },
        { service: 'test.shop/api', host: 'Shop.example' },
      ],
    })
    await using it = await world(path)
    await it.register('web', 'w1', { version: '1.0.0', route: { path: '/a' } })
    await it.register('web', 'w2', { version: '2.1.0' })
    await it.register('web', 'w3', { version: '2.1.0', scheme: 'tcp' })
    expect(it.names()).toEqual(['test.shop/api@shop.example/', 'PUT web/a', 'web/a'])
    const rule = match(it.live, '/a')
    expect(rule).toMatchObject({
      policy: { concurrency: 3 },
      route: { timeout: 2_000 },
      filter: { version: '^2' },
      origin: path,
    })
    expect(ids(it.live, rule)).toEqual(['w2'])
    expect(it.live.table.conflicts).toMatchObject([{ rule: { origin: 'instances of web' }, winner: rule }])
  })

  it('may bring policies for what instances say; a fallback keeps their routes without end', async () => {
    const { path } = routesFile('policies.json', {
      services: { web: { fallback: { type: 'static', body: 'later' } }, 'test.shop/api': { concurrency: 1 } },
    })
    await using it = await world(path)
    await it.register('web', 'w1', { route: { path: '/a' } })
    expect(match(it.live, '/a').policy.fallback).toMatchObject({ body: 'later' })
    await it.deregister('web', 'w1')
    await it.clock.advance(86_400_000)
    expect(match(it.live, '/a').service.service).toBe('web')
  })

  it('are refused with all that is wrong in them', async () => {
    const { path } = routesFile('wrong.json', {
      routes: [
        { service: 'web', path: 'a' },
        { path: '/a' },
        { service: 'web', colour: 'red' },
        'web',
        { service: 'web', filter: { version: 'new' } },
        { service: 'web', rate: { requests: 0 } },
      ],
      services: { web: { concurrency: -1 } },
      access: {},
    })
    const error = await world(path).catch((error) => error)
    expect(error).toMatchObject({ code: 'configuration' })
    expect(error.message.split('\n  ')).toEqual([
      `The routes file ${path} is wrong:`,
      expect.stringMatching(/^routes\/0\/path must be a path/),
      'routes/1/service is missing: which service it leads to',
      expect.stringMatching(/^routes\/2\/colour is no field of a route: service, host, path/),
      'routes/3 must be an object',
      expect.stringMatching(/^routes\/4\/filter\/version must be a version range/),
      expect.stringMatching(/^routes\/5\/rate\/requests must be a whole number/),
      expect.stringMatching(/^services\/web\/concurrency must be a whole number/),
      expect.stringMatching(/^access must have exactly one of/),
    ])
  })

  it.each([
    ['{"routes": [}', /is not JSON: Unexpected token '}', "{"routes": \[}"/],
    ['{"routes": []\n"access": 1}', /is not JSON: Expected .*line 2,? column 1\b/],
    ['[]', /it must be an object with routes, services, access/],
    ['{"route": []}', /route is none of its fields: routes, services, access/],
    ['{"routes": {}}', /routes must be an array/],
    ['{"services": []}', /services must be an object/],
  ])('are refused when they are %j', async (text, message) => {
    const { path } = routesFile('broken.json', text)
    await expect(world(path)).rejects.toThrow(message)
  })

  it('are refused when there is no such file', async () => {
    await expect(world(join(folder, 'none.json'))).rejects.toThrow(/none.json cannot be read: there is no/)
  })

  it('are read again when the file changes; what stayed the same is the same rule', async () => {
    const stays = { service: 'web', path: '/a', rate: { requests: 5 } }
    const file = routesFile('changing.json', { routes: [stays], access: { secret: { variable: 'KEY' } } })
    await using it = await world(file.path, systemClockForTests())
    const rule = match(it.live, '/a')
    const { access } = it.live
    const changed = next(it.live)
    file.write({ routes: [{ service: 'new' }, stays], access: { secret: { variable: 'KEY' } } })
    await changed
    expect(it.names()).toEqual(['web/a', 'new/'])
    expect(match(it.live, '/a')).toBe(rule)
    expect(it.live.access).toBe(access)
    expect(it.notices).toMatchObject([{ level: 'info', event: 'routes_file_read' }])
  })

  it('stay what they were when the file gets wrong or is gone, and somebody is told what is wrong', async () => {
    const file = routesFile('breaking.json', { routes: [{ service: 'web' }] })
    await using it = await world(file.path, systemClockForTests())
    file.write('{"routes": [{}]}')
    await until(() => it.notices.length === 1)
    expect(it.notices[0]).toMatchObject({ level: 'error', event: 'routes_file_wrong' })
    expect(it.notices[0]!.message).toMatch(/routes\/0\/service is missing.*\n.*stays in force/s)
    expect(it.names()).toEqual(['web/'])
    rmSync(file.path)
    await until(() => it.notices.length === 2)
    expect(it.notices[1]!.message).toMatch(/cannot be read any more/)
    expect(it.names()).toEqual(['web/'])
    const changed = next(it.live)
    file.write({ routes: [{ service: 'api' }] })
    await changed
    expect(it.names()).toEqual(['api/'])
  })

  it('are followed where a link leads, as in a volume of Kubernetes', async () => {
    const mount = join(folder, 'volume')
    for (const [version, service] of [
      ['v1', 'old'],
      ['v2', 'new'],
    ]) {
      mkdirSync(join(mount, version!), { recursive: true })
      writeFileSync(join(mount, version!, 'routes.json'), JSON.stringify({ routes: [{ service }] }))
    }
    symlinkSync('v1', join(mount, 'data'))
    symlinkSync('data/routes.json', join(mount, 'routes.json'))
    await using it = await world(join(mount, 'routes.json'), systemClockForTests())
    expect(it.names()).toEqual(['old/'])
    const changed = next(it.live)
    symlinkSync('v2', join(mount, 'data.new'))
    renameSync(join(mount, 'data.new'), join(mount, 'data'))
    await changed
    expect(it.names()).toEqual(['new/'])
  })
})

/** The real time, as files change in it. */
function systemClockForTests() {
  return { ...systemClock, advance: () => Promise.resolve(), jump: () => {} }
}

function next(live: GatewayRoutes): Promise<RouteTable> {
  return new Promise((resolve) => {
    const subscription = live.subscribe((table) => {
      subscription[Symbol.dispose]()
      resolve(table)
    })
  })
}

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 10))
}
