import { ConsulError } from '../answer.ts'

/** Why a filter is none, in the words and with the status of Consul. */
export function filterError(problem: string): ConsulError {
  return new ConsulError(500, `Failed to create boolean expression evaluator: ${problem}`)
}
