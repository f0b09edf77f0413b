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
    skip: [
      {
        reason:
          'ZooKeeper takes minutes for 10,000 registrations of a request each; its own run has this test',
        tests: ['shows 10,000 instances of one service, also to a reader that is slow'],
      },
    ],
    open: (world) => zookeeper(`zookeeper://127.0.0.1:${server.port}/test/${world}`),
  })
})
