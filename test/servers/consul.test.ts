import { afterAll, beforeAll, expect, it } from 'vitest'
import { engineTests } from './engine-tests.ts'
import { type ConsulServer, consulServer } from './consul.ts'

engineTests('consul', () => {
  let server: ConsulServer
  beforeAll(async () => {
    const b = performance.now()
    server = await consulServer()
    console.log('consul', performance.now() - b)
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  it('starts, ends and starts again', async () => {
    expect(server.running).toBe(true)
    const b = performance.now()
    await server.restart()
    console.log('consul again', performance.now() - b)
    expect(server.running).toBe(true)
    const c = performance.now()
    await server.stop()
    console.log('consul stop', performance.now() - c)
    expect(server.running).toBe(false)
  })
})
