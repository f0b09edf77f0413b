import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** The folder of the whole workspace. */
export const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * Runs a program in the workspace's folder and returns what it printed, if that is piped. If it fails, this process
 * ends with its exit code.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {import('node:child_process').SpawnSyncOptions} [options]
 */
export function run(program, args, options) {
  const settings = { cwd: root, stdio: /** @type {const} */ ('inherit'), ...options }
  const { error, signal, status, stdout } = spawnSync(program, args, settings)
  if (error) throw error
  if (signal) process.kill(process.pid, signal)
  if (status !== 0) process.exit(status ?? 1)
  return String(stdout ?? '')
}

/**
 * The same for a JavaScript program, named by its path from the workspace's folder.
 * @param {string} script
 * @param {readonly string[]} args
 * @param {import('node:child_process').SpawnSyncOptions} [options]
 */
export function runScript(script, args, options) {
  return run(process.execPath, [join(root, script), ...args], options)
}

/**
 * Goes on as that program, in this process, so that signals reach it and the exit code is its own.
 * @param {string} script
 * @param {readonly string[]} args
 */
export async function become(script, args) {
  const file = join(root, script)
  process.argv.splice(1, Infinity, file, ...args)
  await import(pathToFileURL(file).href)
}

/**
 * Does `work`, unless `files` and `facts` are what they were when it last succeeded. What they were is kept as a hash
 * inside `node_modules`, so that a clean installation forgets it.
 * @param {string} name
 * @param {{ files: Iterable<string>, facts?: readonly string[], message: string }} options
 * @param {() => void} work
 */
export function once(name, { files, facts = [], message }, work) {
  const hash = createHash('sha256').update(JSON.stringify(facts))
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(join(root, file)))
  const digest = hash.digest('hex')
  const stamp = join(root, 'node_modules/.cache/seamark', name)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return
  console.log(message)
  work()
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(stamp, digest)
}
