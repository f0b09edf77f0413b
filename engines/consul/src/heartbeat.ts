import { type Clock, sleep } from '@seamark/core'
import type { Agent } from './agent.ts'

/** Milliseconds between two looks whether the agent is there: a blocking query would not tell for minutes. */
const interval = 5_000

/** Aborts a watch when the agent does not answer. */
export async function heartbeat(agent: Agent, clock: Clock, controller: AbortController): Promise<void> {
  const { signal } = controller
  try {
    while (true) {
      await sleep(clock, interval, signal)
      await agent.pulse(signal)
    }
  } catch (error) {
    controller.abort(error)
  }
}
