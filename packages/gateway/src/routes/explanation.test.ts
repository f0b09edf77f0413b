import { catalog, instance, memory, type RouteInput } from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { describe, expect, it } from 'vitest'
import { explanation } from './explanation.ts'
import { routes } from './routes.ts'

async function world(more?: RouteInput) {
  const clock = fakeClock()
  const engine = memory({ clock })
  const key = { namespace: 'default', address: '127.0.0.1', port: 3000 }
  const tickets = { service: 'tickets', route: { path: '/tickets', rewrite: '/', roles: ['tickets-query'] } }
  await engine.register(instance({ ...key, ...tickets, id: 't1' }))
  await engine.register(instance({ ...key, ...tickets, id: 't2' }))
  await engine.report({ namespace: 'default', service: 'tickets', id: 't2' }, [
    { id: 'c', status: 'critical' },
  ])
  const route = { host: '*.shop.example', path: '/', methods: ['GET'] }
  await engine.register(instance({ ...key, service: 'shop', id: 's1', route }))
  if (more !== undefined) await engine.register(instance({ ...key, service: 'site', id: 's', route: more }))
  const replica = catalog(engine, { clock })
  await replica.warm()
  const live = await routes({ catalog: replica, clock })
  return {
    explain(method: string, url: string) {
      const { host, path, rules, outcome } = explanation(live, method, url)
      return { host, path, whys: rules.map(({ rule, why }) => `${rule.name}: ${why}`), outcome }
    },
    async [Symbol.asyncDispose]() {
      await live[Symbol.asyncDispose]()
      await replica[Symbol.asyncDispose]()
      await engine[Symbol.asyncDispose]()
    },
  }
}

describe('the explanation of a request', () => {
  it('says which rule is in force, why others are not, and who may get it as what', async () => {
    await using it = await world()
    expect(it.explain('GET', 'http://Other.example:8080/tickets/../tickets/7?a=1')).toEqual({
      host: 'other.example',
      path: '/tickets/7',
      whys: ['GET shop@*.shop.example/: the host is not below shop.example', 'tickets/tickets: fits'],
      outcome: {
        rule: expect.objectContaining({ name: 'tickets/tickets' }),
        path: '/7',
        healthy: [expect.objectContaining({ instance: expect.objectContaining({ id: 't1' }) })],
        all: [expect.anything(), expect.anything()],
        canary: undefined,
      },
    })
    expect(it.explain('GET', 'https://eu.shop.example').outcome).toMatchObject({ path: '/' })
    expect(it.explain('GET', '/tickets').outcome).toMatchObject({ path: '/' })
  })

  it('says why a request is for nobody', async () => {
    await using it = await world()
    expect(it.explain('GET', '/shop')).toMatchObject({
      whys: [expect.anything(), 'tickets/tickets: the path does not begin with /tickets'],
      outcome: { status: 404, why: 'No rule fits.' },
    })
    expect(it.explain('PUT', 'http://a.shop.example/')).toMatchObject({
      whys: ['GET shop@*.shop.example/: the method is none of GET', expect.anything()],
      outcome: { status: 405, allow: ['GET'] },
    })
    expect(it.explain('GET', '/a/%2e%2e/b').outcome).toMatchObject({ status: 400 })
  })

  it('says why a path that can be read in two ways is for nobody', async () => {
    await using it = await world({ path: '/' })
    expect(it.explain('GET', '/x').outcome).toMatchObject({ path: '/x' })
    expect(it.explain('GET', '//tickets').outcome).toMatchObject({
      status: 404,
      why: expect.stringContaining('merge'),
    })
  })

  it.each([
    ['GET', 'tickets'],
    ['GET', 'ftp://shop.example/'],
    ['GET', ''],
    ['get it', '/tickets'],
  ])('refuses %j %j', async (method, url) => {
    await using it = await world()
    expect(() => it.explain(method, url)).toThrow(/must be a/)
  })
})
