import { randomUUID } from 'node:crypto'
import { describeEngine, type Harness, realTime } from '@seamark/conformance'
import { afterAll, beforeAll } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type Line, line } from '../../../test/servers/line.ts'
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts'
import { open } from './postgres.ts'

engineTests('postgres', () => {
  let server: PostgresServer
  let way: Line
  beforeAll(async () => {
    // What is acknowledged survives kill -9; that it would survive the loss of power is fsync's business.
    server = await postgresServer({ settings: { synchronous_commit: 'on' } })
    way = await line(server.port)
  })
  afterAll(async () => {
    await way?.[Symbol.asyncDispose]()
    await server?.[Symbol.asyncDispose]()
  })

  const harness: Harness = {
    terms: { minimumTtl: 1_000, lateness: 2_000 },
    async setup() {
      const schema = `t${randomUUID().replaceAll('-', '')}`
      return {
        time: realTime(),
        open: () => open(`postgres://postgres:secret@127.0.0.1:${way.port}/postgres?schema=${schema}`),
        crash: () => server.restart(),
        disconnect: async () => way.cut(),
        async [Symbol.asyncDispose]() {},
      }
    },
  }
  describeEngine('the PostgreSQL engine', harness)
})
