import { it } from 'vitest'
import { ask } from '../servers/ask.ts'
import { engineTests } from '../servers/engine-tests.ts'
import { type ZookeeperServer, zookeeperServer } from '../servers/zookeeper.ts'
import { asked, service } from './asked.ts'
import { type FleetServer, fleet } from './fleet.ts'
import { owners } from './owners.ts'
import { repeatedly } from './repeatedly.ts'
import { witnesses } from './witnesses.ts'

const ttl = 4_000
/** Milliseconds; ZooKeeper grants no session more. */
const maxSessionTimeout = 6_000

engineTests('zookeeper', () => {
  it.concurrent("a server's session expires while the server is suspended: nobody whose owner renews elsewhere is lost, and it recovers", {
    timeout: 120_000,
  }, async ({ annotate, expect }) => {
    await using zookeeper = await zookeeperServer({ settings: { maxSessionTimeout } })
    await using servers = await fleet([zookeeper.url, zookeeper.url, zookeeper.url])
    await using announced = await owners(servers.url, 6, ttl)
    const { names, ids, clients } = announced
    // The one that the first of the owners talks to.
    const victim = servers.servers.find(({ url }) => url === clients[0]?.farewell()?.urls[0])!
    const others = servers.servers.filter((server) => server !== victim)
    await using watched = witnesses(others)
    await watched.until('all are announced', ({ present }) => names.every((name) => present.has(name)))
    const before = announced.tokens()
    const sessions = await sessionsOf(zookeeper)

    victim.child.kill('SIGSTOP')
    const suspended = performance.now()
    try {
      await expect
        .poll(async () => (await sessionsOf(zookeeper)).filter((id) => sessions.includes(id)), {
          timeout: 60_000,
        })
        .toHaveLength(sessions.length - 1)
      await annotate(`Its session had expired after ${Math.round(performance.now() - suspended)} ms.`)
      await new Promise((resolve) =>
        setTimeout(resolve, Math.max(0, suspended + 2 * ttl - performance.now())),
      )
    } finally {
      victim.child.kill('SIGCONT')
    }
    const resumed = performance.now()
    await recovered([victim])
    await annotate(`It took writes again ${Math.round(performance.now() - resumed)} ms after it was resumed.`)
    await watched.until('what it wrote is seen elsewhere', ({ present }) => present.has('after/after-0'))
    await expect
      .poll(async () => (await service(victim, 'api')).body, { timeout: 30_000 })
      .toMatchObject({ staleSince: null, instances: ids.map((id) => ({ id })) })
    // For longer than a lease that nobody renewed would last.
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, resumed + 2 * ttl - performance.now())))
    expect(watched.lost).toEqual([])
    expect(announced.tokens()).toEqual(before)
  })

  it.concurrent('all sessions expire while ZooKeeper is suspended: reads go on, nobody is lost, everything recovers', {
    timeout: 120_000,
  }, async ({ annotate, expect }) => {
    await using zookeeper = await zookeeperServer({ settings: { maxSessionTimeout } })
    await using servers = await fleet([zookeeper.url, zookeeper.url, zookeeper.url])
    await using announced = await owners(servers.url, 6, ttl)
    const { names, ids } = announced
    await using watched = witnesses(servers.servers)
    await watched.until('all are announced', ({ present }) => names.every((name) => present.has(name)))
    const before = announced.tokens()
    await using reads = repeatedly(async () => {
      for (const server of servers.servers) {
        const { status, body } = await service(server, 'api')
        expect([status, body.instances.map(({ id }) => id)]).toEqual([200, ids])
      }
    })
    const sessions = await sessionsOf(zookeeper)

    zookeeper.pause()
    await new Promise((resolve) => setTimeout(resolve, 2 * maxSessionTimeout))
    zookeeper.resume()
    const resumed = performance.now()
    await recovered(servers.servers)
    await annotate(
      `All took writes again ${Math.round(performance.now() - resumed)} ms after it was resumed.`,
    )
    await expect
      .poll(async () => (await sessionsOf(zookeeper)).filter((id) => sessions.includes(id)), {
        timeout: 30_000,
      })
      .toEqual([])
    await watched.until('what was written is seen everywhere', ({ present }) =>
      servers.servers.every((_, index) => present.has(`after/after-${index}`)),
    )
    // For longer than a lease that nobody renewed would last.
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, resumed + 2 * ttl - performance.now())))
    expect(watched.lost).toEqual([])
    expect(announced.tokens()).toEqual(before)
    expect(reads.errors).toEqual([])
    expect(reads.times).toBeGreaterThan(0)
  })
})

/** Writes at each server until it is taken. */
async function recovered(servers: readonly FleetServer[]): Promise<void> {
  await Promise.all(
    servers.map(async (server, index) => {
      const path = `/namespaces/default/services/after/instances/after-${index}`
      while ((await asked(server, path, { address: '127.0.0.1', port: 3_000 })).status >= 500);
    }),
  )
}

/** The ids of all sessions that ZooKeeper keeps. 0x0 is the connection that asks. */
async function sessionsOf({ port }: ZookeeperServer): Promise<readonly string[]> {
  return [...new Set((await ask(port, 'dump')).match(/0x[1-9a-f][0-9a-f]*/g))]
}
