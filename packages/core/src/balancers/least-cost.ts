import type { Balancer, Choice } from '../balancer.ts'
import type { Entry } from '../ports.ts'
import { redrawn } from './redrawn.ts'
import { shares } from './shares.ts'

/** A random number has 52 bits, enough for two. */
const half = 2 ** 26
/** Until those to be avoided are sorted out, which takes longer the more candidates there are. */
const mostRedraws = 4

/**
 * The cheaper of two that are drawn by weight (Mitzenmacher, 2001: two choices spread load nearly as well as knowing all, and
 * nobody's stale knowledge sends everybody to the same one). Cost counts by weight: of two as expensive, the heavier one. Needs `cost`.
 */
export const leastCost: Balancer = (candidates) => {
  const { length } = candidates
  const index = shares(candidates.map(({ instance }) => instance.weight))
  const draw = ({ random, cost, avoid }: Choice, redraws: number): Entry | undefined => {
    const scaled = random * half
    const first = index(Math.floor(scaled) / half)
    let second = index(scaled - Math.floor(scaled))
    if (second === first) second = (first + 1 + Math.floor(scaled % Math.max(1, length - 1))) % length
    const one = candidates[first]
    const other = candidates[second]
    if (one === undefined || other === undefined) return one
    if (avoid !== undefined && (avoid(one) || avoid(other))) {
      // Both again: whoever is left of a pair would be taken without being compared.
      const again = { random: redrawn(random), ...(cost && { cost }) }
      if (redraws > 0) return draw({ ...again, avoid }, redraws - 1)
      return leastCost(candidates.filter((entry) => !avoid(entry)))(again)
    }
    return cost === undefined || costBy(cost, one) <= costBy(cost, other) ? one : other
  }
  return (choice) => draw(choice, mostRedraws)
}

function costBy(cost: (entry: Entry) => number, entry: Entry): number {
  return cost(entry) / Math.max(entry.instance.weight, 0.5)
}
