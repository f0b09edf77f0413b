import { describe, expect, it } from 'vitest'
import { SeamarkError } from './errors.ts'
import { fakeClock } from './fake-clock.ts'
import { type ItemsUpdate, items } from './items.ts'
import { memory } from './memory.ts'
import type { Item, ItemBatch } from './ports.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const put = (key: string, text = key) => ({ type: 'put', key, value: bytes(text) }) as const

function item(key: string, modifiedRevision: number, text = key): Item {
  return Object.freeze({ key, value: bytes(text), createdRevision: 1, modifiedRevision })
}

/** A store that shows what it is told to. */
function source() {
  let deliver: (batch: ItemBatch | Error) => void = () => {}
  return {
    async *watchItems(_prefix: string, signal: AbortSignal): AsyncGenerator<ItemBatch> {
      while (!signal.aborted) {
        const next = await new Promise<ItemBatch | Error | undefined>((resolve) => {
          deliver = resolve
          signal.addEventListener('abort', () => resolve(undefined), { once: true })
        })
        if (next instanceof Error) throw next
        if (next !== undefined) yield next
      }
    },
    deliver: (batch: ItemBatch | Error) => deliver(batch),
  }
}

describe('the replica of a store', () => {
  it('shows what is under its prefix, in the order of the keys, as it is written', async () => {
    await using engine = memory()
    await engine.write([put('a/2'), put('a/1'), put('b/1')])
    await using replica = items(engine, 'a/')
    await replica.warm()
    const keys = (prefix: string) => replica.list(prefix).map(({ key }) => key)
    expect(keys('')).toEqual(['a/1', 'a/2'])
    const revision = await engine.write([put('a/10'), { type: 'delete', key: 'a/2' }])
    await replica.reached(revision!)
    expect(keys('')).toEqual(['a/1', 'a/10'])
    expect(keys('a/10')).toEqual(['a/10'])
    expect(keys('a/3')).toEqual([])
    expect(replica.get('a/1')?.modifiedRevision).toBe(1)
    expect(replica.get('a/2')).toBeUndefined()
    expect(replica.size).toBe(2)
  })

  it('lists as a sorted array would, whatever was written in whatever order', async () => {
    await using engine = memory()
    await using replica = items(engine, '')
    await replica.warm()
    const model = new Map<string, string>()
    let random = 7
    for (let round = 0; round < 300; round++) {
      random = (random * 48_271) % 2_147_483_647
      const key = `k${random % 40}`
      const operation = random % 3 === 0 ? ({ type: 'delete', key } as const) : put(key, `${round}`)
      if (operation.type === 'delete') model.delete(key)
      else model.set(key, `${round}`)
      await replica.reached((await engine.write([operation]))!)
      if (round % 5 === 0)
        expect(replica.list('k1').map(({ key }) => key)).toEqual(
          [...model.keys()].filter((key) => key.startsWith('k1')).sort(),
        )
    }
    expect(replica.list('').map(({ key, value }) => [key, new TextDecoder().decode(value)])).toEqual(
      [...model].sort(([a], [b]) => (a < b ? -1 : 1)),
    )
  })

  it('tells of a reset as the difference that it makes', async () => {
    const store = source()
    await using replica = items(store, '')
    const updates: ItemsUpdate[] = []
    replica.subscribe((update) => updates.push(update))
    store.deliver({
      revision: 5,
      changes: [{ type: 'reset', items: [item('a', 1), item('b', 2), item('c', 3)] }],
    })
    await replica.warm()
    store.deliver({ revision: 9, changes: [{ type: 'reset', items: [item('a', 1), item('b', 7)] }] })
    await replica.reached(9)
    expect(updates[1]).toEqual({
      revision: 9,
      changes: [
        { type: 'delete', key: 'c' },
        { type: 'put', item: item('b', 7) },
      ],
    })
    store.deliver({ revision: 2, changes: [{ type: 'reset', items: [item('a', 1, 'other'), item('b', 7)] }] })
    await expect.poll(() => updates.length).toBe(3)
    expect(updates[2]?.changes).toEqual([{ type: 'put', item: item('a', 1, 'other') }])
    expect(replica.revision).toBe(2)
  })

  it('keeps what it knew when the store is lost, says since when, and comes back', async () => {
    const clock = fakeClock()
    const notices: string[] = []
    const store = source()
    await using replica = items(store, '', { clock, notify: ({ event }) => notices.push(event) })
    expect(replica.staleSince).toBe(clock.date())
    store.deliver({ revision: 5, changes: [{ type: 'reset', items: [item('a', 1)] }] })
    await replica.warm()
    expect(replica.staleSince).toBeUndefined()
    store.deliver(new SeamarkError('engine_unavailable', 'gone'))
    await expect.poll(() => replica.staleSince).toBe(clock.date())
    expect(replica.get('a')).toBeDefined()
    await clock.advance(10_000)
    store.deliver({ revision: 6, changes: [{ type: 'reset', items: [] }] })
    await replica.reached(6)
    expect([replica.staleSince, replica.size, notices]).toEqual([
      undefined,
      0,
      ['source_lost', 'source_regained'],
    ])
  })

  it('lets those who wait go when it is closed, and when they lose interest', async () => {
    const store = source()
    const replica = items(store, '')
    const waiting = replica.warm()
    const bored = replica.reached(1, AbortSignal.abort(new Error('bored')))
    await expect(bored).rejects.toThrow('bored')
    const closing = replica[Symbol.asyncDispose]()
    await expect(waiting).rejects.toMatchObject({ code: 'closed' })
    await closing
    await expect(replica.warm()).rejects.toMatchObject({ code: 'closed' })
  })
})
