import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { program } from '../scripts/programs.js'
import { endWithUs } from './worker.js'

/** @import { ProgramName } from '../scripts/programs.js' */

/**
 * A server that an engine runs on.
 * @typedef {object} Server
 * @property {string} url as the engine takes it
 * @property {() => Promise<void>} close
 */

/** Milliseconds. */
const patience = 30_000
const keptLog = 16 * 1024

/**
 * Starts an installed server, and waits until it says what it says once it is ready.
 * @param {ProgramName} name
 * @param {object} options
 * @param {readonly string[]} options.args
 * @param {string} options.folder to run in
 * @param {number} options.port
 * @param {string | Uint8Array} options.question what is sent to that port, until the answer begins with
 * @param {string} options.answer this
 * @param {NodeJS.Signals} [options.signal] ends it; default `SIGTERM`
 * @param {{ uid: number, gid: number }} [options.user] as whom to run it; default ourselves
 * @returns {Promise<() => Promise<void>>} what ends it
 */
export async function server(name, { args, folder, port, question, answer, signal = 'SIGTERM', user }) {
  const { file, args: first, env } = installed(name)
  const child = spawn(file, [...first, ...args], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...user,
  })
  endWithUs(child)
  const ended = once(child, 'close')
  let log = ''
  let over = false
  const end = () => {
    over = true
  }
  child.once('close', end)
  child.once('error', end)
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => {
      log = (log + text).slice(-keptLog)
    })
  const begun = performance.now()
  while (!(await says(port, question, answer))) {
    if (over) throw new Error(`${name} ended before it was ready:\n${log}`)
    if (performance.now() - begun > patience)
      throw new Error(`${name} was not ready within ${patience} ms:\n${log}`)
    await sleep(50)
  }
  return async () => {
    child.kill(signal)
    await ended
  }
}

/**
 * The version of an installed server, such as `3.4.23`.
 * @param {ProgramName} name
 */
export function versionOf(name) {
  const { file, args, version, env } = installed(name)
  const { stdout } = spawnSync(file, [...args, ...version], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  })
  return /\d+(?:\.\d+)+/.exec(stdout)?.[0] ?? ''
}

/** @param {ProgramName} name */
function installed(name) {
  const found = program(name)
  if (found === undefined) throw new Error(`${name} is not installed: npm run engines:install ${name}`)
  return found
}

/**
 * @param {number} port
 * @param {string | Uint8Array} question
 * @param {string} answer
 */
async function says(port, question, answer) {
  const socket = connect({ port, host: '127.0.0.1' })
  try {
    socket.write(question)
    const [said] = await once(socket, 'data', { signal: AbortSignal.timeout(1_000) })
    return String(said).startsWith(answer)
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
