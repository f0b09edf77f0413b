import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { instance } from '@seamark/core'
import { afterEach, expect, test } from 'vitest'
import { scheduled } from './instance-checks.ts'
import { runCheck } from './run-check.ts'

const policy = { allowCommandChecks: false, allowForeignChecks: false }
let server: Server

afterEach(() => server.close())

async function listen(address: string): Promise<number> {
  server = createServer().listen(0, address)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

function run(address: string, port: number, target?: string, signal = new AbortController().signal) {
  const api = instance({
    namespace: 'default',
    service: 'api',
    id: 'i1',
    address,
    port,
    checks: [{ type: 'tcp', target }],
  })
  return runCheck(scheduled(api)[0]!, { instance: api, policy, signal })
}

test("passes when the instance's own port accepts connections, and hangs up", async () => {
  const port = await listen('127.0.0.1')
  const accepted = once(server, 'connection')
  expect(await run('127.0.0.1', port)).toEqual({
    status: 'passing',
    output: `Connected to 127.0.0.1:${port}`,
  })
  const [socket] = await accepted
  socket.resume()
  await once(socket, 'close')
})

test('connects to another port of the same address, over IPv6 and by name too', async () => {
  const port = await listen('::1')
  expect((await run('::1', 1, `[::1]:${port}`)).output).toBe(`Connected to [::1]:${port}`)
  server.close()
  expect((await run('localhost', await listen('127.0.0.1'))).status).toBe('passing')
})

test('is critical when nobody listens', async () => {
  const port = await listen('127.0.0.1')
  server.close()
  await once(server, 'close')
  const { status, output } = await run('127.0.0.1', port)
  expect([status, output]).toEqual(['critical', expect.stringContaining('ECONNREFUSED')])
})

test('names each address that failed', async () => {
  const port = await listen('127.0.0.1')
  server.close()
  await once(server, 'close')
  const { status, output } = await run('localhost', port)
  expect(status).toBe('critical')
  expect(output).toContain(`127.0.0.1:${port}`)
})

test('does not begin once it is aborted', async () => {
  const port = await listen('127.0.0.1')
  await expect(run('127.0.0.1', port, undefined, AbortSignal.abort(new Error('stopped')))).rejects.toThrow(
    'stopped',
  )
})

test('is critical when the target is not allowed', async () => {
  const port = await listen('127.0.0.1')
  const { status, output } = await run('127.0.0.1', port, '127.0.0.2:80')
  expect([status, output]).toEqual(['critical', expect.stringContaining('--allow-foreign-checks')])
})
