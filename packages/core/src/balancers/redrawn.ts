import { mixed } from '../rendezvous.ts'

/**
 * Another number in [0, 1) in the place of one that has chosen somebody already: used again, it would choose among the rest by
 * what it has in common with the first choice.
 */
export function redrawn(random: number): number {
  const scaled = random * 2 ** 26
  const high = Math.floor(scaled)
  const low = Math.floor((scaled - high) * 2 ** 26)
  return (
    ((mixed(high ^ Math.imul(low, 0x9e3779b1)) >>> 6) * 2 ** 26 + (mixed(low ^ 0x85ebca6b) >>> 6)) / 2 ** 52
  )
}
