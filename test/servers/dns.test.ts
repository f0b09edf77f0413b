import { afterAll, beforeAll, expect, it } from 'vitest'
import { engineTests } from './engine-tests.ts'
import { type DnsServer, dnsServer } from './dns.ts'

engineTests('dns', () => {
  let server: DnsServer
  beforeAll(async () => {
    const b = performance.now()
    server = await dnsServer()
    console.log('dns', performance.now() - b)
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  it('starts, ends and starts again', async () => {
    expect(server.running).toBe(true)
    const b = performance.now()
    await server.restart()
    console.log('dns again', performance.now() - b)
    expect(server.running).toBe(true)
    const c = performance.now()
    await server.stop()
    console.log('dns stop', performance.now() - c)
    expect(server.running).toBe(false)
  })
})
