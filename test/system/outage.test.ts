import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, http } from '@seamark/client'
import { describe, expect, it } from 'vitest'
import { freePort, serverProcess } from './server-process.ts'

const api = { namespace: 'default', service: 'api' }

describe('while the registry is away', () => {
  it('a client still finds; an empty registry that comes back has everybody again within one TTL', {
    timeout: 60_000,
  }, async () => {
    const port = await freePort()
    const first = await serverProcess('memory:', port)
    await using owner = connect(first.url, { signals: false })
    await using caller = connect(first.url, { signals: false })
    const ids = ['a', 'b', 'c']
    for (const id of ids)
      await owner.announce({ name: 'api', id, port: 3000, address: '127.0.0.1', ttl: 6_000 })
    expect(await caller.findAll('api')).toHaveLength(3)

    await first.kill()
    for (let call = 0; call < 100; call++) expect(ids).toContain((await caller.find('api')).id)

    await using second = await serverProcess('memory:', port)
    const back = Date.now()
    const seen = new Set<string>()
    await using witness = http(second.url)
    for await (const { changes } of witness.watch([api], AbortSignal.timeout(20_000))) {
      for (const change of changes)
        for (const entry of change.type === 'reset'
          ? change.entries
          : change.type === 'put'
            ? [change.entry]
            : [])
          seen.add(entry.instance.id)
      expect((await caller.findAll('api')).length).toBeGreaterThan(0)
      if (seen.size === 3) break
    }
    expect([...seen].sort()).toEqual(ids)
    // Not a matter of speed, but of the promise: one TTL.
    expect(Date.now() - back).toBeLessThan(6_000)
    // Before their server goes.
    await Promise.all([owner.close(), caller.close()])
  })
})

describe('a suspended registry', () => {
  it('expires nobody who renews after it woke', { timeout: 60_000 }, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'seamark-suspended-'))
    try {
      await using server = await serverProcess(`lmdb:${directory}`)
      const ttl = 2_000
      await using owner = connect(server.url, { signals: false })
      for (const id of ['a', 'b', 'c'])
        await owner.announce({ name: 'api', id, port: 3000, address: '127.0.0.1', ttl })
      await using witness = http(server.url)
      server.child.kill('SIGSTOP')
      await new Promise((resolve) => setTimeout(resolve, 3 * ttl))
      server.child.kill('SIGCONT')

      const deletions: string[] = []
      let present = new Set<string>()
      for await (const { changes } of witness.watch([api], AbortSignal.timeout(3 * ttl)))
        for (const change of changes) {
          if (change.type === 'reset') present = new Set(change.entries.map(({ instance }) => instance.id))
          if (change.type === 'delete') deletions.push(change.key.id)
        }
      expect([...present].sort()).toEqual(['a', 'b', 'c'])
      expect(deletions).toEqual([])
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})
