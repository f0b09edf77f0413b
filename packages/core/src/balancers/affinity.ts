import type { Balancer } from '../balancer.ts'
import { digest, score } from '../rendezvous.ts'
import { weightedRandom } from './weighted-random.ts'

/**
 * Equal keys to the same instance, by rendezvous hashing in proportion to the weights: when an instance goes, only its own keys
 * move; those of one that is avoided go where they would go without it. Without a key, at random.
 */
export const affinity: Balancer = (candidates) => {
  const digests = candidates.map(({ instance }) => digest(instance.id))
  const weightless = candidates.every(({ instance }) => instance.weight === 0)
  const weights = candidates.map(({ instance }) => (weightless ? 1 : instance.weight))
  const any = weightedRandom(candidates)
  return (choice) => {
    const { key, avoid } = choice
    if (key === undefined) return any(choice)
    const hash = digest(key)
    let best = -1
    let most = Number.NEGATIVE_INFINITY
    for (let index = 0; index < digests.length; index++) {
      const share = weights[index]! / -Math.log((score(digests[index]!, hash) + 0.5) / 2 ** 32)
      if (share > most && weights[index] !== 0 && !avoid?.(candidates[index]!)) {
        most = share
        best = index
      }
    }
    return candidates[best]
  }
}
