import type { Exchange, Step } from './api.ts'

/** Where Seamark answers otherwise than Consul on purpose. `docs/reference/consul-api.md` lists them by their names. */
export interface ChosenDifference {
  readonly name: string
  readonly reason: string
  /** A step as it is compared: without what may differ. */
  readonly equated: (step: Step) => Step
}

export const chosenDifferences: readonly ChosenDifference[] = []

/** Changes answers, and leaves notes. */
export function ofAnswers(change: (exchange: Exchange) => Exchange['answer']): (step: Step) => Step {
  return (step) => ('note' in step ? step : { ...step, answer: change(step) })
}
