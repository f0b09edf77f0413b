import { zookeeper } from '@seamark/zookeeper'
import { afterAll, beforeAll } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { type ZookeeperServer, zookeeperServer } from '../servers/zookeeper.ts'
import { describeTwoServers } from './two-servers.ts'

engineTests('zookeeper', () => {
  let server: ZookeeperServer
  beforeAll(async () => {
    server = await zookeeperServer()
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  describeTwoServers({
    name: 'ZooKeeper',
    terms: { minimumTtl: 1_000, lateness: 1_000 },
    open: (world) => zookeeper(`zookeeper://127.0.0.1:${server.port}/test/${world}`),
  })
})
