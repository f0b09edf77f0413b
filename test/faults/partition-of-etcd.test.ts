import { afterAll, beforeAll } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { type EtcdServer, etcdServer } from '../servers/etcd.ts'
import { testPartition } from './partition.ts'

engineTests('etcd', () => {
  let server: EtcdServer
  beforeAll(async () => {
    server = await etcdServer()
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  testPartition(() => ({
    port: server.port,
    url: (port) => server.url.replace(String(server.port), String(port)),
  }))
})
