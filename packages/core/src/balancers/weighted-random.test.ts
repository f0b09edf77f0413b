import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { passing } from '../health.ts'
import { instance } from '../instance.ts'
import { weightedRandom } from './weighted-random.ts'

function weighing(weights: readonly number[]) {
  return weights.map((weight, index) => ({
    instance: instance({
      namespace: 'default',
      service: 'api',
      id: `i${index}`,
      address: '::1',
      port: 1,
      weight,
    }),
    health: passing,
    createdRevision: 1,
    modifiedRevision: 1,
  }))
}

describe('weighted random', () => {
  it('gives each its share of the choices', () => {
    const weights = fc.array(fc.nat(100), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(weights, (weights) => {
        const candidates = weighing(weights)
        const choose = weightedRandom(candidates)
        const draws = 20_000
        const counts = new Map(candidates.map((entry) => [entry, 0]))
        // Equidistant choices instead of random ones: the shares come out exactly, but for rounding.
        for (let draw = 0; draw < draws; draw++) {
          const entry = choose({ random: (draw + 0.5) / draws })!
          counts.set(entry, counts.get(entry)! + 1)
        }
        const total = weights.reduce((sum, weight) => sum + weight, 0)
        for (const [index, entry] of candidates.entries()) {
          const share = total === 0 ? 1 / weights.length : weights[index]! / total
          expect(Math.abs(counts.get(entry)! - draws * share)).toBeLessThanOrEqual(weights.length + 2)
        }
      }),
    )
  })

  it('answers the same to the same choice, and nothing when there is nobody', () => {
    const choose = weightedRandom(weighing([1, 5, 2]))
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (random) => {
        expect(choose({ random })).toBeDefined()
        expect(choose({ random })).toBe(choose({ random }))
      }),
    )
    expect(weightedRandom([])({ random: 0.5 })).toBeUndefined()
  })
})
