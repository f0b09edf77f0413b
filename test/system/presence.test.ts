import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type Discovery, type Endpoint } from '@seamark/client'
import { describe, expect, it } from 'vitest'
import { fleet } from '../faults/fleet.ts'
import { engineTests } from '../servers/engine-tests.ts'
import { etcdServer } from '../servers/etcd.ts'
import { line } from '../servers/line.ts'
import { announcer } from './announcer.ts'
import { freePort, serverProcess } from './server-process.ts'

/** Resolves once that holds of the ids of all instances of `api` that are seen. */
async function seen(discovery: Discovery, holds: (ids: readonly string[]) => boolean): Promise<void> {
  for await (const { entries } of discovery.watch('api', { signal: AbortSignal.timeout(60_000) }))
    if (holds(entries.map(({ instance }) => instance.id))) return
  throw new Error('That was not seen within a minute.')
}

const ids = (endpoints: readonly Endpoint[]) => endpoints.map(({ id }) => id)

/** Resolves once the servers have so many streams of presence in all. */
async function streams(urls: readonly string[], count: number): Promise<void> {
  await expect
    .poll(
      async () => {
        const texts = await Promise.all(urls.map(async (url) => (await fetch(`${url}/metrics`)).text()))
        return texts
          .map((text) => Number(/^seamark_presence_streams (\d+)$/m.exec(text)?.[1]))
          .reduce((sum, own) => sum + own, 0)
      },
      { timeout: 30_000 },
    )
    .toBe(count)
}

describe('a service that announced itself', { timeout: 90_000 }, () => {
  it('is gone soon after it was killed, or ended without a word', async ({ annotate }) => {
    await using server = await serverProcess('memory:')
    await using watcher = connect(server.url, { signals: false })
    await using first = await announcer(server.url, 'first')
    await using second = await announcer(server.url, 'second', {
      afterwards: 'setTimeout(() => process.exit(), 500)',
    })
    await seen(watcher, (all) => all.includes('first') && all.includes('second'))
    await streams([server.url], 2)
    const killed = performance.now()
    await first.kill()
    await seen(watcher, (all) => !all.includes('first'))
    await annotate(`Seen ${Math.round(performance.now() - killed)} ms after kill -9.`)
    await seen(watcher, (all) => all.length === 0)
    expect(second.child.exitCode).toBe(0)
  })

  it('is not kept alive by that', async () => {
    await using server = await serverProcess('memory:')
    await using done = await announcer(server.url, 'done', { afterwards: '' })
    if (done.child.exitCode === null) await once(done.child, 'exit')
    expect(done.child.exitCode).toBe(0)
  })

  it('is not gone while it is suspended', async () => {
    await using server = await serverProcess('memory:')
    await using watcher = connect(server.url, { signals: false })
    await using stopped = await announcer(server.url, 'stopped')
    await using killed = await announcer(server.url, 'killed')
    await streams([server.url], 2)
    stopped.child.kill('SIGSTOP')
    // Whoever died after it was stopped is gone, and so it would be.
    await killed.kill()
    await seen(watcher, (all) => !all.includes('killed'))
    expect(ids(await watcher.findAll('api'))).toEqual(['stopped'])
    stopped.child.kill('SIGCONT')
  })

  it('is not gone because the server was suspended while its connection broke', async () => {
    await using server = await serverProcess('memory:')
    await using way = await line(Number(new URL(server.url).port))
    await using watcher = connect(server.url, { signals: false })
    await using other = await announcer(server.url, 'other')
    await using announced = await announcer(way.url, 'announced')
    await streams([server.url], 2)
    server.child.kill('SIGSTOP')
    way.cut()
    // It comes back at once, and waits to be accepted; for longer than the grace.
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    server.child.kill('SIGCONT')
    await streams([server.url], 2)
    await other.kill()
    await seen(watcher, (all) => !all.includes('other'))
    expect(ids(await watcher.findAll('api'))).toEqual(['announced'])
    expect(announced.child.exitCode).toBe(null)
  })

  it('stays when the server is killed and starts again, and is gone when it is killed then', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'seamark-presence-'))
    try {
      const port = await freePort()
      const before = await serverProcess(`lmdb:${directory}`, port)
      await using announced = await announcer(before.url, 'announced')
      await streams([before.url], 1)
      await before.kill()
      await using after = await serverProcess(`lmdb:${directory}`, port)
      await using watcher = connect(after.url, { signals: false })
      await streams([after.url], 1)
      expect(ids(await watcher.findAll('api'))).toEqual(['announced'])
      await announced.kill()
      await seen(watcher, (all) => all.length === 0)
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })
})

engineTests('etcd', () => {
  it('a service goes from one of several servers to another, and is gone when it is killed there', {
    timeout: 90_000,
  }, async () => {
    await using engine = await etcdServer()
    await using servers = await fleet([engine.url, engine.url])
    const [first, second] = servers.servers.map(({ url }) => url) as [string, string]
    await using way = await line(Number(new URL(first).port))
    await using watcher = connect(second, { signals: false })
    // As behind a balancer: it does not know that it is another server.
    await using moving = await announcer(way.url, 'moving')
    await using staying = await announcer(first, 'staying')
    await using killed = await announcer(second, 'killed')
    await seen(watcher, (all) => all.length === 3)
    await streams([first], 2)
    await streams([second], 1)
    way.lead(Number(new URL(second).port))
    way.cut()
    await streams([first], 1)
    await streams([second], 2)
    await Promise.all([staying.kill(), killed.kill()])
    await seen(watcher, (all) => all.length === 1)
    expect(ids(await watcher.findAll('api'))).toEqual(['moving'])
    await moving.kill()
    await seen(watcher, (all) => all.length === 0)
  })
})
