import type { Entry } from './ports.ts'

/** All that may differ from one choice to the next: equal input, equal output. */
export interface Choice {
  /** In [0, 1). */
  readonly random: number
}

/** Prepared once per list of candidates, called once per request. `undefined` when there is nobody. */
export type Balancer = (candidates: readonly Entry[]) => (choice: Choice) => Entry | undefined
