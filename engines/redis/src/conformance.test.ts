import { randomUUID } from 'node:crypto'
import { describeEngine, realTime } from '@seamark/conformance'
import { afterAll, beforeAll } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type Line, line } from '../../../test/servers/line.ts'
import { type RedisServer, redisServer } from '../../../test/servers/redis.ts'
import { open } from './redis.ts'

engineTests('redis', () => {
  let server: RedisServer
  let way: Line

  beforeAll(async () => {
    server = await redisServer({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
    way = await line(server.port)
  })

  afterAll(async () => {
    await way?.[Symbol.asyncDispose]()
    await server?.[Symbol.asyncDispose]()
  })

  describeEngine('the Redis engine', {
    terms: { minimumTtl: 1_000, lateness: 1_000 },
    async setup() {
      const prefix = randomUUID()
      return {
        time: realTime(),
        open: () => open(`redis://127.0.0.1:${way.port}?prefix=${prefix}`),
        crash: () => server.restart(),
        disconnect: async () => way.cut(),
        async [Symbol.asyncDispose]() {},
      }
    },
  })
})
