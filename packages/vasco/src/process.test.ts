import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type RedisServer, redisServer } from '../../../test/servers/redis.ts'
import { Original } from '../test/original.ts'

interface Run {
  readonly child: ChildProcess
  /** The first line it printed. */
  readonly first: Promise<string>
  readonly end: Promise<{ code: number | null; signal: string | null; stdout: string; stderr: string }>
}

/** Runs a script in a process of its own, which has the built package. */
function run(type: 'commonjs' | 'module', script: string, env: Record<string, string>): Run {
  const child = spawn(process.execPath, [`--input-type=${type}`, '-e', script], {
    cwd: import.meta.dirname,
    env: { ...process.env, ...env },
  })
  const [stdout, stderr] = [text(child.stdout), text(child.stderr)]
  const end = once(child, 'exit').then(async ([code, signal]) => ({
    code,
    signal,
    stdout: await stdout,
    stderr: await stderr,
  }))
  const printed = once(child.stdout, 'data').then(([data]) => String(data).trim())
  const first = Promise.race([printed, end.then(({ stderr }) => Promise.reject(new Error(stderr)))])
  first.catch(() => {})
  return { child, first, end }
}

engineTests('redis', () => {
  let server: RedisServer
  let original: Original
  let name: string
  let url: string

  beforeAll(async () => {
    server = await redisServer()
    original = new Original(server.port)
  })

  afterAll(async () => {
    original?.[Symbol.dispose]()
    await server?.[Symbol.asyncDispose]()
  })

  beforeEach(() => {
    name = `api-${randomUUID()}`
    url = `10.0.0.1:${name}`
  })

  const env = () => ({ VASCO_URL: `127.0.0.1:${server.port}` })
  const left = async () => ({
    endpoints: await original.redis.smembers(`endpoints.${name}@1.0.0`),
    alive: await original.redis.get(`alive.${url}`),
  })
  const registered = () => ({ endpoints: [url], alive: `${name}@1.0.0` })
  const gone = { endpoints: [], alive: null }

  /** A process that registers, prints what it was called back with, and then does more. */
  async function service(more = ''): Promise<Run> {
    const script = `
      const vasco = require('@seamark/vasco')
      vasco.register('${url}', { name: '${name}', version: '1.0.0' }, (error, urls) => {
        console.log(JSON.stringify([error && error.message, urls]))
        ${more}
      })`
    const running = run('commonjs', script, env())
    expect(await running.first).toBe('[null,{}]')
    return running
  }

  describe('the package', () => {
    const calls = `
      const callbacks = []
      const none = { none: '1.0.0' }
      vasco.findDependencies({}, {}, (error, urls) => callbacks.push([error, urls]))
      vasco.findDependencies(none, {}, (error, urls) => callbacks.push([error.message, urls]))
      vasco.findDependencies(none, { none: 'a:1' }, (error, urls) => callbacks.push([error, urls]))
      vasco.register('', {}, (error, urls) => callbacks.push([error.message, urls]))
      vasco.register('a:1', {}, (error, urls) => callbacks.push([error.message, urls]))
      vasco.findDependencies(none).catch((error) => callbacks.push(['promise', error.message]))
      if (callbacks.length > 0) throw new Error('called back too soon')
      process.on('exit', () => console.log(JSON.stringify(callbacks)))`
    const answers = [
      [null, {}],
      [null, { none: 'a:1' }],
      ['Need url of service', null],
      ['Invalid package', null],
      ['No url for: none', null],
      ['promise', 'No url for: none'],
    ]

    test.each([
      ['commonjs', "const vasco = require('@seamark/vasco')"],
      [
        'commonjs',
        "const { register, findDependencies } = require('@seamark/vasco'); const vasco = { register, findDependencies }",
      ],
      ['module', "import vasco from '@seamark/vasco'"],
      ['module', "import * as vasco from '@seamark/vasco'"],
      [
        'module',
        "import { register, findDependencies } from '@seamark/vasco'; const vasco = { register, findDependencies }",
      ],
    ] as const)('answers in %s to %s, without a warning, and lets the process end', async (type, begin) => {
      const { end } = run(type, `${begin}\n${calls}`, env())
      const { code, stdout, stderr } = await end
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(JSON.parse(stdout)).toHaveLength(answers.length)
      expect(JSON.parse(stdout)).toEqual(expect.arrayContaining(answers))
    })

    test('is a plain object in CommonJS, on which tests may replace a function', async () => {
      const script = `
        const vasco = require('@seamark/vasco')
        vasco.register = () => 'replaced'
        console.log(require('@seamark/vasco').register(), Object.keys(vasco).join())`
      expect((await run('commonjs', script, env()).end).stdout).toBe('replaced register,findDependencies\n')
    })

    test('leaves to the process what a callback throws', async () => {
      const script = `
        process.on('uncaughtException', (error, origin) => console.log(error.message, origin))
        require('@seamark/vasco').findDependencies({}, {}, () => { throw new Error('mine') })`
      expect((await run('commonjs', script, env()).end).stdout).toBe('mine uncaughtException\n')
    })

    test('calls back with what is wrong with the connection, and nothing goes uncaught', async () => {
      const script = `
        const vasco = require('@seamark/vasco')
        vasco.register('a:1', { name: 'api', version: '1.0.0' }, (error) => console.log(error.code))`
      for (const VASCO_URL of ['127.0.0.1:1', 'redis://127.0.0.1:1'])
        expect(await run('commonjs', script, { VASCO_URL }).end).toEqual({
          code: 0,
          signal: null,
          stdout: 'engine_unavailable\n',
          stderr: '',
        })
      expect((await run('commonjs', script, { VASCO_URL: 'http://x' }).end).stdout).toBe('configuration\n')
    })
  })

  describe('a process that registered and', () => {
    test.each(['SIGTERM', 'SIGINT'] as const)(
      'gets %s deregisters, and ends by that signal',
      async (signal) => {
        const { child, end } = await service()
        expect(await left()).toEqual(registered())
        child.kill(signal)
        expect(await end).toMatchObject({ code: null, signal, stderr: '' })
        expect(await left()).toEqual(gone)
      },
    )

    test('has a listener of its own deregisters, and ends when nothing else keeps it', async () => {
      const { child, end } = await service("process.once('SIGTERM', () => { process.exitCode = 7 })")
      child.kill('SIGTERM')
      expect(await end).toMatchObject({ code: 7, signal: null })
      expect(await left()).toEqual(gone)
    })

    test.each([
      ['calls process.exit()', 'setImmediate(() => process.exit(3))', 3],
      ['throws what nobody catches', "setImmediate(() => { throw new Error('bang') })", 1],
    ])('%s deregisters, as its last word', async (_, more, code) => {
      const { end } = await service(more)
      expect(await end).toMatchObject({ code, signal: null })
      await vi.waitFor(async () => expect(await left()).toEqual(gone), { timeout: 5_000, interval: 10 })
    })

    test('exits in its own listener deregisters all the same', async () => {
      const { child, end } = await service("process.once('SIGTERM', () => process.exit(4))")
      child.kill('SIGTERM')
      expect(await end).toMatchObject({ code: 4 })
      await vi.waitFor(async () => expect(await left()).toEqual(gone), { timeout: 5_000, interval: 10 })
    })

    test('does nothing else stays, as with the original, and is renewed', async () => {
      const { child, end } = await service()
      await original.redis.del(`endpoints.${name}@1.0.0`, `alive.${url}`)
      await vi.waitFor(async () => expect(await left()).toEqual(registered()), {
        timeout: 20_000,
        interval: 50,
      })
      expect(child.exitCode).toBe(null)
      child.kill('SIGTERM')
      await end
    })

    test('also announces through Seamark still ends by the signal', async () => {
      const { child, end } = await service(`
        const { connect } = require('@seamark/client')
        connect('memory:').announce({ name: 'api', port: 3000, drain: 0 }).then(() => console.log('both'))`)
      await once(child.stdout!, 'data')
      child.kill('SIGTERM')
      expect(await end).toMatchObject({ code: null, signal: 'SIGTERM', stderr: '' })
      expect(await left()).toEqual(gone)
    })
  })
})
