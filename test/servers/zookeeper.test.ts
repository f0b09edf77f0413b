import { afterAll, beforeAll, expect, it } from 'vitest'
import { engineTests } from './engine-tests.ts'
import { type ZookeeperServer, zookeeperServer } from './zookeeper.ts'

engineTests('zookeeper', () => {
  let server: ZookeeperServer
  beforeAll(async () => {
    const b = performance.now()
    server = await zookeeperServer()
    console.log('zookeeper', performance.now() - b)
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  it('starts, ends and starts again', async () => {
    expect(server.running).toBe(true)
    const b = performance.now()
    await server.restart()
    console.log('zookeeper again', performance.now() - b)
    expect(server.running).toBe(true)
    const c = performance.now()
    await server.stop()
    console.log('zookeeper stop', performance.now() - c)
    expect(server.running).toBe(false)
  })
})
