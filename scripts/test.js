// npm test: install, build, check types, lint, run every test. Further arguments go to vitest: npm test -- packages/core
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { prepare } from './prepare.js'
import { once, root, runScript } from './step.js'

const notOurs = new Set(['.cache', '.git', 'coverage', 'data', 'dist', 'node_modules', 'package-lock.json'])

function* sources(folder = '') {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    if (notOurs.has(entry.name)) continue
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (entry.isDirectory()) yield* sources(path)
    else if (entry.isFile()) yield path
  }
}

prepare()
once('lint', { files: sources(), message: 'Checking style and arrows …' }, () => {
  runScript('node_modules/@biomejs/biome/bin/biome', ['check', '--error-on-warnings'])
})
runScript('node_modules/vitest/vitest.mjs', ['run', ...process.argv.slice(2)])
