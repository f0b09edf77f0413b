import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { type CheckInput, instance } from '@seamark/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { scheduled } from './instance-checks.ts'
import { runCheck } from './run-check.ts'

/** Of localhost and 127.0.0.1, signed by itself, until 2124. It protects nothing: made for these tests. */
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgNb05XRsUC3DObq/2
3L5v4kw3Epix//LBIkFfx+CWIbKhRANCAASqOSfkBz1dTluYFJ1si0q0Jwkn7eq3
7NqRYEVYUJbFF7UGT4AoEUOetudGFT0HBTb68zbloocqsLsX2J0zmjH1
-----END PRIVATE KEY-----
`
const certificate = `-----BEGIN CERTIFICATE-----
MIIBaDCCAQ2gAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjQwMTAxMDAwMDAwWhgPMjEyNDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABKo5J+QHPV1OW5gU
nWyLSrQnCSft6rfs2pFgRVhQlsUXtQZPgCgRQ56250YVPQcFNvrzNuWihyqwuxfY
nTOaMfWjTjBMMBoGA1UdEQQTMBGCCWxvY2FsaG9zdIcEfwAAATAPBgNVHRMBAf8E
BTADAQH/MB0GA1UdDgQWBBTxP8MOVvBD0o3XpdOme77MjJNZuTAKBggqhkjOPQQD
AgNJADBGAiEA/sEMXj7URj4tbex7OKzTnxjO/ebNa/wsNoMrUuXDUrECIQCClw/Z
d2ckvX2RFyhfbPxI2dS1drXSQ54ylZqp/qZayQ==
-----END CERTIFICATE-----
`

const policy = { allowCommandChecks: false, allowForeignChecks: false }
const https = createServer({ key, cert: certificate }, (_, response) => response.end('hello'))
const grpc = new Server()
const ports = { https: 0, grpc: 0 }
let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'seamark-tls-'))
  await writeFile(join(directory, 'certificate.pem'), certificate)
  https.listen(0, '127.0.0.1')
  await once(https, 'listening')
  ports.https = (https.address() as AddressInfo).port
  const serving = Buffer.of(0x08, 1)
  grpc.addService(
    {
      check: {
        path: '/grpc.health.v1.Health/Check',
        requestStream: false,
        responseStream: false,
        requestSerialize: (bytes: Buffer) => bytes,
        requestDeserialize: (bytes: Buffer) => bytes,
        responseSerialize: (bytes: Buffer) => bytes,
        responseDeserialize: (bytes: Buffer) => bytes,
      },
    },
    { check: (_: unknown, callback: (error: null, answer: Buffer) => void) => callback(null, serving) },
  )
  const credentials = ServerCredentials.createSsl(null, [
    { private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) },
  ])
  ports.grpc = await new Promise((resolve, reject) =>
    grpc.bindAsync('127.0.0.1:0', credentials, (error, port) => (error ? reject(error) : resolve(port))),
  )
})

afterAll(async () => {
  https.close()
  grpc.forceShutdown()
  await rm(directory, { recursive: true })
})

function checked(check: CheckInput, address: string, port: number) {
  return instance({
    namespace: 'default',
    service: 'api',
    id: 'i1',
    address,
    port,
    scheme: 'https',
    checks: [check],
  })
}

/** Runs the check in a process that trusts the certificate, as `NODE_EXTRA_CA_CERTS` makes a server do. */
async function trusting(check: CheckInput, address: string, port: number): Promise<unknown> {
  const built = new URL('../../dist/checks/run-check.js', import.meta.url)
  const api = checked(check, address, port)
  const script = `
    const { runCheck } = await import(${JSON.stringify(built)})
    const instance = ${JSON.stringify(api)}
    const context = { instance, policy: ${JSON.stringify(policy)}, signal: new AbortController().signal }
    console.log(JSON.stringify(await runCheck(instance.checks[0], context)))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: join(directory, 'certificate.pem') },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return JSON.parse(await text(child.stdout))
}

describe.each([['localhost'], ['127.0.0.1']])('at %s', (address) => {
  test('trusts a certificate that the machine trusts', async () => {
    expect(await trusting({ type: 'http', url: '/' }, address, ports.https)).toEqual({
      status: 'passing',
      output: '200 OK\nhello',
    })
    expect(await trusting({ type: 'grpc', tls: true }, address, ports.grpc)).toEqual({
      status: 'passing',
      output: 'SERVING',
    })
  })

  test.each([
    ['https', { type: 'http', url: '/' }],
    ['grpc', { type: 'grpc', tls: true }],
  ] as const)('is critical when the certificate is not trusted: %s', async (server, check) => {
    const api = checked(check, address, ports[server])
    const { signal } = new AbortController()
    expect(await runCheck(scheduled(api)[0]!, { instance: api, policy, signal })).toEqual({
      status: 'critical',
      output: expect.stringMatching(/certificate/),
    })
  })
})

test('is critical when the server speaks no TLS at all', async () => {
  const plain = new Server()
  const port = await new Promise<number>((resolve, reject) =>
    plain.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    ),
  )
  const api = checked({ type: 'grpc', tls: true }, '127.0.0.1', port)
  const { signal } = new AbortController()
  expect(await runCheck(scheduled(api)[0]!, { instance: api, policy, signal })).toMatchObject({
    status: 'critical',
  })
  plain.forceShutdown()
})
