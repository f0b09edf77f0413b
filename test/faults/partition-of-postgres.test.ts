import { afterAll, beforeAll } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { type PostgresServer, postgresServer } from '../servers/postgres.ts'
import { testPartition } from './partition.ts'

engineTests('postgres', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await postgresServer()
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  testPartition(() => ({
    port: server.port,
    url: (port) => server.url.replace(String(server.port), String(port)),
  }))
})
