import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { memory } from '@seamark/core'
import { type Server, server } from '@seamark/server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { connect } from './connect.ts'

const engine = memory()
let registry: Server

beforeEach(async () => {
  registry = await server({ engine, engineName: 'memory', port: 0 })
})

afterEach(async () => {
  for (const { instance } of registry.catalog.snapshot({ namespace: 'default', service: 'api' }).entries)
    await engine.deregister(instance)
  await registry.close()
})

interface Service {
  readonly child: ChildProcess
  /** How it ended; `registered` is what was left behind at that moment. */
  readonly end: Promise<{
    code: number | null
    signal: NodeJS.Signals | null
    stderr: string
    registered: number
  }>
}

/** A process that announces an instance and then runs `script`, which is told when that is done. */
async function service(script = '', options = '{}'): Promise<Service> {
  const source = `
    import { connect } from '@seamark/client'
    const discovery = connect(process.env.SEAMARK_URL, ${options})
    await discovery.announce({ name: 'api', port: 3000, ttl: '60s', drain: 50 })
    setInterval(() => {}, 1000)
    ${script}
    console.log('announced')
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    cwd: import.meta.dirname,
    env: { ...process.env, SEAMARK_URL: registry.url },
  })
  const stderr = text(child.stderr)
  const end = once(child, 'exit').then(async ([code, signal]) => ({
    code,
    signal,
    registered: registry.catalog.size,
    stderr: await stderr,
  }))
  await Promise.race([once(child.stdout, 'data'), end])
  return { child, end }
}

describe('a process that announced something and', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    'gets %s deregisters, and ends by that signal',
    async (signal) => {
      const { child, end } = await service()
      expect(registry.catalog.size).toBe(1)
      child.kill(signal)
      expect(await end).toMatchObject({ code: null, signal, registered: 0 })
    },
  )

  test('has a listener of its own deregisters, and ends as that says', async () => {
    const { child, end } = await service(
      `process.once('SIGTERM', async () => { await discovery.close(); process.exit(7) })`,
    )
    child.kill('SIGTERM')
    expect(await end).toMatchObject({ code: 7, registered: 0 })
  })

  test('has announced many things through several connections leaves none of them, with one listener', async () => {
    const { child, end } = await service(`
      const other = connect()
      for (let n = 0; n < 20; n++) await other.announce({ name: 'api', port: 3000, ttl: '60s' })
      console.error(process.listenerCount('SIGTERM'))
    `)
    expect(registry.catalog.size).toBe(21)
    child.kill('SIGTERM')
    expect(await end).toMatchObject({ signal: 'SIGTERM', registered: 0, stderr: '1\n' })
  })

  test('cannot reach the registry any more ends all the same', async () => {
    const { child, end } = await service()
    await registry.close()
    child.kill('SIGTERM')
    expect(await end).toMatchObject({ signal: 'SIGTERM' })
  })

  test('was told to leave signals alone is killed by one, and its lease has to run out', async () => {
    const { child, end } = await service('', '{ signals: false }')
    child.kill('SIGTERM')
    expect(await end).toMatchObject({ signal: 'SIGTERM', registered: 1 })
  })

  test.each([
    ['throws', `setTimeout(() => { throw new TypeError('broken') })`],
    ['rejects', `setTimeout(() => { Promise.reject(new TypeError('broken')) })`],
  ])(
    '%s with nobody to catch it deregisters, and ends with the message and the code of Node',
    async (_, script) => {
      const { code, signal, registered, stderr } = await (await service(script)).end
      expect({ code, signal, registered }).toEqual({ code: 1, signal: null, registered: 0 })
      expect(stderr).toMatch(/TypeError: broken\n\s+at /)
      expect(stderr).toContain(`Node.js ${process.version}`)
    },
  )

  test('catches what was thrown stays registered', async () => {
    const { child, end } = await service(`
      process.on('uncaughtException', () => console.log('caught'))
      setTimeout(() => { throw new Error('broken') })
      await new Promise((resolve) => process.once('uncaughtException', resolve))
    `)
    expect(registry.catalog.size).toBe(1)
    child.kill('SIGKILL')
    await end
  })
})

describe('a program', () => {
  async function run(script: string): Promise<string> {
    const source = `import { connect } from '@seamark/client'\n${script}`
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
      cwd: import.meta.dirname,
      env: { ...process.env, SEAMARK_URL: registry.url },
    })
    const output = Promise.all([text(child.stdout), text(child.stderr)])
    const [code] = await once(child, 'exit')
    return `${code}: ${(await output).join('')}`
  }

  test('that closes what it opened ends by itself', async () => {
    expect(
      await run(`
        const discovery = connect()
        await discovery.announce({ name: 'api', port: 3000 })
        await discovery.waitFor('api')
        await discovery.close()
        console.log('over')`),
    ).toBe('0: over\n')
  })

  test('that awaits a registry which is away does not end in the middle', async () => {
    expect(
      await run(`
        const discovery = connect('http://127.0.0.1:1', { wait: 300, notify: () => {} })
        await discovery.find('api').catch(({ code }) => console.log(code))
        await discovery.waitFor('api', { timeout: 300 }).catch(({ code }) => console.log(code))
        await discovery.close()
        console.log('over')`),
    ).toBe('0: engine_unavailable\ntimeout\nover\n')
  })
})

test('who has nothing announced any more listens to no signal', async () => {
  const before = process.listenerCount('SIGTERM')
  const discovery = connect(registry.url)
  const announcement = await discovery.announce({ name: 'api', port: 3000, drain: 0 })
  expect(process.listenerCount('SIGTERM')).toBe(before + 1)
  await announcement.close()
  expect(process.listenerCount('SIGTERM')).toBe(before)
  expect(process.listenerCount('uncaughtExceptionMonitor')).toBe(0)
  await discovery.close()
})
