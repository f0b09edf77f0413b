import { type ChildProcess, spawn } from 'node:child_process'
import type { CommandCheck } from '@seamark/core'
import type { Outcome, RunContext } from './check-runner.ts'
import { OutputBuffer } from './output-buffer.ts'
import { refuseCheck } from './target-policy.ts'

/**
 * Runs a program without a shell, in the server's environment and directory. Exit code 0 passes, 1 warns, all else is
 * critical, as with Nagios and Consul. The output is what it printed, on both streams.
 */
export async function commandCheck(
  check: CommandCheck,
  { instance, policy, signal }: RunContext,
): Promise<Outcome> {
  refuseCheck(check, instance, policy)
  signal.throwIfAborted()
  const [program, ...parameters] = check.command as readonly [string, ...string[]]
  // A process group of its own, so that what the program starts can be ended with it.
  const child = spawn(program, parameters, {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: process.platform !== 'win32',
    windowsHide: true,
  })
  return new Promise((resolve, reject) => {
    // First of all: a machine out of file descriptors yields a child that has this event and no streams.
    child.once('error', reject)
    const output = new OutputBuffer()
    const streams = [child.stdout, child.stderr]
    for (const stream of streams) stream?.on('data', (chunk) => output.add(chunk))
    const abort = () => {
      if (child.exitCode === null && child.signalCode === null) killGroup(child)
      // A descendant that left the group may hold the pipes open.
      for (const stream of streams) stream?.destroy()
    }
    signal.addEventListener('abort', abort, { once: true })
    // What it left running would pile up, run after run, and keep the pipes open.
    child.once('exit', () => killGroup(child))
    child.once('close', (code, killedBy) => {
      if (signal.aborted) return reject(signal.reason)
      const ended = killedBy === null ? `Exit code ${code}` : `Killed by ${killedBy}`
      resolve({ status: statuses[code ?? -1] ?? 'critical', output: output.toString() || ended })
    })
  })
}

const statuses: Readonly<Record<number, Outcome['status']>> = { 0: 'passing', 1: 'warning' }

/** Windows has no process groups: there only the program itself is ended. */
function killGroup(child: ChildProcess): void {
  if (process.platform === 'win32') {
    child.kill('SIGKILL')
    return
  }
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Nobody of the group is left.
  }
}
