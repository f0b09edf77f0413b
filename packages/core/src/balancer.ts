import type { Entry } from './ports.ts'

/** All that may differ from one choice to the next: equal input, equal output. */
export interface Choice {
  /** In [0, 1). */
  readonly random: number
  /** How many choices were made before this one, for those that take turns. Default: taken from `random`. */
  readonly turn?: number
  /** What the request is about: equal keys go to the same instance for as long as it is there. */
  readonly key?: string
  /** What a request to it would cost now, such as its latency times those under way. Default nothing. */
  readonly cost?: (entry: Entry) => number
  /** The share of its weight that it may have yet, from 0 to 1: newcomers warm up. Default 1. */
  readonly warmth?: (entry: Entry) => number
  /** Those it must not be: tried before, or ejected. Default nobody. */
  readonly avoid?: (entry: Entry) => boolean
}

/** Prepared once per list of candidates, called once per request. `undefined` when there is nobody. */
export type Balancer = (candidates: readonly Entry[]) => (choice: Choice) => Entry | undefined
