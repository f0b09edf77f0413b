// @ts-check
// The tour: a registry, three instances of `api`, and a `www` that calls them; then one `api` is killed.
// It asserts what it tells, and leaves nothing behind. Run it with: npm run example
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connect } from '@seamark/client'

/** Milliseconds that any one step may take; far more than it does. */
const patience = 30_000

/** @type {import('node:child_process').ChildProcess[]} */
const children = []

/**
 * @param {string} script
 * @param {string[]} [args]
 * @param {Record<string, string>} [env]
 */
function start(script, args = [], env = {}) {
  const file = fileURLToPath(new URL(script, import.meta.url))
  /** @type {['ignore', 'pipe', 'inherit']} */
  const stdio = ['ignore', 'pipe', 'inherit']
  const child = spawn(process.execPath, [file, ...args], { stdio, env: { ...process.env, ...env } })
  children.push(child)
  return child
}

/** @param {import('node:child_process').ChildProcess} child */
async function exit(child) {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

async function tour() {
  const data = await mkdtemp(join(tmpdir(), 'seamark-tour-'))
  try {
    console.log('A registry starts, with its data in a folder of its own.')
    const registry = start('../../packages/cli/bin/seamark.js', [
      'server',
      ...['--engine', `lmdb:${data}`, '--port', '0', '--dns-port', '0', '--log-level', 'warn', '--json'],
    ])
    const [line] = await once(createInterface(registry.stdout), 'line', {
      signal: AbortSignal.timeout(patience),
    })
    const { url } = JSON.parse(line)
    console.log(`  ${url}, process ${registry.pid}`)

    console.log('Three instances of api announce themselves, with leases of 2 s, and www does.')
    const apis = [1, 2, 3].map(() => start('api.js', [], { SEAMARK_URL: url }))
    start('www.js', [], { SEAMARK_URL: url })

    const discovery = connect(url)
    try {
      const found = () => discovery.findAll('api').then((endpoints) => endpoints.map(({ id }) => id))
      const { origin } = await discovery.waitFor('www', { timeout: patience })
      await until(async () => (await found()).length === 3)
      for (const id of await found()) console.log(`  ${id}`)

      console.log('www is asked 300 times, and asks api.')
      let answers = await ask(origin, 300)
      report(answers)
      assert.equal(answers.size, 3, 'each instance of api got its share')

      const victim = apis[0]
      assert(victim)
      console.log(`kill -9 ${victim.pid}: that instance of api has no time to say good-bye.`)
      victim.kill('SIGKILL')
      await exit(victim)
      const killed = performance.now()
      let asked = 0
      while ((await found()).includes(`api-${victim.pid}`)) {
        assert(performance.now() - killed < patience, 'the dead instance disappears')
        answers = await ask(origin, 10)
        assert(!answers.has(`www asked api ${victim.pid}`), 'the dead do not answer')
        asked += 10
        await sleep(20)
      }
      const seconds = ((performance.now() - killed) / 1_000).toFixed(1)
      console.log(
        `  The registry missed its connection, and it was gone after ${seconds} s. www was asked ${asked} times meanwhile, and answered.`,
      )

      console.log('www is asked 300 times more.')
      answers = await ask(origin, 300)
      report(answers)
      assert.equal(answers.size, 2, 'the two that live share the work')
    } finally {
      await discovery.close()
    }

    console.log('Everyone is asked to go, with SIGTERM.')
    const [, ...services] = children
    for (const child of services) child.kill('SIGTERM')
    await Promise.all(services.map(exit))
    registry.kill('SIGTERM')
    await exit(registry)
    assert.equal(registry.exitCode, 0, 'the registry ends well')
    console.log('Done: every request was answered.')
  } finally {
    for (const child of children) child.kill('SIGKILL')
    await Promise.all(children.map(exit))
    await rm(data, { recursive: true })
  }
}

/**
 * Asks as many times, a few at once; how often each answer came. Every request must be answered.
 * @param {string} origin
 * @param {number} times
 */
async function ask(origin, times) {
  /** @type {Map<string, number>} */
  const answers = new Map()
  for (let asked = 0; asked < times; asked += 10) {
    const batch = Array.from({ length: 10 }, async () => {
      const response = await fetch(origin, { signal: AbortSignal.timeout(patience) })
      const answer = await response.text()
      assert.equal(response.status, 200, answer)
      answers.set(answer, (answers.get(answer) ?? 0) + 1)
    })
    await Promise.all(batch)
  }
  return answers
}

/** @param {Map<string, number>} answers */
function report(answers) {
  for (const [answer, times] of [...answers].sort()) console.log(`  ${answer}: ${times} times`)
}

/** @param {() => Promise<boolean>} condition */
async function until(condition) {
  const started = performance.now()
  while (!(await condition())) {
    assert(performance.now() - started < patience, `within ${patience} ms: ${condition}`)
    await sleep(20)
  }
}

await tour()
