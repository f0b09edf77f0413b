// Brings a fresh clone, or one that has changed, to where it can run: packages installed, sources built.
// Uses nothing but Node.js, since nothing else may be there yet. A second run has nothing to do, and says nothing.
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { once, root, run, runScript } from './step.js'

const tsc = 'node_modules/typescript/bin/tsc'

/**
 * Installs and builds what is missing.
 * @param {string} [project] the folder to build, with all it refers to; default everything
 */
export function prepare(project = '.') {
  requireNode()
  install()
  build(project)
}

function requireNode() {
  const wanted = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).engines.node.replace('>=', '')
  const ours = process.versions.node
  if (ours.localeCompare(wanted, 'en', { numeric: true }) >= 0) return
  console.error(`Seamark needs Node.js ${wanted} or newer, and this is ${ours}. See https://nodejs.org`)
  process.exit(1)
}

function install() {
  const workspaces = ['packages', 'engines'].flatMap((folder) =>
    readdirSync(join(root, folder)).map((name) => `${folder}/${name}/package.json`),
  )
  const files = ['.npmrc', 'package.json', 'package-lock.json', ...workspaces].filter((file) =>
    existsSync(join(root, file)),
  )
  // Packages with native parts differ by platform: a folder shared with a container must not pass for installed.
  const facts = [process.platform, process.arch]
  once('install', { files, facts, message: 'Installing packages …' }, () => {
    // `ci` removes what is there, which may be in use by something else that runs in this tree.
    const command = existsSync(join(root, 'node_modules')) ? 'install' : 'ci'
    const quiet = ['--include=dev', '--loglevel=error', '--no-progress']
    run('npm', [command, ...quiet], {
      shell: process.platform === 'win32',
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  })
}

/** @param {string} project */
function build(project) {
  const plan = runScript(tsc, ['--build', '--dry', project], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (plan.split('\n').every((line) => line.trim() === '' || line.includes('is up to date'))) return
  console.log('Building …')
  runScript(tsc, ['--build', project])
}

if (realpathSync(process.argv[1] ?? '') === fileURLToPath(import.meta.url)) prepare()
