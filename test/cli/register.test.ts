import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Ended, type Run, type RunningServer, seamark, start, startServer } from './seamark.ts'

let server: RunningServer

beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server[Symbol.asyncDispose]())

function ask(...words: string[]): Promise<Ended> {
  return seamark(words, { environment: { SEAMARK_URL: server.url } })
}

function register(...words: string[]): Run {
  return start(['register', ...words], { environment: { SEAMARK_URL: server.url } })
}

/** Resolves once the service has an instance, or has none. */
async function until(service: string, there: boolean): Promise<void> {
  let index = 0
  for (;;) {
    const url = `${server.url}/api/v1/namespaces/default/services/${service}`
    const answer = await fetch(index === 0 ? url : `${url}?index=${index}`)
    const { instances, revision } = (await answer.json()) as { instances: unknown[]; revision: number }
    if (instances.length > 0 === there) return
    index = revision
  }
}

/** A program that says when it runs, and how it was ended; or ends by itself. */
const waits = [
  'node',
  '-e',
  "process.on('SIGTERM', () => { console.log('told'); process.exit(3) }); setInterval(() => {}, 1e9); console.log('runs')",
]

describe('seamark register --ttl', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('keeps an instance registered until %s', async (signal) => {
    const service = signal.toLowerCase()
    await using running = register(service, '--port', '3000', '--id', `${service}-1`, '--ttl', '1s')
    await running.prints(
      new RegExp(`^Registered ${service}/${service}-1 at 127\\.0\\.0\\.1:3000, until Ctrl-C\\.$`, 'm'),
    )
    expect((await ask('find', service)).stdout).toBe('127.0.0.1:3000\n')
    running.process.kill(signal)
    expect(await running.ended).toMatchObject({ code: 0, stderr: '' })
    expect((await ask('find', service)).code).toBe(3)
  })

  it('tells programs what it registered', async () => {
    await using running = register('document', '--port', '3000', '--ttl', '5s', '--json', '--tag', 'a')
    const [line] = await running.prints(/^\{.*\}$/m)
    expect(JSON.parse(line)).toMatchObject({ instance: { service: 'document', port: 3000, tags: ['a'] } })
  })

  it('waits for a server that is away, and registers again when it forgot', async () => {
    await using first = await startServer()
    const { port } = first
    const environment = { SEAMARK_URL: first.url }
    await using running = start(['register', 'api', '--port', '3000', '--ttl', '1s'], { environment })
    await running.prints(/^Registered /m)
    first.process.kill('SIGKILL')
    await running.remarks(/cannot be kept registered at present/)
    await using again = start(['server', '--engine', 'memory:', '--port', `${port}`, '--json'])
    await again.prints(/\}$/m)
    await running.remarks(/it is registered again/)
    expect((await seamark(['find', 'api'], { environment })).stdout).toBe('127.0.0.1:3000\n')
  })

  it('fails at once for what the server will never take', async () => {
    const { code, stderr } = await ask('register', 'Api', '--port', '3000', '--ttl', '1s')
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('must be a DNS label') })
  })
})

describe('seamark register -- command', () => {
  it('registers while the command runs, and ends with its exit code', async () => {
    await using running = register(
      'code',
      '--port',
      '3000',
      '--',
      'node',
      '-e',
      'process.stdin.resume(); process.exit(7)',
    )
    expect(await running.ended).toMatchObject({ code: 7, stdout: '' })
    expect((await ask('find', 'code')).code).toBe(3)
  })

  it('deregisters before it passes a signal on, and leaves standard output to the command', async () => {
    await using running = register('order', '--port', '3000', '--', ...waits)
    await running.prints(/^runs$/m)
    await until('order', true)
    running.process.kill('SIGTERM')
    const gone = until('order', false).then(() => running.process.exitCode)
    expect(await running.ended).toMatchObject({ code: 3, stdout: 'runs\ntold\n' })
    expect(await gone).toBeNull()
  })

  it('ends as a command does that a signal ended', async () => {
    await using running = register(
      'signal',
      '--port',
      '3000',
      '--',
      'node',
      '-e',
      "process.kill(process.pid, 'SIGKILL')",
    )
    expect((await running.ended).code).toBe(137)
  })

  it('says that there is no such command, as a shell does, and registers nothing', async () => {
    const { code, stderr } = await ask('register', 'missing', '--port', '3000', '--', 'no-such-program')
    expect(code).toBe(127)
    expect(stderr).toBe('seamark: no-such-program cannot be run: there is no such program.\n')
    expect((await ask('find', 'missing')).code).toBe(3)
  })

  it('ends the command when the server refuses the instance for good', async () => {
    const words = ['refused', '--port', '3000', '--version', 'new', '--', ...waits]
    const { code, stderr } = await ask('register', ...words)
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('version must be') })
  })

  it('gives the command its arguments as they are', async () => {
    const words = [
      '--',
      'node',
      '-p',
      'JSON.stringify(process.argv.slice(1))',
      '--',
      '--port',
      '--json',
      'a b',
    ]
    const { code, stdout } = await ask('register', 'arguments', '--port', '3000', ...words)
    expect({ code, stdout }).toEqual({ code: 0, stdout: '["--port","--json","a b"]\n' })
  })
})
