import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { instance } from '@seamark/core'
import { afterEach, expect, test } from 'vitest'
import { scheduled } from './instance-checks.ts'
import { runCheck } from './run-check.ts'

let server: Server | undefined

afterEach(() => {
  server?.close()
  server = undefined
})

/** Runs JavaScript in a process of its own. */
function run(script: string, { signal = new AbortController().signal, allowCommandChecks = true } = {}) {
  return runCommand([process.execPath, '-e', script], { signal, allowCommandChecks })
}

function runCommand(
  command: readonly string[],
  { signal = new AbortController().signal, allowCommandChecks = true } = {},
) {
  const api = instance({
    namespace: 'default',
    service: 'api',
    id: 'i1',
    address: '127.0.0.1',
    port: 80,
    checks: [{ type: 'command', command }],
  })
  return runCheck(scheduled(api)[0]!, {
    instance: api,
    policy: { allowCommandChecks, allowForeignChecks: false },
    signal,
  })
}

test.each([
  [0, 'passing'],
  [1, 'warning'],
  [2, 'critical'],
  [127, 'critical'],
] as const)('exit code %i is %s', async (code, status) => {
  expect(await run(`process.exitCode = ${code}`)).toEqual({ status, output: `Exit code ${code}` })
})

test('shows what the command printed on both streams', async () => {
  const { output } = await run('console.log("disk: ok"); console.error("load: high"); process.exitCode = 1')
  expect(output).toContain('disk: ok')
  expect(output).toContain('load: high')
})

test('keeps 4 KB of a long output, and lets the command finish', async () => {
  const { status, output } = await run('process.stdout.write("x".repeat(1_000_000))')
  expect([status, output]).toEqual(['passing', 'x'.repeat(4_096)])
})

test('uses no shell', async () => {
  const { output } = await runCommand([process.execPath, '-p', 'process.argv[1]', '$(id); `id` && id'])
  expect(output).toBe('$(id); `id` && id')
})

test('gives the command no input', async () => {
  const { status } = await run('process.stdin.resume().on("end", () => process.exit(0))')
  expect(status).toBe('passing')
})

test('is critical when the command was killed', async () => {
  expect(await run('process.kill(process.pid, "SIGTERM"); setInterval(() => {}, 1000)')).toEqual({
    status: 'critical',
    output: 'Killed by SIGTERM',
  })
})

test('is critical when there is no such program', async () => {
  const { status, output } = await runCommand(['/no/such/program'])
  expect([status, output]).toEqual(['critical', expect.stringContaining('ENOENT')])
})

test('runs nothing unless commands are allowed', async () => {
  const { status, output } = await run('', { allowCommandChecks: false })
  expect([status, output]).toEqual(['critical', expect.stringContaining('--allow-command-checks')])
})

/** A script that shows that its process lives by holding a connection; and what it does when something comes in. */
function living(port: number, received = ''): string {
  return `require('net').connect(${port}, '127.0.0.1').on('data', () => { ${received} });`
}

/** A script that starts another one in a process of its own, on the same streams. */
function starting(script: string): string {
  return `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(script)}], { stdio: 'inherit' });`
}

/** Also when the end is not a clean one. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

async function connections(count: number): Promise<{ port: number; arrived: Promise<Socket[]> }> {
  const sockets: Socket[] = []
  server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const arrived = new Promise<Socket[]>((resolve) =>
    server!.on('connection', (socket) => {
      socket.on('error', () => {}).resume()
      if (sockets.push(socket) === count) resolve(sockets)
    }),
  )
  return { port: (server.address() as AddressInfo).port, arrived }
}

test('ends the command and its children when it is aborted', async () => {
  const { port, arrived } = await connections(2)
  const stop = new AbortController()
  const outcome = run(living(port) + starting(living(port)), { signal: stop.signal })
  outcome.catch(() => {})
  const gone = (await arrived).map((socket) => closed(socket))
  stop.abort(new Error('stopped'))
  await expect(outcome).rejects.toThrow('stopped')
  await Promise.all(gone)
})

test('ends what the command leaves running', async () => {
  const { port, arrived } = await connections(1)
  // The command ends only when its child was seen to live.
  const script = `process.on('SIGUSR2', () => process.exit(0)); ${starting(living(port, "process.kill(process.ppid, 'SIGUSR2')"))}`
  const outcome = run(script)
  const [socket] = await arrived
  const gone = closed(socket!)
  socket!.write('end')
  expect((await outcome).status).toBe('passing')
  await gone
})
