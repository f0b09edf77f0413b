import { afterAll, beforeAll, expect, it } from 'vitest'
import { engineTests } from './engine-tests.ts'
import { type EtcdServer, etcdServer } from './etcd.ts'

engineTests('etcd', () => {
  let server: EtcdServer
  beforeAll(async () => {
    const b = performance.now()
    server = await etcdServer()
    console.log('etcd', performance.now() - b)
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  it('starts, ends and starts again', async () => {
    expect(server.running).toBe(true)
    const b = performance.now()
    await server.restart()
    console.log('etcd again', performance.now() - b)
    expect(server.running).toBe(true)
    const c = performance.now()
    await server.stop()
    console.log('etcd stop', performance.now() - c)
    expect(server.running).toBe(false)
  })
})
