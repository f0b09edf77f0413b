import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { milliseconds } from '@seamark/core'
import { vi } from 'vitest'
import type { CallerOptions, Outcome } from './caller-process.ts'

/** Where requests go in, so that they come out at instances. */
export interface Entrance extends AsyncDisposable {
  /** What the caller calls this way. */
  readonly way: string
  /** What it has to know: the registry's URL, or the gateway's. */
  readonly url: string
  /** Why a request failed, with the instances that were tried. */
  blame(outcome: Outcome): Promise<string>
}

/** Opens an entrance over the registry of this URL, which treats requests as the caller would. */
export type WayIn = (registry: string, options: CallerOptions) => Promise<Entrance>

/** The caller itself, with the client: asks the registry. */
const client =
  (way: string): WayIn =>
  async (registry) => ({
    way,
    url: registry,
    blame: async ({ failure = '' }) => failure,
    async [Symbol.asyncDispose]() {},
  })

const program = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** The gateway, which tells its log, and not the caller, who was tried. */
const gateway: WayIn = async (registry, { tryTimeout }) => {
  const args =
    tryTimeout === undefined
      ? [
          program('../../../packages/cli/bin/seamark.js'),
          ...['gateway', '--json', '--url', registry, '--port', '0', '--status-port', 'off'],
          ...['--log-level', 'warn', '--log-format', 'json'],
        ]
      : [
          program('gateway.js'),
          registry,
          JSON.stringify({ bounds: { tryTimeout: milliseconds('tryTimeout', tryTimeout) } }),
        ]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const gone = once(child, 'exit')
  const lines: string[] = []
  createInterface(child.stderr).on('line', (line) => lines.push(line))
  const printed = await Promise.race([once(child.stdout, 'data'), gone.then(() => undefined)])
  if (printed === undefined) throw new Error(`The gateway did not start: ${lines.join('\n')}`)
  return {
    way: 'gateway',
    url: JSON.parse(String(printed[0])).url,
    blame: ({ name, failure }) =>
      vi.waitFor(
        () => {
          const [method, number] = name.split(' ')
          for (const line of lines) {
            const { method: its, path, reason } = JSON.parse(line)
            if (its === method && path === `/api/${number}`) return `${failure} ${reason}`
          }
          throw new Error(`The gateway's log has nothing of ${name}, which failed: ${failure}`)
        },
        { timeout: 10_000 },
      ),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await gone
    },
  }
}

export const waysIn: Readonly<Record<string, WayIn>> = {
  client: client('client'),
  'interceptor of undici': client('interceptor'),
  gateway,
}
