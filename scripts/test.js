// npm test: install, build, check types, lint, run every test. Further arguments go to vitest: npm test -- packages/core
import { prepare } from './prepare.js'
import { sources } from './sources.js'
import { become, once, runScript } from './step.js'

prepare()
once('lint', { files: sources(), message: 'Checking style and arrows …' }, () => {
  runScript('node_modules/@biomejs/biome/bin/biome', ['check', '--error-on-warnings'])
})
await become('node_modules/vitest/vitest.mjs', ['run', ...process.argv.slice(2)])
