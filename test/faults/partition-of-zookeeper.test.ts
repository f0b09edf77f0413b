import { afterAll, beforeAll } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { type ZookeeperServer, zookeeperServer } from '../servers/zookeeper.ts'
import { testPartition } from './partition.ts'

engineTests('zookeeper', () => {
  let server: ZookeeperServer
  beforeAll(async () => {
    server = await zookeeperServer()
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  testPartition(() => ({
    port: server.port,
    url: (port) => server.url.replace(String(server.port), String(port)),
  }))
})
