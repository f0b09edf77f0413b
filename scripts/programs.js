// The programs that tests need and nobody here wrote (the servers of engines, and the tools that ask our faces): what
// they are called, and where they may be found on this machine.
import { accessSync, constants, existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { root } from './step.js'

/**
 * How to run one.
 * @typedef {object} Program
 * @property {string} file the path of what to execute
 * @property {readonly string[]} args go before the program's own
 * @property {readonly string[]} version the arguments that make it print its version, and end
 * @property {NodeJS.ProcessEnv} env goes on top of the environment
 */

/**
 * @typedef {object} Known
 * @property {readonly string[]} commands any of which will do; the first is the one that `packages` bring
 * @property {readonly string[]} packages of Debian
 * @property {boolean} [pinned] only what these packages bring will do, whatever is installed; default false
 * @property {string} [suite] the release of Debian that has them; default this machine's own
 * @property {readonly string[]} [version] the arguments that make it print its version, and end; default `--version`
 * @property {readonly string[]} [folders] where else to look
 */

/** Where installed packages keep their programs, not all of which are on everyone's PATH. */
const usual = ['usr/bin', 'usr/sbin']

/** By the engine that needs it, else by its own name; for further versions, that and the version. */
export const programs = /** @satisfies {Record<string, Known>} */ ({
  etcd: { commands: ['etcd'], packages: ['etcd-server'] },
  zookeeper: {
    commands: ['zkServer.sh', 'zkServer'],
    packages: ['libzookeeper-java', 'default-jre-headless'],
    version: ['version'],
  },
  // Java is any that is there already, and these are for any machine.
  'zookeeper-3.9': {
    commands: [],
    packages: [
      'libzookeeper-java',
      'libslf4j-java',
      'libdropwizard-metrics-java',
      'libsnappy-java',
      'libnetty-java',
      'libcommons-io-java',
      'libcommons-cli-java',
    ],
    suite: 'trixie',
    pinned: true,
  },
  // Debian 11 was the last with Consul (1.8.7, under the Mozilla Public License).
  consul: { commands: ['consul'], packages: ['consul'], suite: 'bullseye', version: ['version'] },
  redis: { commands: ['redis-server', 'valkey-server'], packages: ['redis-server'] },
  postgres: { commands: ['postgres'], packages: ['postgresql'], folders: ['usr/lib/postgresql/*/bin'] },
  dns: { commands: ['dnsmasq'], packages: ['dnsmasq-base'] },
  dig: { commands: ['dig'], packages: ['bind9-dnsutils'], version: ['-v'] },
  dnsperf: { commands: ['dnsperf'], packages: ['dnsperf'], version: ['-h'] },
  haproxy: { commands: ['haproxy'], packages: ['haproxy'], version: ['-v'] },
  nginx: { commands: ['nginx'], packages: ['nginx'], version: ['-v'] },
  // From a named release, for which only what is named is unpacked: it needs nothing else.
  prometheus: { commands: ['prometheus'], packages: ['prometheus'], suite: 'bookworm' },
  // Debian compiles consul_sd out since; http_sd came later.
  'prometheus-2.24': {
    commands: ['prometheus'],
    packages: ['prometheus'],
    suite: 'bullseye',
    pinned: true,
  },
})

/** @typedef {keyof typeof programs} ProgramName */

export const programNames = /** @type {ProgramName[]} */ (Object.keys(programs))

/**
 * The name without a version.
 * @param {ProgramName} name
 * @returns {string}
 */
export function engineOf(name) {
  return name.replace(/-.*/, '')
}

/** What ZooKeeper's server loads, of all the jars that Debian's packages bring. */
const jars = [
  'zookeeper',
  'zookeeper-jute',
  'slf4j-api',
  'slf4j-simple',
  'metrics-core',
  'snappy-java',
  'netty-common',
  'netty-buffer',
  'netty-handler',
  'netty-transport',
  'commons-io',
  'commons-cli',
]

/**
 * The folder into which a program is unpacked.
 * @param {string} name
 */
export function toolFolder(name) {
  return join(root, '.tools', name)
}

/**
 * The program of that name: the one that `npm run engines:install` unpacked, else one that is
 * installed. `undefined`: there is none.
 * @param {ProgramName} name
 * @returns {Program | undefined}
 */
export function program(name) {
  return programIn(toolFolder(name), name) ?? installed(name)
}

/**
 * The same, only among what was unpacked into that folder.
 * @param {string} folder
 * @param {ProgramName} name
 * @returns {Program | undefined}
 */
export function programIn(folder, name) {
  if (!existsSync(folder)) return undefined
  const env = libraries(folder)
  if (name === 'zookeeper') return debianZookeeper([folder, '/'], env)
  if (name === 'zookeeper-3.9') return debianZookeeper([folder], libraries(toolFolder('zookeeper')))
  return first(name, places(folder, name), env)
}

/**
 * @param {ProgramName} name
 * @returns {Program | undefined}
 */
function installed(name) {
  /** @type {Known} */
  const { pinned = false } = programs[name]
  if (pinned) return undefined
  const found = first(name, [...path(), ...places('/', name)])
  return found ?? (name === 'zookeeper' ? debianZookeeper(['/']) : undefined)
}

/**
 * ZooKeeper as Debian packages it: jars, and Java from wherever it is.
 * @param {readonly string[]} roots
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Program | undefined}
 */
function debianZookeeper(roots, env = {}) {
  const machines = [toolFolder('zookeeper'), ...roots, '/'].flatMap((folder) =>
    expand(folder, 'usr/lib/jvm/*/bin'),
  )
  const java = executable(['java'], [...path(), ...machines])
  const classes = jars.flatMap((jar) => {
    const candidates = roots.map((folder) => join(folder, `usr/share/java/${jar}.jar`))
    return candidates.find((file) => existsSync(file)) ?? []
  })
  if (java === undefined || !classes[0]?.endsWith('/zookeeper.jar')) return undefined
  const args = ['-cp', classes.join(delimiter)]
  return { file: java, args, version: ['org.apache.zookeeper.version.VersionInfoMain'], env }
}

/**
 * @param {ProgramName} name
 * @param {readonly string[]} folders
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Program | undefined}
 */
function first(name, folders, env = {}) {
  /** @type {Known} */
  const { commands, version = ['--version'] } = programs[name]
  const file = executable(commands, folders)
  return file === undefined ? undefined : { file, args: [], version, env }
}

/**
 * @param {readonly string[]} commands
 * @param {readonly string[]} folders
 */
function executable(commands, folders) {
  return commands.flatMap((command) => folders.map((folder) => join(folder, command))).find(isExecutable)
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function path() {
  return (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
}

/**
 * @param {string} folder
 * @param {ProgramName} name
 */
function places(folder, name) {
  /** @type {Known} */
  const { folders = [] } = programs[name]
  return [...usual, ...folders].flatMap((place) => expand(folder, place))
}

/**
 * The folders that a path with at most one `*` stands for, the latest version first.
 * @param {string} folder
 * @param {string} place
 */
function expand(folder, place) {
  const [before = '', after] = place.split('*')
  const parent = join(folder, before)
  if (after === undefined) return [parent]
  if (!existsSync(parent)) return []
  const versions = readdirSync(parent).sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
  return versions.map((version) => join(parent, version, after))
}

/**
 * What lets unpacked programs find the libraries that were unpacked with them.
 * @param {string} folder
 * @returns {NodeJS.ProcessEnv}
 */
function libraries(folder) {
  const found = ['usr/lib', 'lib']
    .map((place) => join(folder, place))
    .filter((place) => existsSync(place))
    .flatMap((place) => readdirSync(place).map((name) => join(place, name)))
    .filter((place) => place.endsWith('-linux-gnu'))
  if (found.length === 0) return {}
  return { LD_LIBRARY_PATH: [...found, process.env.LD_LIBRARY_PATH ?? []].flat().join(delimiter) }
}
