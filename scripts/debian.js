// Programs from Debian's packages, unpacked and not installed: the machine stays as it was, and nobody needs to be
// root. apt gets lists and a cache of its own.
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { userInfo } from 'node:os'
import { dirname, join, relative } from 'node:path'

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** Whether this machine has what the rest of this file needs. */
export function hasApt() {
  return ['apt-get', 'dpkg-deb'].every((command) => spawnSync(command, ['--version']).status === 0)
}

/**
 * A way to packages, with lists that are up to date.
 * @param {string} parent a folder where things may lie until this process ends
 * @param {string} [suite] that release of Debian, from wherever this machine has its own from; default what this
 *   machine installs from
 */
export function debian(parent, suite) {
  const work = mkdtempSync(join(parent, 'unpacking-'))
  process.once('exit', () => rmSync(work, { recursive: true, force: true }))
  for (const folder of ['lists/partial', 'archives/partial'])
    mkdirSync(join(work, folder), { recursive: true })
  const settings = {
    'Dir::State::lists': join(work, 'lists'),
    'Dir::Cache': work,
    'Dir::Cache::archives': join(work, 'archives'),
    'Acquire::Languages': 'none',
    // As root, apt would become a user that may not write here; as another, it may not lock the machine's packages.
    'APT::Sandbox::User': userInfo().username,
    'Debug::NoLocking': 'true',
  }
  if (suite !== undefined) {
    writeFileSync(join(work, 'status'), '')
    writeFileSync(join(work, 'debian.sources'), source(suite))
    Object.assign(settings, {
      'Dir::Etc::sourcelist': join(work, 'debian.sources'),
      'Dir::Etc::sourceparts': '-',
      'Dir::State::status': join(work, 'status'),
    })
  }
  const archives = join(work, 'archives')
  const options = ['-qq', ...Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`])]
  /** @param {readonly string[]} args */
  const apt = (...args) => run('apt-get', [...options, ...args], archives)
  apt('--error-on=any', 'update')

  return {
    /**
     * Unpacks these packages into a new folder, and returns it; with those they depend on and that this machine has
     * not, unless they are from another release, whose libraries would not go with this machine's.
     * @param {readonly string[]} packages
     */
    unpack(packages) {
      if (suite === undefined)
        apt('install', '--yes', '--no-install-recommends', '--download-only', ...packages)
      else apt('download', ...packages)
      const folder = mkdtempSync(join(work, 'unpacked-'))
      for (const archive of readdirSync(archives).filter((name) => name.endsWith('.deb'))) {
        run('dpkg-deb', ['-x', join(archives, archive), folder], archives)
        rmSync(join(archives, archive))
      }
      keepLinksInside(folder)
      return folder
    },
  }
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {string} cwd
 */
function run(command, args, cwd) {
  const { error, status, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
  })
  if (error ?? status !== 0) throw new Error(`${command} failed: ${(stderr ?? '').trim()}`, { cause: error })
}

/**
 * Makes absolute links lead to what was unpacked with them, as they would where it is installed.
 * @param {string} folder
 */
function keepLinksInside(folder) {
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const link = join(folder, name)
    if (!lstatSync(link).isSymbolicLink()) continue
    const target = readlinkSync(link)
    if (!target.startsWith('/') || lstatSync(join(folder, target), { throwIfNoEntry: false }) === undefined)
      continue
    rmSync(link)
    symlinkSync(relative(dirname(link), join(folder, target)), link)
  }
}

/**
 * A sources list for that suite, from wherever this machine has its own release from.
 * @param {string} suite
 */
function source(suite) {
  const release = spawnSync('sh', ['-c', '. /etc/os-release && echo "$ID $VERSION_CODENAME"'])
  const [id, codename] = String(release.stdout ?? '')
    .trim()
    .split(' ')
  if (id !== 'debian' || codename === undefined)
    throw new Error(`Packages of Debian ${suite} can be had on Debian only.`)
  const own = stanzas().find(
    ({ Suites, Components }) => words(Suites).includes(codename) && words(Components).includes('main'),
  )
  if (own === undefined) throw new Error(`No entry for ${codename} main was found in /etc/apt.`)
  const entry = { 'Signed-By': keyring, ...own, Types: 'deb', Suites: suite, Components: 'main' }
  return Object.entries(entry)
    .map(([field, value]) => `${field}: ${value}\n`)
    .join('')
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
