import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import { type AddressInfo, createServer } from 'node:net'
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js'
import { instance } from '@seamark/core'
import { afterEach, describe, expect, test } from 'vitest'
import { scheduled } from './instance-checks.ts'
import { runCheck } from './run-check.ts'

const policy = { allowCommandChecks: false, allowForeignChecks: false }
const endings: (() => unknown)[] = []

afterEach(async () => {
  for (const end of endings.splice(0)) await end()
})

/** A server whose health service knows these services, by what its answer's bytes are. */
async function serve(services: Readonly<Record<string, readonly number[]>> | undefined): Promise<number> {
  const server = new Server()
  if (services !== undefined)
    server.addService(
      {
        check: {
          path: '/grpc.health.v1.Health/Check',
          requestStream: false,
          responseStream: false,
          requestSerialize: (value: Buffer) => value,
          requestDeserialize: (bytes: Buffer) => ({ service: bytes.subarray(2).toString() }),
          responseSerialize: (value: Buffer) => value,
          responseDeserialize: (bytes: Buffer) => bytes,
        },
      },
      {
        check(call: ServerUnaryCall<{ service: string }, Buffer>, callback: sendUnaryData<Buffer>) {
          const answer = services[call.request.service]
          if (answer === undefined) callback({ code: status.NOT_FOUND, details: 'no such service: ☃' })
          else callback(null, Buffer.from(answer))
        },
      },
    )
  endings.push(() => server.forceShutdown())
  return new Promise((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    ),
  )
}

function run(port: number, { service = '', signal = new AbortController().signal } = {}) {
  const api = instance({
    namespace: 'default',
    service: 'api',
    id: 'i1',
    address: 'localhost',
    port,
    scheme: 'grpc',
    checks: [{ type: 'grpc', service }],
  })
  return runCheck(scheduled(api)[0]!, { instance: api, policy, signal })
}

test.each([
  ['UNKNOWN', [0x08, 0], 'critical'],
  ['SERVING', [0x08, 1], 'passing'],
  ['NOT_SERVING', [0x08, 2], 'critical'],
  ['SERVICE_UNKNOWN', [0x08, 3], 'critical'],
  ['UNKNOWN', [], 'critical'],
  ['Serving status 9', [0x08, 9], 'critical'],
] as const)('%s (%j) is %s', async (output, answer, expected) => {
  const port = await serve({ '': answer })
  expect(await run(port)).toEqual({ status: expected, output })
})

test('asks for one service', async () => {
  const port = await serve({ '': [0x08, 2], 'shop.Cart': [0x08, 1] })
  expect((await run(port, { service: 'shop.Cart' })).status).toBe('passing')
  expect(await run(port, { service: 'shop.Nothing' })).toEqual({
    status: 'critical',
    output: 'The server\'s health service does not know "shop.Nothing" (NOT_FOUND): no such service: ☃',
  })
})

describe('is critical, and says why, when', () => {
  test('the server has no health service', async () => {
    const port = await serve(undefined)
    const { status, output } = await run(port)
    expect([status, output]).toEqual([
      'critical',
      expect.stringContaining('does not implement grpc.health.v1.Health'),
    ])
  })

  test('the answer is no health response', async () => {
    const port = await serve({ '': [0xff] })
    expect(await run(port)).toEqual({ status: 'critical', output: 'The answer is no HealthCheckResponse.' })
  })

  test('the answer is too large', async () => {
    const port = await serve({ '': new Array(10_000).fill(0x08) })
    expect((await run(port)).output).toContain('larger')
  })

  test('the server speaks HTTP/2, but not gRPC', async () => {
    const server = createHttp2Server((_, response) => {
      response.statusCode = 404
      response.end('no such page')
    }).listen(0, '127.0.0.1')
    endings.push(() => server.close())
    await once(server, 'listening')
    expect(await run((server.address() as AddressInfo).port)).toEqual({
      status: 'critical',
      output: 'Not a gRPC server: it answered with HTTP status 404.',
    })
  })

  test('the server speaks HTTP/1', async () => {
    const server = createHttpServer((_, response) => response.end()).listen(0, '127.0.0.1')
    endings.push(() => server.close())
    await once(server, 'listening')
    expect(await run((server.address() as AddressInfo).port)).toMatchObject({
      status: 'critical',
      output: expect.stringMatching(/\w/),
    })
  })

  test('the server hangs up', async () => {
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
    endings.push(() => server.close())
    await once(server, 'listening')
    expect(await run((server.address() as AddressInfo).port)).toMatchObject({
      status: 'critical',
      output: expect.stringMatching(/\w/),
    })
  })
})

test('ends at once when it is aborted, and hangs up', async () => {
  const stop = new AbortController()
  const server = createServer().listen(0, '127.0.0.1')
  endings.push(() => server.close())
  await once(server, 'listening')
  const connected = once(server, 'connection')
  const outcome = run((server.address() as AddressInfo).port, { signal: stop.signal })
  outcome.catch(() => {})
  const [socket] = await connected
  socket.on('error', () => {})
  const hungUp = new Promise((resolve) => socket.once('close', resolve))
  await once(socket, 'data')
  stop.abort(new Error('stopped'))
  await expect(outcome).rejects.toThrow('stopped')
  await hungUp
})
