import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { root } from '../../../scripts/step.js'
import { engineTests } from '../../servers/engine-tests.ts'
import { redisServer } from '../../servers/redis.ts'
import { tls } from '../../servers/tls.ts'
import { freePort } from '../server-process.ts'
import { page } from './page.ts'

/** Which commands end before a section begins, as its reader is told. */
const ends: Readonly<Record<string, RegExp>> = {
  'Both, with the registry inside': /./,
  'Several processes, with a server': /./,
  'For the world, with a gateway': /orders\.js/,
  'More machines than one, with an engine': /seamark server/,
}

/** How long a step may take until it says what it should: ms. */
const soon = { timeout: 30_000, interval: 100 }

let folder: string
const running: { readonly command: string; readonly child: ChildProcess }[] = []
/** What they say, in case that somebody wants to know. */
let said = ''

async function end(which: RegExp): Promise<void> {
  const ending = running.filter(({ command }) => which.test(command))
  for (const one of ending) running.splice(running.indexOf(one), 1)
  await Promise.all(
    ending.map(async ({ child }) => {
      if (child.exitCode !== null || child.signalCode !== null) return
      // As Ctrl-C, to all that it started.
      process.kill(-child.pid!, 'SIGINT')
      await once(child, 'exit')
    }),
  )
}

beforeEach(() => {
  // Below the root, so that its programs find the packages.
  const parent = join(root, 'node_modules/.cache/seamark')
  mkdirSync(parent, { recursive: true })
  folder = mkdtempSync(join(parent, 'guide-'))
})

afterEach(() => rmSync(folder, { recursive: true }))

engineTests('redis', () => {
  it('the guide leads from localhost to production', { timeout: 180_000 }, async ({ onTestFailed }) => {
    onTestFailed(() => console.log(said))
    await using redis = await redisServer()
    await using _running = { [Symbol.asyncDispose]: () => end(/./) }
    for (const [file, name] of [
      [tls.certificate, 'fullchain.pem'],
      [tls.key, 'privkey.pem'],
      [tls.ca, 'ca.pem'],
    ] as const)
      copyFileSync(file, join(folder, name))

    // What is taken on this machine, or may be.
    const changes = { 'redis://127.0.0.1:6379': redis.url }
    for (const port of ['3000', '4000', '8443']) Object.assign(changes, { [port]: String(await freePort()) })
    const changed = (text: string) =>
      Object.entries(changes).reduce((result, [from, to]) => result.replaceAll(from, to), text)
    const port = String(await freePort())
    const env = {
      ...process.env,
      PATH: join(root, 'node_modules/.bin') + delimiter + process.env.PATH,
      SEAMARK_URL: `http://127.0.0.1:${port}`,
      SEAMARK_PORT: port,
      SEAMARK_DNS_PORT: 'off',
    }
    const run = async (command: string) => {
      const { stdout } = await promisify(execFile)('bash', ['-c', command], { cwd: folder, env })
      return stdout
    }

    for (const step of page('docs/guide/from-localhost-to-production.md')) {
      if (step.type === 'section') await end(ends[step.heading] ?? /^$/)
      else if (step.type === 'write') writeFileSync(join(folder, step.file), changed(step.text))
      else if (step.type === 'change') {
        const file = join(folder, step.file)
        const text = readFileSync(file, 'utf8')
        expect(text).toContain(changed(step.from))
        writeFileSync(file, text.replace(changed(step.from), changed(step.to)))
      } else if (step.type === 'start') {
        const command = changed(step.command)
        const child = spawn('bash', ['-c', command], { cwd: folder, env, detached: true })
        for (const stream of [child.stdout, child.stderr])
          stream.on('data', (chunk) => {
            said += chunk
          })
        running.push({ command, child })
      } else {
        const output = async () => (await run(changed(step.command)).catch(String)).trimEnd()
        await expect.poll(output, soon).toBe(changed(step.output).trimEnd())
      }
    }

    // The registry moved, and everybody followed.
    for (const [service, instances] of Object.entries({ prices: 2, orders: 1 }))
      await expect
        .poll(() => run(`seamark instances ${service} --json`).then(JSON.parse, String), soon)
        .toMatchObject({ instances: Array(instances).fill({ health: { status: 'passing' } }) })
    expect(running.map(({ child }) => child.exitCode)).toEqual(running.map(() => null))
  })
})
