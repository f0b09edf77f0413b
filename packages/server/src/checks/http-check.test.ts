import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { type CheckInput, instance } from '@seamark/core'
import { afterEach, describe, expect, test } from 'vitest'
import { scheduled } from './instance-checks.ts'
import { runCheck } from './run-check.ts'

const policy = { allowCommandChecks: false, allowForeignChecks: false }
const servers: { close(): unknown; closeAllConnections?(): void }[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections?.()
    await server.close()
  }
})

async function serve(listener: RequestListener, address = '127.0.0.1'): Promise<Server & { port: number }> {
  const server = createServer(listener).listen(0, address)
  servers.push(server)
  await once(server, 'listening')
  return Object.assign(server, { port: (server.address() as AddressInfo).port })
}

/** A server that speaks as it likes. */
async function serveRaw(listener: (socket: Socket) => void): Promise<number> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {})
    listener(socket)
  }).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

function run(
  check: Omit<CheckInput, 'type'>,
  port: number,
  { address = '127.0.0.1', scheme = 'http', signal = new AbortController().signal } = {},
) {
  const api = instance({
    namespace: 'default',
    service: 'api',
    id: 'i1',
    address,
    port,
    scheme,
    checks: [{ type: 'http', ...check }],
  })
  return runCheck(scheduled(api)[0]!, { instance: api, policy, signal })
}

test.each([
  [200, 'passing'],
  [204, 'passing'],
  [299, 'passing'],
  [301, 'critical'],
  [304, 'critical'],
  [404, 'critical'],
  [429, 'warning'],
  [500, 'critical'],
  [503, 'critical'],
] as const)('an answer with status %i is %s', async (code, status) => {
  const { port } = await serve((_, response) => response.writeHead(code).end())
  const outcome = await run({ url: '/' }, port)
  expect(outcome.status).toBe(status)
  expect(outcome.output).toMatch(new RegExp(`^${code}`))
})

test('shows the status and the body', async () => {
  const { port } = await serve((_, response) => response.end('database: up\n'))
  expect((await run({ url: '/' }, port)).output).toBe('200 OK\ndatabase: up')
})

test('sends the method, path and headers of the check', async () => {
  const { port } = await serve(({ method, url, headers }, response) =>
    response.end(JSON.stringify([method, url, headers['x-probe'], headers['user-agent'], headers.host])),
  )
  const asked = async (check: Omit<CheckInput, 'type'>) =>
    JSON.parse((await run(check, port)).output.slice('200 OK\n'.length))
  expect(await asked({ url: '/healthz?full=1', method: 'POST', headers: { 'X-Probe': '1' } })).toEqual([
    'POST',
    '/healthz?full=1',
    '1',
    'Seamark-Health-Check',
    `127.0.0.1:${port}`,
  ])
  expect(await asked({ url: '/', headers: { 'User-Agent': 'me', Host: 'shop.test' } })).toEqual([
    'GET',
    '/',
    null,
    'me',
    'shop.test',
  ])
})

test('does not follow redirects', async () => {
  const paths: unknown[] = []
  const { port } = await serve(({ url }, response) => {
    paths.push(url)
    response.writeHead(302, { location: '/elsewhere' }).end()
  })
  expect(await run({ url: '/' }, port)).toEqual({ status: 'critical', output: '302 Found' })
  expect(paths).toEqual(['/'])
})

test('keeps 4 KB of an endless body, and hangs up', async () => {
  let hungUp: Promise<unknown> = Promise.resolve()
  const { port } = await serve((_, response) => {
    hungUp = once(response, 'close')
    const pour = () => {
      while (!response.destroyed && response.write('ä'.repeat(1_000)));
    }
    response.on('drain', pour)
    pour()
  })
  const { status, output } = await run({ url: '/' }, port)
  expect(status).toBe('passing')
  expect(Buffer.byteLength(output)).toBeGreaterThan(4_000)
  expect(Buffer.byteLength(output)).toBeLessThanOrEqual(4_096)
  expect(output).toMatch(/^200 OK\nä+$/)
  await hungUp
})

