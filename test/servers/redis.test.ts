import { afterAll, beforeAll, expect, it } from 'vitest'
import { engineTests } from './engine-tests.ts'
import { type RedisServer, redisServer } from './redis.ts'

engineTests('redis', () => {
  let server: RedisServer
  beforeAll(async () => {
    const b = performance.now()
    server = await redisServer()
    console.log('redis', performance.now() - b)
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  it('starts, ends and starts again', async () => {
    expect(server.running).toBe(true)
    const b = performance.now()
    await server.restart()
    console.log('redis again', performance.now() - b)
    expect(server.running).toBe(true)
    const c = performance.now()
    await server.stop()
    console.log('redis stop', performance.now() - c)
    expect(server.running).toBe(false)
  })
})
