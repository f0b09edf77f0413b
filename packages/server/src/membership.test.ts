import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Catalog, catalog, type Engine, instance, memory } from '@seamark/core'
import { afterEach, expect, it } from 'vitest'
import { type Server, server } from './server.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function member(engine: Engine, name: string): Promise<Server> {
  const started = await server({ engine, engineName: 'memory', port: 0, shared: true, name })
  cleanups.push(() => started.close())
  return started
}

/** A service that counts who checks it, by the path that is asked for. */
async function checked(): Promise<{ port: number; seen: Map<string, number> }> {
  const seen = new Map<string, number>()
  const http = createServer((request, response) => {
    seen.set(request.url!, (seen.get(request.url!) ?? 0) + 1)
    response.end()
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => http.once('listening', resolve))
  cleanups.push(() => new Promise((resolve) => http.close(resolve)))
  return { port: (http.address() as AddressInfo).port, seen }
}

async function until(view: Catalog, condition: () => boolean): Promise<void> {
  while (!condition())
    await new Promise<void>((resolve) => {
      const subscription = view.subscribe(() => {
        subscription[Symbol.dispose]()
        resolve()
      })
    })
}

const members = { namespace: 'seamark', service: 'server' }
const api = { namespace: 'default', service: 'api' }

it('lets servers over one engine find one another, and share the checks out', async () => {
  const engine = memory()
  cleanups.push(async () => engine[Symbol.asyncDispose]())
  const view = catalog(engine)
  cleanups.push(async () => view[Symbol.asyncDispose]())
  const [one] = [await member(engine, 'one'), await member(engine, 'two')]
  await until(view, () => view.snapshot(members).entries.length === 2)
  expect(view.snapshot(members).entries[0]!.instance).toMatchObject({
    id: 'one',
    address: '127.0.0.1',
    port: one!.port,
  })

  const service = await checked()
  const ids = Array.from({ length: 40 }, (_, index) => `api-${index}`)
  for (const id of ids)
    await engine.register(
      instance({
        ...api,
        id,
        address: '127.0.0.1',
        port: service.port,
        checks: [{ type: 'http', url: `/${id}`, interval: 60_000 }],
      }),
    )
  await until(view, () => view.snapshot(api).entries.every(({ health }) => health.status === 'passing'))
  // Each was checked, by one of the two: the first run of each comes at once, the second in a minute.
  expect([...service.seen.values()]).toEqual(ids.map(() => 1))

  // The one that leaves hands its share over, and that is all that is checked anew.
  await one!.close()
  await until(view, () => view.snapshot(members).entries.length === 1)
  const taken = () => [...service.seen.values()].filter((count) => count === 2).length
  await expect.poll(taken).toBeGreaterThan(5)
  expect(taken()).toBeLessThan(35)
  expect(view.snapshot(api).entries.every(({ health }) => health.status === 'passing')).toBe(true)
})

it('works alone where nobody else uses the engine', async () => {
  const engine = memory()
  cleanups.push(async () => engine[Symbol.asyncDispose]())
  const alone = await server({ engine, engineName: 'memory', port: 0 })
  cleanups.push(() => alone.close())
  await alone.catalog.warm()
  expect(alone.catalog.services()).toEqual([])
})
