// @ts-check
// The processes of an example: started, waited for, ended.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** Milliseconds that any one step may take; far more than it does. */
export const patience = 30_000

const seamark = new URL('../packages/cli/bin/seamark.js', import.meta.url)

export class Processes {
  /** @type {import('node:child_process').ChildProcess[]} */
  #started = []

  /**
   * Runs a script of ours.
   * @param {URL} script
   * @param {{ args?: readonly string[], env?: Record<string, string> }} [options]
   */
  start(script, { args = [], env = {} } = {}) {
    /** @type {['ignore', 'pipe', 'inherit']} */
    const stdio = ['ignore', 'pipe', 'inherit']
    const child = spawn(process.execPath, [fileURLToPath(script), ...args], {
      stdio,
      env: { ...process.env, ...env },
    })
    this.#started.push(child)
    return child
  }

  /**
   * Runs `seamark` with `--json`; what it says once it is up.
   * @param {readonly string[]} args
   * @param {Record<string, string>} [env]
   */
  async seamark(args, env) {
    const child = this.start(seamark, {
      args: [...args, '--log-level', 'warn', '--json'],
      ...(env && { env }),
    })
    const [line] = await once(createInterface(child.stdout), 'line', {
      signal: AbortSignal.timeout(patience),
    })
    return JSON.parse(line)
  }

  /** Asks everybody to go, those who came last first. */
  async end() {
    for (const child of this.#started.reverse()) {
      child.kill('SIGTERM')
      const force = setTimeout(() => child.kill('SIGKILL'), patience)
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      clearTimeout(force)
    }
  }
}
