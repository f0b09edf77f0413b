import type { Balancer, Choice } from '../balancer.ts'
import type { Entry } from '../ports.ts'
import { redrawn } from './redrawn.ts'
import { shares } from './shares.ts'

/** Each gets a share of the requests in proportion to its weight; when all weigh nothing, equal shares. */
export const weightedRandom: Balancer = (candidates) => {
  const index = shares(candidates.map(({ instance }) => instance.weight))
  return (choice) => {
    const chosen = candidates[index(choice.random)]
    if (chosen === undefined || choice.avoid === undefined || !choice.avoid(chosen)) return chosen
    return amongOthers(candidates, choice, choice.avoid)
  }
}

/** The same among those that are left: rare, so that preparing it each time is cheap enough. */
function amongOthers(
  candidates: readonly Entry[],
  { random }: Choice,
  avoid: (entry: Entry) => boolean,
): Entry | undefined {
  const others = candidates.filter((entry) => !avoid(entry))
  return weightedRandom(others)({ random: redrawn(random) })
}
