import { afterAll, beforeAll } from 'vitest'
import { type ConsulServer, consulServer } from '../servers/consul.ts'
import { engineTests } from '../servers/engine-tests.ts'
import { testPartition } from './partition.ts'

engineTests('consul', () => {
  let server: ConsulServer
  beforeAll(async () => {
    server = await consulServer()
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  testPartition(() => ({
    port: server.port,
    url: (port) => server.url.replace(String(server.port), String(port)),
  }))
})
