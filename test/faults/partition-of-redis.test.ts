import { afterAll, beforeAll } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { type RedisServer, redisServer } from '../servers/redis.ts'
import { testPartition } from './partition.ts'

engineTests('redis', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await redisServer()
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  testPartition(() => ({
    port: server.port,
    url: (port) => server.url.replace(String(server.port), String(port)),
  }))
})
