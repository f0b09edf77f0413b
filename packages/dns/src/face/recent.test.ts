import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Recent } from './recent.ts'

describe('what was used lately', () => {
  it('is kept, and what was not goes', () => {
    const recent = new Recent<number>(100)
    for (let n = 0; n < 1_000; n++) {
      recent.set(`key ${n}`, n)
      expect(recent.get('key 0')).toBe(0)
    }
    expect(recent.get('key 999')).toBe(999)
    expect(recent.get('key 500')).toBeUndefined()
  })

  it('never weighs more than its bound', () => {
    const use = fc.record({
      key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      weight: fc.nat(60),
      get: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(use, { maxLength: 100 }), (uses) => {
        const recent = new Recent<number>(100, (weight) => weight)
        for (const { key, weight, get } of uses) {
          if (get) recent.get(key)
          else {
            recent.set(key, weight)
            expect(recent.get(key)).toBe(weight <= 50 ? weight : undefined)
          }
        }
        let all = 0
        for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) {
          const before = recent.get(key) ?? 0
          recent.delete(key)
          all += before
        }
        expect(all).toBeLessThanOrEqual(100)
      }),
    )
  })
})
