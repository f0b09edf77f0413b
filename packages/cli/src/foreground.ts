import { connect } from '@seamark/client'
import { displayName, type InstanceKey, type Notice, sleep, systemClock } from '@seamark/core'
import { hostPort } from './address.ts'
import { serverUrls } from './api.ts'
import { child } from './child.ts'
import { described, type RegisterSettings } from './commands/register.ts'
import { interruption } from './interruption.ts'
import type { Output } from './output.ts'

export interface ForegroundOptions {
  readonly key: InstanceKey
  readonly port: number
  readonly settings: RegisterSettings
  /** The program to run, and its arguments; without one, the instance is registered until a signal comes. */
  readonly command: readonly string[] | undefined
  readonly output: Output
}

/** Milliseconds between deregistering and stopping, for callers to notice. */
const spread = 500
/** Milliseconds that a program is kept waiting for its signal at most, as when no server answers. */
const patience = 2_000

/**
 * Keeps an instance registered, until a signal or the end of its program. Answers the exit code of the program. Throws
 * what the registry refuses for good, and `Failure` when the program cannot be run.
 */
export async function announceInForeground({
  key,
  port,
  settings,
  command,
  output,
}: ForegroundOptions): Promise<number | undefined> {
  const urls = serverUrls(settings.url).join(',')
  using stop = interruption()
  // Signals are handled here, as the program must get them after the instance is deregistered.
  await using discovery = connect(urls, { signals: false, notify: (notice) => told(notice, output) })
  const { service: name, namespace, id } = key
  const announce = () =>
    discovery.announce({
      name,
      namespace,
      id,
      ...described(settings, port),
      ...(settings.ttl !== undefined && { ttl: settings.ttl }),
      drain: 0,
    })
  if (command === undefined) {
    await using announcement = await announce()
    await announcement.ready(stop.signal).catch(() => {})
    const { instance } = announcement
    if (output.json) output.document({ instance })
    else if (announcement.registered)
      output.print(`Registered ${displayName(key)} at ${hostPort(instance)}, until Ctrl-C.`)
    await stop.arrived
    return undefined
  }
  // First the program, since there is nothing to be found without it.
  const program = await child(command)
  const registering = announce()
  // What is refused for good ends the program too; awaited below.
  registering.catch(() => program.signal('SIGTERM'))
  const deregister = async () => (await registering.catch(() => undefined))?.close()
  void stop.arrived.then(async (signal) => {
    await Promise.race([deregister().then(() => sleep(systemClock, spread)), sleep(systemClock, patience)])
    program.signal(signal)
  })
  const code = await program.ended
  await deregister()
  await registering
  return code
}

function told({ level, message, details }: Notice, output: Output): void {
  if (level === 'info') return
  const error = details?.error
  output.remark(`seamark: ${message}${error instanceof Error ? ` (${error.message})` : ''}`)
}