test('does not keep the connection', async () => {
  const sockets = new Set<Socket>()
  const server = await serve(({ socket }, response) => {
    sockets.add(socket)
    response.end()
  })
  await run({ url: '/' }, server.port)
  await run({ url: '/' }, server.port)
  expect(sockets.size).toBe(2)
  for (const socket of sockets) if (!socket.destroyed) await once(socket, 'close')
})

test('reaches instances over IPv6, and by name', async () => {
  const { port } = await serve((_, response) => response.end(), '::1')
  expect((await run({ url: '/' }, port, { address: '::1' })).status).toBe('passing')
  expect((await run({ url: `http://[::1]:${port}/` }, port, { address: '::1' })).status).toBe('passing')
  const other = await serve((_, response) => response.end())
  expect((await run({ url: '/' }, other.port, { address: 'localhost' })).status).toBe('passing')
})

test('asks instances of other schemes in plain HTTP', async () => {
  const { port } = await serve((_, response) => response.end())
  expect((await run({ url: '/' }, port, { scheme: 'grpc' })).status).toBe('passing')
})

describe('is critical, and says why, when', () => {
  test('nobody listens', async () => {
    const server = await serve(() => {})
    await new Promise((resolve) => server.close(resolve))
    const { status, output } = await run({ url: '/' }, server.port)
    expect([status, output]).toEqual(['critical', expect.stringContaining('ECONNREFUSED')])
  })

  test('the server hangs up', async () => {
    const port = await serveRaw((socket) => socket.destroy())
    expect(await run({ url: '/' }, port)).toMatchObject({ status: 'critical', output: expect.any(String) })
  })

  test('the server hangs up in the middle of the body', async () => {
    const port = await serveRaw((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'))
    expect((await run({ url: '/' }, port)).status).toBe('critical')
  })

  test.each([
    ['garbage', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['headers without end', `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(100_000)}`],
  ])('the server sends %s', async (_, bytes) => {
    const port = await serveRaw((socket) => socket.write(bytes))
    const { status, output } = await run({ url: '/' }, port)
    expect([status, output]).toEqual(['critical', expect.stringContaining('Parse Error')])
  })

  test('a header cannot be sent', async () => {
    const { port } = await serve((_, response) => response.end())
    expect((await run({ url: '/', headers: { 'x-name': 'Zoë ☃' } }, port)).status).toBe('critical')
  })

  test('the name does not resolve', async () => {
    const { status, output } = await run({ url: '/' }, 80, { address: 'nowhere.invalid' })
    expect([status, output]).toEqual(['critical', expect.stringContaining('nowhere.invalid')])
  })

  test('the target is not allowed', async () => {
    const { status, output } = await run({ url: 'http://127.0.0.2/' }, 80)
    expect([status, output]).toEqual(['critical', expect.stringContaining('--allow-foreign-checks')])
  })
})

describe('ends at once when it is aborted', () => {
  test.each([
    ['before an answer', ''],
    ['in the headers', 'HTTP/1.1 200 OK\r\n'],
    ['in the body', 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'],
    [
      'after a switch of protocols',
      'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n',
    ],
  ])('%s', async (_, bytes) => {
    const stop = new AbortController()
    let hungUp: Promise<unknown> = Promise.resolve()
    const asked = new Promise<void>((resolve) => {
      serveRaw((socket) => {
        hungUp = new Promise((resolve) => socket.once('close', resolve))
        socket.once('data', () => socket.write(bytes, () => resolve()))
      }).then((port) => {
        outcome = run({ url: '/' }, port, { signal: stop.signal })
        outcome.catch(() => {})
      })
    })
    let outcome: Promise<unknown> = Promise.resolve()
    await asked
    stop.abort(new Error('stopped'))
    await expect(outcome).rejects.toThrow('stopped')
    await hungUp
  })
})
