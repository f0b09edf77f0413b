import { randomUUID } from 'node:crypto'
import { describeEngine, realTime } from '@seamark/conformance'
import { afterAll, beforeAll } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type Line, line } from '../../../test/servers/line.ts'
import { type ZookeeperServer, zookeeperServer } from '../../../test/servers/zookeeper.ts'
import { zookeeper } from './zookeeper.ts'

for (const [program, options] of [
  ['zookeeper', {}],
  ['zookeeper-3.9', { version: '3.9' }],
] as const)
  engineTests(program, () => {
    let server: ZookeeperServer
    let way: Line
    beforeAll(async () => {
      server = await zookeeperServer(options)
      way = await line(server.port)
    })
    afterAll(async () => {
      await way?.[Symbol.asyncDispose]()
      await server?.[Symbol.asyncDispose]()
    })

    describeEngine(`the ZooKeeper engine on ${program}`, {
      terms: { minimumTtl: 1_000, lateness: 1_000 },
      async setup() {
        const url = `zookeeper://127.0.0.1:${way.port}/test/${randomUUID()}`
        return {
          time: realTime(),
          open: () => zookeeper(url),
          crash: () => server.restart(),
          disconnect: async () => way.cut(),
          [Symbol.asyncDispose]: async () => undefined,
        }
      },
    })
  })
