// npm run consul:install: Consul's agent for benchmarks and tests, from the Debian release that had it last, unpacked
// into .tools/consul. Nothing is installed: apt gets a sources list, lists and a cache of its own. A second run has
// nothing to do.
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { root, run } from './step.js'

/** Debian 11 was the last with Consul (1.8.7, under the Mozilla Public License). */
const suite = 'bullseye'
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
const tools = join(root, '.tools')
const unpacked = join(tools, 'consul/usr/bin/consul')

/**
 * The path of Consul's program: the one this script unpacked, else one on the PATH. `undefined`: there is none.
 * @returns {string | undefined}
 */
export function consul() {
  const folders = (process.env.PATH ?? '').split(':').filter((folder) => folder !== '')
  return [unpacked, ...folders.map((folder) => join(folder, 'consul'))].find((path) => existsSync(path))
}

function install() {
  const present = consul()
  if (present === undefined) unpack()
  console.log(`${version(consul())}: ${consul()}`)
}

function unpack() {
  mkdirSync(tools, { recursive: true })
  const work = mkdtempSync(join(tools, 'unpacking-'))
  process.once('exit', () => rmSync(work, { recursive: true, force: true }))
  for (const folder of ['lists/partial', 'cache/archives/partial', 'consul'])
    mkdirSync(join(work, folder), { recursive: true })
  writeFileSync(join(work, 'status'), '')
  writeFileSync(join(work, 'debian.sources'), sources())
  const settings = {
    'Dir::Etc::sourcelist': join(work, 'debian.sources'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': join(work, 'lists'),
    'Dir::State::status': join(work, 'status'),
    'Dir::Cache': join(work, 'cache'),
    'Acquire::Languages': 'none',
    // As root, apt would become a user that may not write here.
    'APT::Sandbox::User': userInfo().username,
  }
  const options = Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`])
  /** @type {import('node:child_process').SpawnSyncOptions} */
  const quiet = { cwd: work, stdio: ['ignore', 'ignore', 'inherit'] }
  console.log('Downloading Consul …')
  run('apt-get', ['-qq', ...options, '--error-on=any', 'update'], quiet)
  run('apt-get', ['-qq', ...options, 'download', 'consul'], quiet)
  const archive = readdirSync(work).find((name) => name.endsWith('.deb'))
  if (archive === undefined) throw new Error('apt-get downloaded no package, and reported no error.')
  run('dpkg-deb', ['-x', archive, 'consul'], quiet)
  version(join(work, 'consul/usr/bin/consul'))
  rmSync(join(tools, 'consul'), { recursive: true, force: true })
  renameSync(join(work, 'consul'), join(tools, 'consul'))
}

/**
 * What the program says of itself; ends the process if it does not run here.
 * @param {string | undefined} program
 */
function version(program = 'consul') {
  const printed = run(program, ['version'], { stdio: ['ignore', 'pipe', 'inherit'] })
  return printed.split('\n', 1)[0]
}

/** A sources list for that suite, from wherever this machine has its own release from. */
function sources() {
  const release = spawnSync('sh', ['-c', '. /etc/os-release && echo "$ID $VERSION_CODENAME"'])
  const [id, codename] = String(release.stdout ?? '')
    .trim()
    .split(' ')
  if (id !== 'debian' || codename === undefined)
    throw failure('this works on Debian only. Elsewhere, install Consul so that it is on the PATH')
  const own = stanzas().find(
    ({ Suites, Components }) => words(Suites).includes(codename) && words(Components).includes('main'),
  )
  if (own === undefined) throw failure(`no entry for ${codename} main was found in /etc/apt`)
  const entry = { 'Signed-By': keyring, ...own, Types: 'deb', Suites: suite, Components: 'main' }
  return `${Object.entries(entry)
    .map(([field, value]) => `${field}: ${value}\n`)
    .join('')}`
}

/**
 * The entries of this machine's apt, in either format (sources.list(5)), by field.
 * @returns {Record<string, string>[]}
 */
function stanzas() {
  const folder = '/etc/apt/sources.list.d'
  const parts = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []
  return ['/etc/apt/sources.list', ...parts]
    .filter((path) => existsSync(path))
    .flatMap((path) => {
      const text = readFileSync(path, 'utf8').replace(/^#.*\n/gm, '')
      if (path.endsWith('.sources')) return text.split(/\n\s*\n/).map(stanza)
      return path.endsWith('.list') ? text.split('\n').flatMap(line) : []
    })
}

/** @param {string} text */
function stanza(text) {
  const fields = [...text.matchAll(/^([\w-]+):(.*(?:\n[ \t].*)*)/gm)]
  return Object.fromEntries(fields.map(([, field, value]) => [field, value?.trim()]))
}

/**
 * `deb [signed-by=/path] uri suite component …`
 * @param {string} text
 */
function line(text) {
  const [, options = '', URIs, Suites, Components] =
    /^deb\s+(?:\[(.*)\]\s+)?(\S+)\s+(\S+)\s+(.+)$/.exec(text.trim()) ?? []
  if (URIs === undefined || Suites === undefined || Components === undefined) return []
  const signer = /\bsigned-by=(\S+)/.exec(options)?.[1]
  return [{ URIs, Suites, Components, ...(signer !== undefined && { 'Signed-By': signer }) }]
}

/** @param {string | undefined} text */
function words(text = '') {
  return text.split(/\s+/)
}

/** @param {string} why */
function failure(why) {
  return new Error(`Consul cannot be installed: ${why}.`)
}

if (realpathSync(process.argv[1] ?? '') === fileURLToPath(import.meta.url)) install()
