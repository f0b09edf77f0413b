import type { TcpCheck } from '@seamark/core'
import type { Outcome, RunContext } from './check-runner.ts'
import { dial } from './dial.ts'
import { bracketed, pinned } from './target-policy.ts'

/** A connection that opens passes; nothing is sent over it. */
export async function tcpCheck(check: TcpCheck, { instance, policy, signal }: RunContext): Promise<Outcome> {
  const target = await pinned(check, instance, policy, signal)
  const socket = await dial(target, signal)
  socket.destroy()
  return { status: 'passing', output: `Connected to ${bracketed(target.host)}:${target.port}` }
}
