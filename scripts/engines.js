// npm run engines:install [NAME…]: the servers that engines are tested against, and the tools that ask our faces, from
// Debian's packages, unpacked into .tools/ where they are not installed already. Asks nothing, starts nothing, needs no
// root. A second run has nothing to do.
import { spawnSync } from 'node:child_process'
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { debian, hasApt } from './debian.js'
import { program, programIn, programNames, programs, toolFolder } from './programs.js'

/** @typedef {import('./programs.js').Known} Known */
/** @typedef {import('./programs.js').ProgramName} ProgramName */

const apt = hasApt()
const all = programNames.filter((name) => apt || !isPinned(name))
const wanted = process.argv.length > 2 ? process.argv.slice(2).map(named) : all
const missing = wanted.filter((name) => !works(program(name)))

if (missing.length > 0 && !apt) {
  const commands = missing.map((name) => `  ${name}: ${programs[name].commands.join(' or ')}\n`)
  end(`This works on Debian and its relatives only. Elsewhere, install these so that they are on the PATH:
${commands.join('')}`)
}

/** @type {Map<string | undefined, ReturnType<typeof debian>>} */
const releases = new Map()
const failed = missing.filter((name) => {
  console.log(`Downloading ${name} …`)
  try {
    install(name)
    return false
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    return true
  }
})

if (failed.length > 0) end(`Not installed: ${failed.join(', ')}.`)
console.log(
  missing.length > 0 ? `Ready: ${wanted.join(', ')}.` : `Nothing to do: ${wanted.join(', ')} are there.`,
)

/** @param {ProgramName} name */
function install(name) {
  /** @type {Known} */
  const { packages, suite } = programs[name]
  const target = toolFolder(name)
  mkdirSync(dirname(target), { recursive: true })
  const release = releases.get(suite) ?? debian(dirname(target), suite)
  releases.set(suite, release)
  const unpacked = release.unpack(packages)
  if (!works(programIn(unpacked, name)))
    throw new Error(`${name} was unpacked, but does not run on this machine.`)
  rmSync(target, { recursive: true, force: true })
  renameSync(unpacked, target)
}

/** @param {ProgramName} name */
function isPinned(name) {
  /** @type {Known} */
  const { pinned = false } = programs[name]
  return pinned
}

/**
 * @param {string} name
 * @returns {ProgramName}
 */
function named(name) {
  const known = programNames.find((each) => each === name)
  return known ?? end(`There is no ${JSON.stringify(name)}. Known: ${programNames.join(', ')}.`)
}

/** @param {import('./programs.js').Program | undefined} found */
function works(found) {
  if (found === undefined) return false
  const { file, args, version, env } = found
  return spawnSync(file, [...args, ...version], { env: { ...process.env, ...env } }).status === 0
}

/**
 * @param {string} why
 * @returns {never}
 */
function end(why) {
  console.error(why)
  process.exit(1)
}
