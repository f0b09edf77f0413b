import { redis } from '@seamark/redis'
import { afterAll, beforeAll } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { type RedisServer, redisServer } from '../servers/redis.ts'
import { describeTwoServers } from './two-servers.ts'

engineTests('redis', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await redisServer({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  describeTwoServers({
    name: 'Redis',
    terms: { minimumTtl: 1_000, lateness: 1_000 },
    open: (world) => redis(`redis://127.0.0.1:${server.port}?prefix=${world}`),
  })
})
