import { describe, expect, it } from 'vitest'
import { catalog, watchingCatalog } from './catalog.ts'
import { embedded } from './embedded.ts'
import { fakeClock } from './fake-clock.ts'
import { instance } from './instance.ts'
import type { Journal, JournalCommit } from './journal.ts'
import { memory } from './memory.ts'
import type { Notice } from './ports.ts'

const api = { namespace: 'default', service: 'api' }

function at(id: string, more: object = {}) {
  return instance({ ...api, id, address: '127.0.0.1', port: 3000, ...more })
}

describe('the embedded registry', () => {
  it('shows what is registered to its catalog, and expires what is not renewed', async () => {
    const clock = fakeClock()
    await using engine = memory({ clock })
    await using view = catalog(engine, { clock })
    const lease = await engine.register(at('a'), { ttl: 1_000 })
    await engine.register(at('b'), { ttl: 1_000 })
    await view.reached(2)
    expect(view.snapshot(api).entries.map(({ instance: { id } }) => id)).toEqual(['a', 'b'])
    await clock.advance(900)
    await lease.renew()
    await clock.advance(600)
    expect(view.snapshot(api).entries.map(({ instance: { id } }) => id)).toEqual(['a'])
    await clock.advance(1_000)
    expect(view.services()).toEqual([])
    expect(lease.lost.aborted).toBe(true)
    await expect(lease.renew()).rejects.toMatchObject({ code: 'lease_lost' })
  })

  it('moves every deadline by as long as the process stood still', async () => {
    const clock = fakeClock()
    const notices: Notice[] = []
    await using engine = memory({ clock, notify: (notice) => notices.push(notice) })
    const lease = await engine.register(at('a'), { ttl: 10_000 })
    await clock.advance(5_000)
    clock.jump(30_000)
    await clock.advance(4_000)
    expect(lease.lost.aborted).toBe(false)
    await clock.advance(2_000)
    expect(lease.lost.aborted).toBe(true)
    expect(notices.map(({ event }) => event)).toEqual(['clock_stalled', 'leases_expired'])
  })

  it('ends leases slowly when very many are over at once, and keeps those that are renewed meanwhile', async () => {
    const clock = fakeClock()
    const notices: Notice[] = []
    await using engine = memory({ clock, notify: (notice) => notices.push(notice) })
    const leases = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) => engine.register(at(`i${index}`), { ttl: 1_000 })),
    )
    await clock.advance(1_250)
    const lost = () => leases.filter((lease) => lease.lost.aborted).length
    expect(lost()).toBeGreaterThan(0)
    expect(lost()).toBeLessThanOrEqual(300)
    expect(notices[0]?.event).toBe('expiry_capped')
    const held = await engine.renew(leases.map(({ token }) => token))
    const kept = held.filter(Boolean).length
    expect(kept).toBe(1_000 - lost())
    await clock.advance(800)
    expect(leases.length - lost()).toBe(kept)
    await clock.advance(2_500)
    expect(lost()).toBe(1_000)
  })

  it('takes back what its journal could not commit, and tells the writers', async () => {
    const commits: JournalCommit[] = []
    let broken = false
    const journal: Journal = {
      load: () => ({ revision: 7, registrations: [], holders: [], items: [] }),
      async commit(commit) {
        if (broken) throw new Error('disk full')
        commits.push(commit)
      },
      async [Symbol.asyncDispose]() {},
    }
    await using engine = embedded(journal, { clock: fakeClock() })
    await using view = catalog(engine)
    const first = await engine.register(at('a', { zone: 'z1' }))
    broken = true
    const refused = await Promise.allSettled([
      engine.register(at('a', { zone: 'z2' })),
      engine.deregister({ ...api, id: 'a' }),
      engine.register(at('b')),
      engine.report({ ...api, id: 'a' }, [{ id: 'x', status: 'critical' }]),
    ])
    expect(refused.map((outcome) => outcome.status === 'rejected' && outcome.reason.code)).toEqual([
      'engine_unavailable',
      'engine_unavailable',
      'engine_unavailable',
      'engine_unavailable',
    ])
    broken = false
    await first.renew()
    const next = await engine.register(at('c'))
    await view.reached(next.revision)
    expect(view.snapshot(api).entries.map((entry) => [entry.instance.id, entry.instance.zone])).toEqual([
      ['a', 'z1'],
      ['c', undefined],
    ])
    expect(commits.map(({ writes }) => writes.length)).toEqual([1, 1])
    expect(commits[0]?.revision).toBe(8)
  })

  it('commits what arrives during a commit together with the next one', async () => {
    const sizes: number[] = []
    const journal: Journal = {
      load: () => ({ revision: 0, registrations: [], holders: [], items: [] }),
      async commit({ writes }) {
        sizes.push(writes.length)
        await new Promise((resolve) => setImmediate(resolve))
      },
      async [Symbol.asyncDispose]() {},
    }
    await using engine = embedded(journal)
    const first = engine.register(at('first'))
    await new Promise((resolve) => queueMicrotask(() => resolve(undefined)))
    await Promise.all([first, ...Array.from({ length: 50 }, (_, index) => engine.register(at(`i${index}`)))])
    expect(sizes).toEqual([1, 50])
  })
})

describe('a catalog on demand', () => {
  it('watches what is asked for, all in one watch', async () => {
    await using engine = memory()
    await engine.register(at('a'))
    await engine.register(at('w', { service: 'web' }))
    await using view = watchingCatalog(engine)
    const snapshots = await Promise.all([view.ready(api), view.ready({ ...api, service: 'web' })])
    expect(snapshots.map(({ entries }) => entries.length)).toEqual([1, 1])
    expect(view.snapshot(api)).toBe(snapshots[0])
    expect((await view.ready({ ...api, service: 'none' })).entries).toEqual([])
    expect(view.snapshot(api)).toBe(snapshots[0])
    expect(view.staleSince).toBeUndefined()
  })
})
