import { connect } from '@seamark/client'
import { it } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { type EtcdServer, etcdCluster } from '../servers/etcd.ts'
import { asked, service } from './asked.ts'
import { fleet } from './fleet.ts'
import { owners } from './owners.ts'
import { repeatedly } from './repeatedly.ts'
import { witnesses } from './witnesses.ts'

const ttl = 5_000

/** How a cluster loses its quorum, and gets it back. */
interface Loss {
  whom(leader: EtcdServer, followers: readonly EtcdServer[]): readonly EtcdServer[]
  take(member: EtcdServer): Promise<void>
  give(member: EtcdServer): Promise<void>
}

engineTests('etcd', () => {
  it.concurrent("etcd's leader is killed: reads go on, nobody is lost, writes resume", {
    timeout: 90_000,
  }, async ({ annotate, expect }) => {
    await using cluster = await etcdCluster()
    await using servers = await fleet([cluster.url, cluster.url, cluster.url])
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

    const leader = await cluster.leader()
    const killed = performance.now()
    await leader.kill()
    let refused = 0
    for (const [index, server] of servers.servers.entries()) {
      const path = `/namespaces/default/services/late/instances/late-${index}`
      while ((await asked(server, path, { address: '127.0.0.1', port: 3_000 })).status >= 500) refused++
    }
    await annotate(
      `Writes resumed at every server after ${Math.round(performance.now() - killed)} ms, with ${refused} refused.`,
    )
    await watched.until('all of them show what was written since', ({ present }) =>
      servers.servers.every((_, index) => present.has(`late/late-${index}`)),
    )
    // For longer than a lease that nobody renewed would last.
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, killed + 2 * ttl - performance.now())))

    expect(watched.lost).toEqual([])
    expect(announced.tokens()).toEqual(before)
    expect(reads.errors).toEqual([])
    expect(reads.times).toBeGreaterThan(0)
  })

  const losses: readonly (readonly [how: string, Loss])[] = [
    [
      'killed',
      {
        whom: (leader, [follower]) => [leader, follower!],
        take: (member) => member.kill(),
        give: (member) => member.start(),
      },
    ],
    [
      'suspended',
      {
        // Not the leader: before etcd 3.4.31 and 3.5.13, one that wakes up ends the leases of the time it slept (etcd issue 15247).
        whom: (_, followers) => followers,
        take: async (member) => member.pause(),
        give: async (member) => member.resume(),
      },
    ],
  ]
  it.concurrent.for(losses)(
    'two of three etcd members are %s for 30 s: reads go on and say that they are stale, writes are refused and then resume, nobody is lost',
    {
      timeout: 120_000,
    },
    async ([, { whom, take, give }], { annotate, expect }) => {
      await using cluster = await etcdCluster()
      await using servers = await fleet([cluster.url, cluster.url, cluster.url])
      await using announced = await owners(servers.url, 6, ttl)
      const { names, ids } = announced
      await using watched = witnesses(servers.servers)
      await watched.until('all are announced', ({ present }) => names.every((name) => present.has(name)))
      await using reads = repeatedly(async () => {
        for (const server of servers.servers) {
          const { status, body } = await service(server, 'api')
          expect([status, body.instances.map(({ id }) => id)]).toEqual([200, ids])
        }
      })
      const stale = async () => {
        const answers = await Promise.all(servers.servers.map((server) => service(server, 'api')))
        return answers.map(({ body }) => body.staleSince !== null)
      }
      const write = (server: { url: string }, index: number) =>
        asked<{ error?: { code: string } }>(
          server,
          `/namespaces/default/services/late/instances/late-${index}`,
          { address: '127.0.0.1', port: 3_000 },
        )

      const before = announced.tokens()
      const lost = performance.now()
      const leader = await cluster.leader()
      const followers = cluster.members.filter((member) => member !== leader)
      const away = whom(leader, followers)
      await Promise.all(away.map(take))
      const refusals = await Promise.all(
        servers.servers.map(async (server, index) => {
          const sent = performance.now()
          const { status, body } = await write(server, index)
          return { answer: [status, body.error?.code], took: Math.round(performance.now() - sent) }
        }),
      )
      for (const { answer } of refusals) expect(answer).toEqual([503, 'engine_unavailable'])
      await expect.poll(stale, { timeout: 30_000 }).toEqual([true, true, true])
      await annotate(
        `Stale was said by all after ${Math.round(performance.now() - lost)} ms; refusals took ${refusals.map(({ took }) => took)} ms.`,
      )
      // Who starts while nothing can be written is announced once it can.
      await using newcomer = connect(servers.url, { signals: false, notify: () => {} })
      const late = await newcomer.announce({
        name: 'late',
        id: 'newcomer',
        address: '127.0.0.1',
        port: 3_000,
        ttl,
      })
      expect(late.registered).toBe(false)
      await new Promise((resolve) => setTimeout(resolve, lost + 30_000 - performance.now()))
      expect(await stale()).toEqual([true, true, true])

      const given = performance.now()
      await Promise.all(away.map(give))
      await Promise.all(
        servers.servers.map(async (server, index) => {
          while ((await write(server, index)).status >= 500);
        }),
      )
      await late.ready(AbortSignal.timeout(20_000))
      const wrote = Math.round(performance.now() - given)
      await expect.poll(stale, { timeout: 20_000 }).toEqual([false, false, false])
      const fresh = Math.round(performance.now() - given)
      await annotate(
        `Writes resumed everywhere ${wrote} ms after the quorum was given back, and ${fresh} ms after it nobody was stale.`,
      )
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, given + 3 * ttl - performance.now())))
      expect(watched.lost).toEqual([])
      expect(announced.tokens()).toEqual(before)
      expect(reads.errors).toEqual([])
      expect(reads.times).toBeGreaterThan(0)
    },
  )
})
