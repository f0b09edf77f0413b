import type { Balancer } from '../balancer.ts'
import type { Entry } from '../ports.ts'
import { redrawn } from './redrawn.ts'

/** Turns a newcomer down as often as it is not warm yet, and chooses another in its place. Needs `warmth`. */
export function slowStart(balancer: Balancer): Balancer {
  return (candidates) => {
    const choose = balancer(candidates)
    return (choice) => {
      const { random, warmth, avoid } = choice
      const chosen = choose(choice)
      if (chosen === undefined || warmth === undefined) return chosen
      const dice = redrawn(random)
      if (dice < warmth(chosen)) return chosen
      const others = (entry: Entry) => entry === chosen || avoid?.(entry) === true
      return choose({ ...choice, random: redrawn(dice), avoid: others }) ?? chosen
    }
  }
}
