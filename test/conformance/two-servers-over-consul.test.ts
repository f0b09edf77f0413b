import { open } from '@seamark/consul'
import { afterAll, beforeAll } from 'vitest'
import { type ConsulServer, consulServer } from '../servers/consul.ts'
import { engineTests } from '../servers/engine-tests.ts'
import { describeTwoServers } from './two-servers.ts'

engineTests('consul', () => {
  let server: ConsulServer
  beforeAll(async () => {
    server = await consulServer({ settings: { session_ttl_min: '500ms' } })
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  describeTwoServers({
    name: 'Consul',
    terms: { minimumTtl: 1_000, lateness: 1_000 },
    skip: [
      {
        reason: 'Consul takes minutes for 10,000 registrations of a request each; its own run has this test',
        tests: ['shows 10,000 instances of one service, also to a reader that is slow'],
      },
    ],
    open: (world) => open(`consul://127.0.0.1:${server.port}/${world}?session-ttl-min=500ms`),
  })
})
