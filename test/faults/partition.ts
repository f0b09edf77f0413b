import { expect, it } from 'vitest'
import { line } from '../servers/line.ts'
import { asked, service } from './asked.ts'
import { dump } from './dump.ts'
import { fleet } from './fleet.ts'
import { owners } from './owners.ts'
import { witnesses } from './witnesses.ts'

const ttl = 4_000

export interface PartitionedEngine {
  /** The port of its server. */
  readonly port: number
  /** Its URL by way of another port of this machine. */
  url(port: number): string
}

/** One of three servers loses the engine, in both directions and without a word, for longer than a TTL. */
export function testPartition(engine: () => PartitionedEngine): void {
  it('a server that was cut off from the engine for longer than a TTL shows what all others show, once it is back', {
    timeout: 120_000,
  }, async ({ annotate }) => {
    const { port, url } = engine()
    await using way = await line(port)
    await using servers = await fleet([url(way.port), url(port), url(port)])
    const [apart, second, third] = servers.servers as unknown as readonly [Server, Server, Server]
    await using announced = await owners(servers.url, 6, ttl)
    const { names, ids } = announced
    for (const id of ['kept', 'removed']) expect(await put(second, id, {})).toBe(201)
    expect(await put(third, 'expiring', { ttl })).toBe(201)
    await using everywhere = witnesses(servers.servers)
    await everywhere.until('all are registered', ({ present }) =>
      [...names, 'web/kept', 'web/removed', 'web/expiring'].every((name) => present.has(name)),
    )
    await using others = witnesses([second, third])
    await others.until('all are registered', ({ present }) => names.every((name) => present.has(name)))

    way.hold()
    const cut = performance.now()
    const elapsed = () => Math.round(performance.now() - cut)
    const sent = put(apart, 'refused', {}).then((status) => ({ status, took: elapsed() }))
    expect(await put(third, 'new', {})).toBe(201)
    expect(
      (await asked(second, '/namespaces/default/services/web/instances/kept/maintenance', { enable: true }))
        .status,
    ).toBe(200)
    const gone = await fetch(`${second.url}/api/v1/namespaces/default/services/web/instances/removed`, {
      method: 'DELETE',
    })
    expect(gone.status).toBe(200)
    const { status, took } = await sent
    expect(status).toBe(503)
    await expect
      .poll(async () => (await service(apart, 'api')).body.staleSince, { timeout: 60_000 })
      .not.toBeNull()
    await annotate(`It refused a write after ${took} ms, and said that it was stale after ${elapsed()} ms.`)
    await others.until('whose owner is gone expired', ({ present }) => !present.has('web/expiring'), 60_000)
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, 2 * ttl - elapsed())))
    // What it knew, it shows.
    expect((await service(apart, 'api')).body.instances.map(({ id }) => id)).toEqual(ids)

    way.release()
    const healed = performance.now()
    await expect
      .poll(async () => (await service(apart, 'api')).body.staleSince, { timeout: 30_000 })
      .toBeNull()
    await expect
      .poll(
        async () => {
          const [one, ...rest] = await Promise.all(servers.servers.map(dump))
          for (const other of rest) expect(other).toEqual(one)
          // A refusal does not call back what was sent: held up on the way, it may still arrive. And Consul lists itself.
          return Object.keys(one!).filter((name) => !/^default\/(?:web\/refused$|consul\/)/.test(name))
        },
        { timeout: 30_000 },
      )
      .toEqual([
        ...names.map((name) => `default/${name}`),
        'default/web/kept',
        'default/web/new',
        ...servers.servers.map(({ name }) => `seamark/server/${name}`),
      ])
    await annotate(
      `All servers showed the same ${Math.round(performance.now() - healed)} ms after it was healed.`,
    )
    const kept = await asked(apart, '/namespaces/default/services/web/instances/kept')
    expect(kept.body).toMatchObject({ instance: { health: { status: 'maintenance' } } })
    // Nobody whose owner lives was missed, neither there nor elsewhere.
    expect([...everywhere.lost, ...others.lost].filter((name) => names.includes(name))).toEqual([])
  })
}

type Server = { readonly url: string }

async function put(server: Server, id: string, more: object): Promise<number> {
  const about = { address: '127.0.0.1', port: 3_000, ...more }
  return (await asked(server, `/namespaces/default/services/web/instances/${id}`, about)).status
}
