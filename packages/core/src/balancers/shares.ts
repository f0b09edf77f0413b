/** A number in [0, 1) stands for an index, which each gets in proportion to its weight; when all weigh nothing, in equal shares. */
export function shares(weights: readonly number[]): (random: number) => number {
  const { length } = weights
  if (weights.every((weight) => weight === weights[0])) return (random) => Math.floor(random * length)
  // Walker's alias method (Vose, 1991): two look-ups a choice, however many candidates.
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const share = weights.map((weight) => (weight * length) / total)
  const alias = weights.map((_, index) => index)
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
  return (random) => {
    const scaled = random * length
    const index = Math.floor(scaled)
    return scaled - index < share[index]! ? index : alias[index]!
  }
}
