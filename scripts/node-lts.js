// npm run test:node -- 24: every test on another Node.js, which is put into .cache/. Further arguments go to vitest.
import { existsSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { prepare } from './prepare.js'
import { root, run } from './step.js'

const [version, ...args] = process.argv.slice(2)
if (!/^\d+(?:\.\d+){0,2}$/.test(version ?? '')) {
  console.error('Which Node.js? Give its version: npm run test:node -- 24')
  process.exit(1)
}

prepare()

const windows = process.platform === 'win32'
const name = `node-${windows ? 'win' : process.platform}-${process.arch}`
const folder = join(root, '.cache/node', String(version))
const node = join(folder, 'node_modules', name, 'bin', windows ? 'node.exe' : 'node')
if (!existsSync(node)) {
  console.log(`Fetching Node.js ${version} …`)
  const quiet = ['--no-package-lock', '--ignore-scripts', '--loglevel=error', '--no-progress']
  run('npm', ['install', '--prefix', folder, ...quiet, `${name}@${version}`], { shell: windows })
}
run(node, ['--version'])
// First on the path as well, for the processes that tests start by name.
const env = { ...process.env, PATH: dirname(node) + delimiter + process.env.PATH }
run(node, ['node_modules/vitest/vitest.mjs', 'run', ...args], { env })
