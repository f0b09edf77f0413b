// npm run bench: measures, prints each figure beside its goal, and writes benchmarks/results/latest.json.
// `-- --smoke` runs each briefly, to see that it works; `-- lookup renewals` runs those. How: see README.md here.
import { fork } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { prepare } from '../scripts/prepare.js'
import { figureLine, reached } from './figure.js'

/** @import { Figure } from './figure.js' */

const names = [
  'lookup',
  'dns',
  'registrations',
  'renewals',
  'find',
  'interceptor',
  'gateway',
  'propagation',
  'blocking',
  'presence',
  'memory',
  'start-up',
  'engines',
]
const results = fileURLToPath(new URL('results/latest.json', import.meta.url))
const minute = 60_000

/**
 * @typedef {{ name: string, figures: Figure[], notes: string[], took: number, failure?: string }} Result
 */

/**
 * Each has a process of its own: what one leaves in the heap, or teaches the compiler, is no matter to the next.
 * @param {string} name
 * @param {boolean} smoke
 * @returns {Promise<Result>}
 */
function run(name, smoke) {
  const begun = performance.now()
  /** @type {Omit<Result, 'took'>} */
  const result = { name, figures: [], notes: [] }
  const process = fork(fileURLToPath(new URL('workers/benchmark.js', import.meta.url)), [
    name,
    ...(smoke ? ['--smoke'] : []),
  ])
  const timer = setTimeout(
    () => {
      result.failure = 'It did not end in time.'
      process.kill()
    },
    smoke ? minute : 8 * minute,
  )
  process.on('message', (/** @type {{ figure?: Figure, note?: string, title?: string }} */ message) => {
    if (message.title !== undefined) console.log(`\n${message.title}`)
    if (message.figure !== undefined) {
      result.figures.push(message.figure)
      console.log(`  ${figureLine(message.figure, smoke)}`)
    }
    if (message.note !== undefined) {
      result.notes.push(message.note)
      console.log(`  ${message.note}`)
    }
  })
  return new Promise((resolve) => {
    process.once('close', (code, signal) => {
      clearTimeout(timer)
      if (code !== 0) result.failure ??= `Its process ended with ${signal ?? code}.`
      else if (result.figures.length + result.notes.length === 0) result.failure = 'Nothing was measured.'
      if (result.failure !== undefined) console.log(`  BROKEN: ${result.failure}`)
      resolve({ ...result, took: Math.round(performance.now() - begun) })
    })
  })
}

const { values, positionals } = parseArgs({
  options: { smoke: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const unknown = positionals.filter((name) => !names.includes(name))
if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(', ')}. There are: ${names.join(', ')}.`)
  process.exit(2)
}
const { smoke } = values
prepare('benchmarks/tsconfig.build.json')
const environment = {
  date: new Date().toISOString(),
  node: process.version,
  platform: `${process.platform} ${process.arch}`,
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memory: totalmem(),
  /** Before the first benchmark: what else the machine did in the last minute. */
  load: loadavg()[0],
}
console.log(
  `Node.js ${environment.node} on ${environment.platform}, ${environment.cores} × ${environment.cpu}`,
)
if (smoke) console.log('A smoke run: it shows that the benchmarks work. Its figures mean nothing.')

/** @type {Result[]} */
const benchmarks = []
for (const name of names)
  if (positionals.length === 0 || positionals.includes(name)) benchmarks.push(await run(name, smoke))

mkdirSync(dirname(results), { recursive: true })
writeFileSync(results, `${JSON.stringify({ environment, smoke, benchmarks }, undefined, 2)}\n`)

const missed = benchmarks.flatMap(({ name, figures }) =>
  figures.filter((figure) => reached(figure) === false).map(({ what }) => `${name}: ${what}`),
)
const broken = benchmarks.filter(({ failure }) => failure !== undefined)
if (missed.length > 0 && !smoke) console.log(`\nMissed their goals:\n  ${missed.join('\n  ')}`)
if (broken.length > 0) console.log(`\nBroken: ${broken.map(({ name }) => name).join(', ')}`)
console.log(`\nWritten to ${results}`)
process.exitCode = broken.length > 0 ? 1 : 0
