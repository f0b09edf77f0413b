import type { ScheduledCheck } from '@seamark/core'
import type { CheckRunner, Outcome, RunContext } from './check-runner.ts'
import { commandCheck } from './command-check.ts'
import { grpcCheck } from './grpc-check.ts'
import { httpCheck } from './http-check.ts'
import { tcpCheck } from './tcp-check.ts'

const runners: {
  readonly [Type in ScheduledCheck['type']]: CheckRunner<Extract<ScheduledCheck, { type: Type }>>
} = {
  http: httpCheck,
  tcp: tcpCheck,
  grpc: grpcCheck,
  command: commandCheck,
}

/** Runs a check once. Failing is an outcome too: it rejects only with the signal's reason. */
export async function runCheck(check: ScheduledCheck, context: RunContext): Promise<Outcome> {
  // The table pairs each type with its runner, which TypeScript cannot follow through a lookup.
  const run = runners[check.type] as CheckRunner<ScheduledCheck>
  try {
    return await run(check, context)
  } catch (error) {
    if (context.signal.aborted) throw context.signal.reason
    return { status: 'critical', output: explained(error) }
  }
}

/** A socket that tried several addresses fails with all of their errors, and no message of its own. */
function explained(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0)
    return error.errors.map(explained).join('\n')
  return error instanceof Error && error.message !== '' ? error.message : String(error)
}
