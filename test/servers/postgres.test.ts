import { afterAll, beforeAll, expect, it } from 'vitest'
import { engineTests } from './engine-tests.ts'
import { type PostgresServer, postgresServer } from './postgres.ts'

engineTests('postgres', () => {
  let server: PostgresServer
  beforeAll(async () => {
    const b = performance.now()
    server = await postgresServer()
    console.log('postgres', performance.now() - b)
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  it('starts, ends and starts again', async () => {
    expect(server.running).toBe(true)
    const b = performance.now()
    await server.restart()
    console.log('postgres again', performance.now() - b)
    expect(server.running).toBe(true)
    const c = performance.now()
    await server.stop()
    console.log('postgres stop', performance.now() - c)
    expect(server.running).toBe(false)
  })
})
