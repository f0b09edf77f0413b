import { describeEngine, realTime } from '@seamark/conformance'
import { afterAll, beforeAll } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type EtcdServer, etcdServer } from '../../../test/servers/etcd.ts'
import { line } from '../../../test/servers/line.ts'
import { etcd } from './etcd.ts'

engineTests('etcd', () => {
  let server: EtcdServer
  let worlds = 0

  beforeAll(async () => {
    server = await etcdServer()
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  describeEngine("the etcd engine in gRPC's naming format", {
    // The server's election timeout is 500 ms: it grants 1 s.
    terms: { minimumTtl: 1_000, lateness: 1_000 },
    async setup() {
      const way = await line(server.port)
      const url = `etcd://127.0.0.1:${way.port}/world${++worlds}?format=grpc`
      return {
        time: realTime(),
        open: () => etcd(url),
        disconnect: async () => way.cut(),
        crash: () => server.restart(),
        [Symbol.asyncDispose]: () => way[Symbol.asyncDispose](),
      }
    },
  })
})
