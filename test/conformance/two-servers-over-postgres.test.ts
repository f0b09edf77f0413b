import { postgres } from '@seamark/postgres'
import { afterAll, beforeAll } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { type PostgresServer, postgresServer } from '../servers/postgres.ts'
import { describeTwoServers } from './two-servers.ts'

engineTests('postgres', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await postgresServer({ settings: { synchronous_commit: 'on' } })
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  describeTwoServers({
    name: 'PostgreSQL',
    terms: { minimumTtl: 1_000, lateness: 2_000 },
    open: (world) => postgres(`postgres://postgres:secret@127.0.0.1:${server.port}/postgres?schema=${world}`),
  })
})
