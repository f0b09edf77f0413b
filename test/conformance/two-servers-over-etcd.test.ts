import { etcd } from '@seamark/etcd'
import { afterAll, beforeAll } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { type EtcdServer, etcdServer } from '../servers/etcd.ts'
import { describeTwoServers } from './two-servers.ts'

engineTests('etcd', () => {
  let server: EtcdServer
  beforeAll(async () => {
    server = await etcdServer()
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  describeTwoServers({
    name: 'etcd',
    terms: { minimumTtl: 1_000, lateness: 1_000 },
    open: (world) => etcd(`etcd://127.0.0.1:${server.port}/${world}`),
  })
})
