import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Ended, type Run, type RunningServer, seamark, start, startServer } from './seamark.ts'

const folder = mkdtempSync(join(tmpdir(), 'seamark-gateway-'))
let server: RunningServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

interface RunningGateway extends Run {
  readonly url: string
  readonly status: string
  readonly facts: Readonly<Record<string, unknown>>
}

/** Starts a gateway on free ports, and waits until it is up. */
async function startGateway(...words: string[]): Promise<RunningGateway> {
  const run = start(['gateway', '--port', '0', '--status-port', '0', '--json', ...words], {
    environment: { SEAMARK_URL: server.url },
  })
  const facts = JSON.parse((await run.prints(/^\{.*\}$/m))[0])
  return { ...run, ...facts, facts, [Symbol.asyncDispose]: run[Symbol.asyncDispose] }
}

function ask(...words: string[]): Promise<Ended> {
  return seamark(words, { environment: { SEAMARK_URL: server.url } })
}

/** Each test has paths of its own: they share one registry. */
async function register(service: string, port: number, ...words: string[]): Promise<void> {
  expect(await ask('register', service, '--port', String(port), ...words)).toMatchObject({ code: 0 })
}

/** An application that answers with what it was asked for. */
async function application(
  handle: (request: IncomingMessage, response: ServerResponse) => void = (request, response) =>
    response.end(`${request.method} ${request.url}`),
) {
  const http = createServer(handle).listen(0, '127.0.0.1')
  await once(http, 'listening')
  return {
    port: (http.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      http.closeAllConnections()
      http.close()
    },
  }
}

async function get(url: string, headers: Record<string, string> = {}) {
  const [response] = (await once(request(url, { headers, agent: false }).end(), 'response')) as [
    IncomingMessage,
  ]
  let body = ''
  for await (const chunk of response.setEncoding('utf8')) body += chunk
  return { status: response.statusCode, body }
}

