import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from '@seamark/client'
import { instanceId, rendezvous } from '@seamark/core'
import { it } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { etcdServer } from '../servers/etcd.ts'
import { fleet } from './fleet.ts'
import { owners } from './owners.ts'
import { repeatedly } from './repeatedly.ts'
import { type Witness, witnesses } from './witnesses.ts'

const ttl = 5_000

engineTests('etcd', () => {
  it.concurrent.for([
    ['killed', 'SIGKILL'],
    ['stopped', 'SIGTERM'],
  ] as const)(
    'one of three servers is %s: nobody is lost, callers and owners go on, its checks are taken over',
    {
      timeout: 90_000,
    },
    async ([, signal], { annotate, expect }) => {
      await using engine = await etcdServer()
      await using servers = await fleet([engine.url, engine.url, engine.url])
      await using announced = await owners(servers.url, 6, ttl)
      const { names, clients, ids } = announced
      // The one that the first of the owners talks to.
      const victim = servers.servers.find(({ url }) => url === clients[0]?.farewell()?.urls[0])!
      const survivors = servers.servers.filter((server) => server !== victim)

      let well = true
      const target = createServer((_, response) => response.writeHead(well ? 200 : 500).end())
      target.listen(0, '127.0.0.1')
      await once(target, 'listening')
      await using _closing = { [Symbol.asyncDispose]: async () => void target.close() }
      const { port } = target.address() as AddressInfo
      await using checked = connect(servers.url, { signals: false, notify: () => {} })
      const members = servers.servers.map(({ name }) => name)
      const owned = (id: string) =>
        rendezvous(members, instanceId({ namespace: 'default', service: 'web', id })) === victim.name
      // Two of its share, and two of the others'.
      const candidates = Array.from({ length: 100 }, (_, index) => `web-${index}`)
      const web = [
        ...candidates.filter(owned).slice(0, 2),
        ...candidates.filter((id) => !owned(id)).slice(0, 2),
      ]
      for (const id of web)
        await checked.announce({
          ...{ name: 'web', id, address: '127.0.0.1', port, ttl, drain: 0 },
          checks: [{ type: 'http', url: '/', interval: 1_000 }],
        })

      await using watched = witnesses(survivors)
      await watched.until('all are announced', ({ present }) => names.every((name) => present.has(name)))
      const allWeb = (status: string) => (witness: Witness) =>
        web.every((id) => witness.present.get(`web/${id}`)?.health.status === status)
      await watched.until('those that are well pass', allWeb('passing'))
      await using caller = connect(servers.url, { signals: false, notify: () => {} })
      let fewest = Number.POSITIVE_INFINITY
      await using calls = repeatedly(async () => {
        await caller.find('api')
        fewest = Math.min(fewest, (await caller.findAll('api')).length)
      })
      const before = announced.tokens()

      victim.child.kill(signal)
      await once(victim.child, 'exit')
      const killed = performance.now()
      well = false
      await watched.until('those that went bad are critical', allWeb('critical'))
      await annotate(`The checks were taken over after ${Math.round(performance.now() - killed)} ms.`)
      // For longer than a lease that nobody renewed would last.
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, killed + 2 * ttl - performance.now())))

      expect(watched.lost).toEqual([])
      expect(announced.tokens()).toEqual(before)
      expect(calls.errors).toEqual([])
      expect(calls.times).toBeGreaterThan(0)
      expect(fewest).toBe(ids.length)
    },
  )
})
