import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/**
 * A process of this folder's `workers/`, whose functions can be called from here (see `workers/answers.js`).
 * @template {Record<string, (argument: any) => any>} Functions
 * @typedef {object} Worker
 * @property {<Name extends keyof Functions & string>(name: Name, argument: Parameters<Functions[Name]>[0]) => Promise<Awaited<ReturnType<Functions[Name]>>>} call
 * @property {() => Promise<void>} close
 */

/**
 * @template {Record<string, (argument: any) => any>} Functions
 * @param {string} name
 * @param {{ flags?: readonly string[], openFiles?: number }} [options] flags of Node.js; how many files it may open
 * @returns {Promise<Worker<Functions>>}
 */
export async function worker(name, { flags = [], openFiles } = {}) {
  const script = fileURLToPath(new URL(`workers/${name}.js`, import.meta.url))
  const [program, ...args] = withOpenFiles([process.execPath, ...flags, script], openFiles)
  const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  endWithUs(child)
  /** @type {Map<number, { resolve(value: any): void, reject(error: Error): void }>} */
  const calls = new Map()
  let last = 0
  child.on(
    'message',
    (/** @type {{ id: number, value?: unknown, error?: string }} */ { id, value, error }) => {
      const call = calls.get(id)
      calls.delete(id)
      if (error === undefined) call?.resolve(value)
      else call?.reject(new Error(`In the ${name} process: ${error}`))
    },
  )
  child.once('exit', (code, signal) => {
    for (const { reject } of calls.values())
      reject(new Error(`The ${name} process ended with ${signal ?? code}.`))
  })
  await once(child, 'spawn')
  return {
    call: (name, argument) =>
      new Promise((resolve, reject) => {
        const id = ++last
        calls.set(id, { resolve, reject })
        child.send({ id, name, argument })
      }),
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.disconnect()
      await once(child, 'exit')
    },
  }
}

/**
 * The command that runs a command with that many open files allowed; the same where that many are allowed anyway.
 * @param {readonly [string, ...string[]]} command
 * @param {number | undefined} openFiles
 * @returns {readonly [string, ...string[]]}
 */
export function withOpenFiles(command, openFiles) {
  if (openFiles === undefined || process.platform === 'win32') return command
  return [
    'sh',
    '-c',
    `[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge ${openFiles} ] || ulimit -n ${openFiles}; exec "$0" "$@"`,
    ...command,
  ]
}

/**
 * A process that this one started ends with it, however it ends.
 * @param {import('node:child_process').ChildProcess} child
 */
export function endWithUs(child) {
  const kill = () => child.kill('SIGKILL')
  // Before its folder is removed: until then it would write there.
  process.prependOnceListener('exit', kill)
  child.once('exit', () => process.off('exit', kill))
}
