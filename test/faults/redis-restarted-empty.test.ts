import { connect } from '@seamark/client'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { type RedisServer, redisServer } from '../servers/redis.ts'
import { fleet } from './fleet.ts'
import { owners } from './owners.ts'
import { repeatedly } from './repeatedly.ts'
import { witnesses } from './witnesses.ts'

const ttl = 6_000

engineTests('redis', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await redisServer()
  })
  afterAll(() => redis?.[Symbol.asyncDispose]())

  it('Redis restarts empty: everyone is back by themselves within a TTL, and callers never find nobody', {
    timeout: 60_000,
  }, async ({ annotate }) => {
    await using servers = await fleet([redis.url, redis.url])
    await using announced = await owners(servers.url, 6, ttl)
    const { names, ids } = announced
    const all = ({ present }: { present: ReadonlyMap<string, unknown> }) =>
      names.every((name) => present.has(name))
    await using watched = witnesses(servers.servers)
    await watched.until('all are announced', all)
    const before = announced.tokens()
    await using caller = connect(servers.url, { signals: false, notify: () => {} })
    expect(await caller.findAll('api')).toHaveLength(ids.length)
    let fewest = Number.POSITIVE_INFINITY
    await using calls = repeatedly(async () => {
      await caller.find('api')
      fewest = Math.min(fewest, (await caller.findAll('api')).length)
    })

    await redis.restart()
    const restarted = performance.now()
    await watched.until(
      'all have a new lease and are back',
      (witness) => announced.tokens().every((token, index) => token !== before[index]) && all(witness),
      ttl,
    )
    await annotate(`All were back ${Math.round(performance.now() - restarted)} ms after the restart.`)
    await expect.poll(() => caller.findAll('api'), { timeout: ttl }).toHaveLength(ids.length)

    expect(calls.errors).toEqual([])
    expect(calls.times).toBeGreaterThan(0)
    expect(fewest).toBeGreaterThan(0)
  })
})
