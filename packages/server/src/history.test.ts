import fc from 'fast-check'
import { expect, it } from 'vitest'
import { History } from './history.ts'
import type { Touched } from './touched.ts'

const page = (names: readonly string[]) =>
  new Map<string, Touched>(
    names.map((id) => [id, { type: 'instance', key: { namespace: 'default', service: 'api', id } }]),
  )

it('knows what was touched since any revision it still remembers, and says when it does not', () => {
  const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), { minLength: 1 })
  fc.assert(
    fc.property(fc.array(names, { maxLength: 60 }), fc.integer({ min: 1, max: 40 }), (batches, bound) => {
      const history = new History(bound, 0)
      for (const [index, batch] of batches.entries()) history.add(index + 1, page(batch))
      const latest = batches.length
      for (let revision = 0; revision <= latest; revision++) {
        const missed = batches.slice(revision)
        const since = history.since(revision, latest)
        const size = missed.reduce((sum, batch) => sum + batch.length, 0)
        if (size > bound) expect(since).toBeUndefined()
        else expect([...since!.keys()].sort()).toEqual([...new Set(missed.flat())].sort())
      }
      expect(history.since(latest + 1, latest)).toBeUndefined()
    }),
  )
})

it('remembers nothing of before it was cleared', () => {
  const history = new History(10, 0)
  history.add(5, page(['a']))
  history.clear(2)
  expect(history.since(5, 7)?.size).toBe(0)
  expect(history.since(2, 7)?.size).toBe(0)
  expect(history.since(1, 7)).toBeUndefined()
  history.add(7, page(['b']))
  expect([...history.since(2, 7)!.keys()]).toEqual(['b'])
})
