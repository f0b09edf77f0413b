import { type Batch, type Entry, instance, passing, SeamarkError, type Source } from '@seamark/core'
import { describe, expect, it } from 'vitest'
import { follower } from './follower.ts'

const service = { namespace: 'default', service: 'api' }

function entry(id: string, modifiedRevision: number, key = service): Entry {
  const shown = instance({ ...key, id, address: '127.0.0.1', port: 1 })
  return Object.freeze({ instance: shown, health: passing, createdRevision: 1, modifiedRevision })
}

const reset = (revision: number, ...entries: Entry[]): Batch => ({
  revision,
  changes: [{ type: 'reset', entries, holders: [] }],
})
const put = (revision: number, shown: Entry): Batch => ({
  revision,
  changes: [{ type: 'put', entry: shown }],
})

/** Yields what it is told on each watch, one after the other. */
function source(...watches: (readonly (Batch | Error)[])[]): Source {
  return {
    freshness: 'push',
    async *watch() {
      for (const item of watches.shift() ?? []) {
        if (item instanceof Error) throw item
        yield item
      }
    },
    async [Symbol.asyncDispose]() {},
  }
}

describe('a follower', () => {
  it('folds what it reads', async () => {
    const batches: Batch[] = [
      reset(1, entry('a', 1), entry('b', 1)),
      put(2, entry('c', 2)),
      { revision: 3, changes: [{ type: 'delete', key: { ...service, id: 'a' } }] },
      {
        revision: 4,
        changes: [{ type: 'claim', holder: { ...service, id: 'b', name: 'primary', fence: 4 } }],
      },
    ]
    const following = follower(source(batches), [service])
    await following.ended
    expect([...following.entries.values()].map((shown) => shown.instance.id)).toEqual(['b', 'c'])
    expect(following.holder({ ...service, name: 'primary' })?.id).toBe('b')
    expect(following.revision).toBe(4)
    await expect(following.until('more', () => false)).rejects.toThrow('The watch ended before: more')
  })

  const broken: Record<string, readonly Batch[]> = {
    'its first change is no reset': [put(1, entry('a', 1))],
    'its revision did not grow from 2': [reset(2), put(2, entry('a', 2))],
    'a reset holds an instance twice': [reset(1, entry('a', 1), entry('a', 1))],
    'it shows another service': [reset(1, entry('a', 1, { ...service, service: 'web' }))],
    'an entry went back to an older revision': [reset(2, entry('a', 2)), put(3, entry('a', 1))],
    'do not fit the batch': [reset(1, entry('a', 2))],
    'an entry is not frozen': [reset(1, { ...entry('a', 1) })],
    'a revision is no safe integer': [reset(0.5)],
  }
  for (const [problem, batches] of Object.entries(broken))
    it(`finds that ${problem}`, async () => {
      const following = follower(source(batches), [service])
      await expect(following.ended).rejects.toThrow(problem)
      await expect(following.until('anything', () => true)).rejects.toThrow(problem)
    })

  it('begins again where the engine is away, if it is told to', async () => {
    const away = new SeamarkError('engine_unavailable', 'away')
    const watches = () => source([reset(5, entry('a', 1)), away], [reset(1, entry('b', 1))])
    await expect(follower(watches(), [service]).ended).rejects.toThrow('away')
    const following = follower(watches(), [service], { persistent: true })
    await following.until('the second watch', () => following.entry({ ...service, id: 'b' }) !== undefined)
    expect(following.entries.size).toBe(1)
  })
})
