import type { Balancer } from '../balancer.ts'
import type { Entry } from '../ports.ts'

/** Turns after which the order begins again, unless there are more candidates. */
const longest = 4_096

/**
 * One after the other, in proportion to the weights, and evenly mixed: with weights 5, 1 and 1, the heavy one's turns
 * are spread over the round, as nginx spreads them. Needs `turn`.
 */
export const roundRobin: Balancer = (candidates) => {
  const order = turns(candidates)
  const { length } = order
  return ({ random, turn = Math.floor(random * length), avoid }) => {
    const start = turn % length
    if (avoid === undefined) return order[start]
    for (let step = 0; step < length; step++) {
      const entry = order[(start + step) % length]!
      if (!avoid(entry)) return entry
    }
    return undefined
  }
}

/** The golden ratio: its multiples, modulo 1, keep away from one another. */
const golden = 0.618_033_988_75

/** One round. An entry's n turns stand 1 / n of it apart, each entry's with an offset of its own. */
function turns(candidates: readonly Entry[]): readonly Entry[] {
  const weights = rounded(candidates.map(({ instance }) => instance.weight))
  const places = candidates.flatMap((entry, index) => {
    const weight = weights[index]!
    const offset = (0.5 + index * golden) % 1
    return Array.from({ length: weight }, (_, turn) => ({ entry, at: (turn + offset) / weight }))
  })
  return places.sort((a, b) => a.at - b.at).map(({ entry }) => entry)
}

/** The same proportions in small whole numbers; whoever weighs something keeps a turn. */
function rounded(weights: readonly number[]): readonly number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  if (total === 0) return weights.map(() => 1)
  const divisor = weights.reduce(gcd, 0)
  const scale = Math.min(1 / divisor, longest / total)
  return weights.map((weight) => (weight === 0 ? 0 : Math.max(1, Math.round(weight * scale))))
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b)
}