/** Asks until the gateway has heard of what was registered. */
async function answered(url: string, status: number): Promise<string> {
  for (;;) {
    const answer = await get(url)
    if (answer.status === status) return answer.body
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function routesFile(name: string, content: unknown): string {
  const path = join(folder, name)
  writeFileSync(path, JSON.stringify(content))
  return path
}

describe('seamark gateway', () => {
  it('brings requests to instances that were registered with a route, before and after it started', async () => {
    await using app = await application()
    await register('before', app.port, '--route', '/before')
    await using gateway = await startGateway()
    expect(gateway.facts).toEqual({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      address: '127.0.0.1',
      port: expect.any(Number),
      status: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      registry: server.url,
      routes: expect.any(Number),
      conflicts: expect.any(Number),
      pid: gateway.process.pid,
    })
    expect(await get(`${gateway.url}/before/7?a=1`)).toEqual({ status: 200, body: 'GET /before/7?a=1' })
    expect(await get(`${gateway.url}/after`)).toMatchObject({ status: 404 })
    await register('after', app.port, '--route', '/after')
    expect(await answered(`${gateway.url}/after`, 200)).toBe('GET /after')
    expect(await get(`${gateway.status}/readyz`)).toEqual({ status: 200, body: '{"status":"ready"}' })
  })

  it('lets a request in flight finish when it is stopped', async () => {
    let finish = () => {}
    let arrive = () => {}
    const arrived = new Promise<void>((resolve) => {
      arrive = resolve
    })
    await using app = await application((_, response) => {
      finish = () => response.end('finished')
      arrive()
    })
    await register('slow', app.port, '--route', '/slow')
    await using gateway = await startGateway()
    const answer = get(`${gateway.url}/slow`)
    await arrived
    gateway.process.kill('SIGTERM')
    for (;;) {
      const drains = await get(`${gateway.status}/readyz`).then(
        ({ status }) => status === 503,
        () => true,
      )
      if (drains) break
    }
    finish()
    expect(await answer).toEqual({ status: 200, body: 'finished' })
    expect(await gateway.ended).toMatchObject({ code: 0 })
  })

  it('reads its file of routes again when it changes, and says what is wrong with it', async () => {
    await using app = await application()
    await register('filed', app.port)
    const path = routesFile('changing.json', {
      routes: [{ service: 'filed', path: '/file-1', rewrite: '/' }],
    })
    await using gateway = await startGateway('--routes', path)
    expect(await get(`${gateway.url}/file-1/x`)).toEqual({ status: 200, body: 'GET /x' })
    routesFile('changing.json', { routes: [{ service: 'filed', path: 'file-2' }, { path: '/' }] })
    await gateway.remarks(/routes\/0\/path must be a path.*routes\/1\/service is missing.*stays in force/)
    expect(await get(`${gateway.url}/file-1`)).toMatchObject({ status: 200 })
    routesFile('changing.json', { routes: [{ service: 'filed', path: '/file-2' }] })
    await answered(`${gateway.url}/file-2`, 200)
    expect(await get(`${gateway.url}/file-1`)).toMatchObject({ status: 404 })
  })

  it('speaks TLS with the certificate it is given', async () => {
    await using app = await application()
    await register('secure', app.port, '--route', '/secure')
    const certificates = join(import.meta.dirname, '../servers/certificates')
    const [cert, key] = [join(certificates, 'server.pem'), join(certificates, 'server-key.pem')]
    await using gateway = await startGateway('--tls-cert', cert, '--tls-key', key)
    expect(gateway.url).toMatch(/^https:/)
    const ca = readFileSync(join(certificates, 'ca.pem'))
    const [response] = await once(
      httpsRequest(`${gateway.url}/secure`, { ca, servername: 'localhost', agent: false }).end(),
      'response',
    )
    expect(response.statusCode).toBe(200)
    response.resume()
  })

  it('tells people where it is, and how a first route is made', async () => {
    await using empty = await startServer()
    const words = ['gateway', '--port', '0', '--status-port', 'off', '--url', empty.url]
    await using gateway = start(words)
    const [banner] = await gateway.prints(/^The gateway of Seamark [\s\S]*--route .*\n/)
    expect(banner).toMatch(/\n {2}Gateway {2}http:\/\/127\.0\.0\.1:\d+\n {2}Status {3}off\n/)
    expect(banner).toMatch(/\n {2}Routes {3}none so far\n/)
    const [register] = /register api .*/.exec(banner)!
    expect(await seamark(register.split(' '))).toMatchObject({ code: 0 })
    expect((await seamark(['gateway', 'routes', '--url', empty.url])).stdout).toContain('api/api')
  })

  it('starts without a registry, and waits for it', async () => {
    const words = ['gateway', '--port', '0', '--status-port', '0', '--json', '--url', 'http://127.0.0.1:1']
    await using gateway = start(words)
    const facts = JSON.parse((await gateway.prints(/^\{.*\}$/m))[0])
    expect(facts).toMatchObject({ routes: null, registry: 'http://127.0.0.1:1' })
    expect(await get(`${facts.status}/readyz`)).toMatchObject({ status: 503 })
    expect(await get(`${facts.url}/`)).toMatchObject({ status: 503 })
    gateway.process.kill('SIGTERM')
    expect(await gateway.ended).toMatchObject({ code: 0 })
  })

  it('goes on with what it knows while its server is away, and when that comes back with nothing', async () => {
    await using app = await application()
    const first = await startServer()
    const words = ['gateway', '--port', '0', '--status-port', 'off', '--json', '--url', first.url]
    const port = String(app.port)
    await seamark(['register', 'api', '--port', port, '--route', '/api', '--url', first.url])
    await using gateway = start(words)
    const { url } = JSON.parse((await gateway.prints(/^\{.*\}$/m))[0])
    first.process.kill('SIGKILL')
    await first.ended
    await gateway.remarks(/"event":"source_lost"/)
    expect(await get(`${url}/api`)).toMatchObject({ status: 200 })
    await using _ = start([
      'server',
      '--engine',
      'memory:',
      '--port',
      String(first.port),
      '--dns-port',
      'off',
    ])
    await gateway.remarks(/"event":"empty_answer_kept_out"/)
    expect(await get(`${url}/api`)).toMatchObject({ status: 200 })
  })

  it('goes without a status listener when the usual port is taken and nobody asked for it', async () => {
    const holder = createServer()
    // Whether this is ours or somebody else's: the usual port is taken.
    await once(holder.on('error', () => holder.emit('listening')).listen(8081, '127.0.0.1'), 'listening')
    await using gateway = start(['gateway', '--port', '0', '--json', '--url', server.url])
    expect(JSON.parse((await gateway.prints(/^\{.*\}$/m))[0])).toMatchObject({ status: null })
    await gateway.remarks(/Port 8081 is taken: nothing tells of the gateway's status/)
    holder.close()
  })

  it.each([
    [['--tls-cert', 'cert.pem'], 2, 'say both --tls-cert and --tls-key'],
    [['--routes', 'none.json'], 2, 'The routes file none.json cannot be read: there is no such file.'],
    [['--trusted-proxy', 'everybody'], 2, '--trusted-proxy "everybody" must be an IP address, or a network'],
    [['--tls-cert', 'none.pem', '--tls-key', 'none.pem'], 2, 'none.pem'],
    [['--host', '203.0.113.1'], 2, 'This machine has no address 203.0.113.1.'],
    [['--status-port', 'some'], 2, '--status-port must be a whole number from 0 to 65535, or off'],
    [['--url', 'localhost:8500'], 2, 'must be http://host:port or https://host:port'],
    [['--engine', 'nonesuch://host'], 2, 'npm install @seamark/nonesuch'],
  ])('refuses %j, and says why', async (words, code, message) => {
    const ended = await ask('gateway', '--port', '0', '--status-port', '0', ...words)
    expect(ended).toMatchObject({ code, stdout: '' })
    expect(ended.stderr).toContain(message)
  })

  it('refuses a port that is taken, and names another one', async () => {
    await using other = await application()
    const ended = await ask('gateway', '--port', String(other.port), '--status-port', '0')
    expect(ended).toMatchObject({ code: 5, stdout: '' })
    expect(ended.stderr).toContain(`seamark: Port ${other.port} of 127.0.0.1 is in use`)
    expect(ended.stderr).toContain(`seamark gateway --port ${other.port + 1}`)
  })
})

describe('seamark server --gateway', () => {
  it('brings requests to what is registered with it, and is set up as a gateway by itself is', async () => {
    await using app = await application()
    const words = ['--engine', 'memory:', '--gateway', '--gateway-status-port', '0']
    await using one = await startServer(words, { environment: { SEAMARK_GATEWAY_PORT: '0' } })
    const { gateway } = JSON.parse((await one.prints(/^.*$/m))[0])
    await seamark(['register', 'api', '--port', String(app.port), '--route', '/api', '--url', one.url])
    // The server's answer waits for its catalog, which is the gateway's too.
    expect(await get(`${gateway.url}/api/7`)).toEqual({ status: 200, body: 'GET /api/7' })
    expect(await get(`${gateway.status}/healthz`)).toMatchObject({ status: 200 })
    one.process.kill('SIGTERM')
    expect(await one.ended).toMatchObject({ code: 0 })
  })

  it('names its own options when one is wrong', async () => {
    const words = ['server', '--engine', 'memory:', '--port', '0', '--dns-port', 'off', '--gateway']
    const ended = await seamark([...words, '--gateway-port', '0', '--gateway-tls-key', 'key.pem'])
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr).toContain('say both --gateway-tls-cert and --gateway-tls-key')
  })
})

describe('seamark gateway routes', () => {
  let own: RunningServer
  beforeAll(async () => {
    own = await startServer()
    const url = ['--url', own.url]
    const tickets = ['--port', '3000', '--route', 'shop.example/tickets', '--role', 'tickets-query']
    await seamark(['register', 'tickets', ...tickets, ...url])
    await seamark(['register', 'first', '--port', '3001', '--route', '/a', ...url])
    await seamark(['register', 'late', '--port', '3002', '--route', '/a', ...url])
    await seamark(['register', 'old', '--port', '3003', '--tag', 'urlprefix-/b auth=staff', ...url])
  })
  afterAll(() => own[Symbol.asyncDispose]())

  it('lists rules in their order, what lost, and what was left out', async () => {
    const { code, stdout, stderr } = await seamark(['gateway', 'routes', '--url', own.url])
    expect(code).toBe(0)
    expect(stdout.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['RULE', 'HOST', 'PATH', 'METHODS', 'ROLES', 'HEALTHY', 'FROM'],
      [
        'tickets@shop.example/tickets',
        'shop.example',
        '/tickets',
        'any',
        'tickets-query',
        '1/1',
        'instances of tickets',
      ],
      ['first/a', 'any', '/a', 'any', '1/1', 'instances of first'],
      ['late/a', 'any', '/a', 'any', 'not in force: first/a of instances of first comes first'],
      [''],
    ])
    expect(stderr).toBe(
      'old says a route that is left out, tag urlprefix-/b auth=staff: this gateway does not know its option "auth".\n',
    )
  })

  it('lists them for programs, with those of a file', async () => {
    const routes = routesFile('list.json', {
      routes: [{ service: 'first', path: '/a', rate: { requests: 5 } }],
    })
    const words = ['gateway', '--url', own.url, 'routes', '--json', '--routes', routes]
    const { stdout } = await seamark(words)
    expect(JSON.parse(stdout)).toMatchObject({
      routes: [
        { name: 'tickets@shop.example/tickets', route: { roles: ['tickets-query'] }, instances: { all: 1 } },
        { name: 'first/a', namespace: 'default', service: 'first', policy: ['rate'], origin: routes },
      ],
      conflicts: [
        { name: 'first/a', winner: 'first/a' },
        { name: 'late/a', winner: 'first/a' },
      ],
      skipped: [{ statement: 'tag urlprefix-/b auth=staff' }],
    })
  })

  it('says when there are none, and when there is no server', async () => {
    await using empty = await startServer()
    const none = await seamark(['gateway', 'routes', '--url', empty.url])
    expect(none).toMatchObject({ code: 0, stdout: '' })
    expect(none.stderr).toContain('There are no routes. An instance brings one along:')
    const away = await seamark(['gateway', 'routes', '--url', 'http://127.0.0.1:1'])
    expect(away).toMatchObject({ code: 4, stdout: '' })
  })

  it('explains a request, by host and path', async () => {
    const explain = (...words: string[]) => seamark(['gateway', 'explain', ...words, '--url', own.url])
    const { code, stdout } = await explain('get', 'http://Shop.Example/tickets/7')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^GET \/tickets\/7 of host shop.example\n/)
    expect(stdout).toMatch(/\ntickets@shop.example\/tickets {2}fits: it is in force\n/)
    expect(stdout).toMatch(/\nfirst\/a {23}the path does not begin with \/a\n/)
    expect(stdout).toMatch(
      /\nAsks for {3}GET \/tickets\/7\nInstances {2}tickets-\S+-3000 \(127.0.0.1:3000\), of 1\n/,
    )
    expect(stdout).toMatch(
      /\nRoles {6}one of tickets-query\nTimeout {4}30000 ms, the gateway's\nRetries {4}2, the/,
    )
    expect(JSON.parse((await explain('GET', '/a/x', '--json')).stdout)).toMatchObject({
      path: '/a/x',
      rule: 'first/a',
      forwarded: '/a/x',
    })
    const nobody = await explain('GET', '/c', '--json')
    expect(nobody.code).toBe(3)
    expect(JSON.parse(nobody.stdout)).toMatchObject({ answer: { status: 404, why: 'No rule fits.' } })
    const hidden = await explain('GET', '/a/..%2fb')
    expect(hidden.code).toBe(3)
    expect(hidden.stdout).toMatch(/\n400 {2}The path is none, or servers may read it as another one/)
    expect(await explain('GET', 'shop.example/a')).toMatchObject({ code: 2, stdout: '' })
  })
})

describe('seamark register', () => {
  it('refuses a role without a route, and a route that is none', async () => {
    const role = await ask('register', 'api', '--port', '3000', '--role', 'staff')
    expect(role).toMatchObject({ code: 2, stdout: '' })
    expect(role.stderr).toContain('A --role needs a --route that it is for')
    const route = await ask('register', 'api', '--port', '3000', '--route', 'shop.example:80/a')
    expect(route).toMatchObject({ code: 2, stdout: '' })
    expect(route.stderr).toContain('route/host must be a host')
  })
})
