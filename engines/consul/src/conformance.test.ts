import { randomUUID } from 'node:crypto'
import { describeEngine, realTime } from '@seamark/conformance'
import { afterAll, beforeAll } from 'vitest'
import { type ConsulServer, consulServer } from '../../../test/servers/consul.ts'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type Line, line } from '../../../test/servers/line.ts'
import { consul } from './consul.ts'

engineTests('consul', () => {
  let server: ConsulServer
  let way: Line

  beforeAll(async () => {
    // Tests that wait for leases would take the better part of an hour with Consul's default of 10 s.
    server = await consulServer({ settings: { session_ttl_min: '500ms' } })
    way = await line(server.port)
  })

  afterAll(async () => {
    await way?.[Symbol.asyncDispose]()
    await server?.[Symbol.asyncDispose]()
  })

  describeEngine('the Consul engine', {
    terms: { minimumTtl: 1_000, lateness: 1_000 },
    async setup() {
      const prefix = `t${randomUUID()}`
      return {
        time: realTime(),
        open: async () => consul(`consul://127.0.0.1:${way.port}/${prefix}?session-ttl-min=500ms`),
        crash: () => server.restart(),
        disconnect: async () => way.cut(),
        async [Symbol.asyncDispose]() {
          const base = `http://127.0.0.1:${server.port}/v1`
          await fetch(`${base}/kv/${prefix}/?recurse`, { method: 'DELETE' })
          await fetch(`${base}/catalog/deregister`, {
            method: 'PUT',
            body: JSON.stringify({ Node: prefix }),
          })
        },
      }
    },
  })
})
