import type { Balancer } from '../balancer.ts'

/** Each gets a share of the requests in proportion to its weight; when all weigh nothing, equal shares. */
export const weightedRandom: Balancer = (candidates) => {
  const { length } = candidates
  const first = candidates[0]?.instance.weight
  if (candidates.every(({ instance }) => instance.weight === first))
    return ({ random }) => candidates[Math.floor(random * length)]
  // Walker's alias method (Vose, 1991): two look-ups a choice, however many candidates.
  const total = candidates.reduce((sum, { instance }) => sum + instance.weight, 0)
  const share = candidates.map(({ instance }) => (instance.weight * length) / total)
  const alias = candidates.map((_, index) => index)
  const small = share.flatMap((value, index) => (value < 1 ? [index] : []))
  const large = share.flatMap((value, index) => (value < 1 ? [] : [index]))
  while (small.length > 0 && large.length > 0) {
    const less = small.pop()!
    const more = large.pop()!
    alias[less] = more
    share[more] = share[more]! + share[less]! - 1
    if (share[more]! < 1) small.push(more)
    else large.push(more)
  }
  for (const index of [...small, ...large]) share[index] = 1
  return ({ random }) => {
    const scaled = random * length
    const index = Math.floor(scaled)
    return candidates[scaled - index < share[index]! ? index : alias[index]!]
  }
}
