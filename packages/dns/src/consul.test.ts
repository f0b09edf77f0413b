import { follower } from '@seamark/conformance'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ConsulServer, consulServer } from '../../../test/servers/consul.ts'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { open } from './dns-source.ts'

engineTests('consul', () => {
  const api = { namespace: 'default', service: 'api' }
  let consul: ConsulServer
  beforeAll(async () => {
    consul = await consulServer()
  }, 60_000)
  afterAll(() => consul?.[Symbol.asyncDispose]())

  async function put(path: string, body?: object): Promise<void> {
    const url = `http://127.0.0.1:${consul.port}/v1/agent/service/${path}`
    const response = await fetch(url, { method: 'PUT', body: body ? JSON.stringify(body) : null })
    if (!response.ok) throw new Error(await response.text())
  }

  test('finds the services of Consul, more of them than its datagrams hold, with its weights', async () => {
    await using source = await open(
      `dns://127.0.0.1:${consul.dnsPort}/{service}.service.consul?transport=tcp&minTtl=50ms`,
    )
    await using following = follower(source, [api])
    await following.until('that there is none', () => true)
    expect(following.entries.size).toBe(0)
    const numbers = Array.from({ length: 60 }, (_, index) => index + 1)
    for (const n of numbers)
      await put('register', {
        ID: `api${n}`,
        Name: 'api',
        Address: `10.0.0.${n}`,
        Port: 8_000 + n,
        Weights: { Passing: n, Warning: 1 },
      })
    await following.until('all of them', ({ entries }) => entries.size === 60)
    expect(
      [...following.entries.values()].map(({ instance: { id, weight } }) => `${id} ${weight}`).sort(),
    ).toEqual(numbers.map((n) => `10.0.0.${n}:${8_000 + n} ${n}`).sort())
    for (const n of numbers.slice(1)) await put(`deregister/api${n}`)
    await following.until('the one that is left', ({ entries }) => entries.size === 1)
  })
})
