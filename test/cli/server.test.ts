import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { seamark, start, startServer } from './seamark.ts'

const folder = mkdtempSync(join(tmpdir(), 'seamark-server-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A store's directory that is nobody else's. */
function store(name: string): string {
  return join(folder, name)
}

describe('seamark server', () => {
  it('tells people where it is, where its data is, and two lines to try that work', async () => {
    await using server = start(['server', '--port', '0'], { folder })
    const [, url] = await server.prints(/^ {2}API {4}(http:\S+)\/api\/v1$/m)
    const [banner] = await server.prints(/^Seamark [\s\S]*\n\n {2}curl .*\n {2}curl .*\n/)
    expect(banner).toContain(`  Data   ${join(folder, 'data')}\n`)
    const [, register, find] = /terminal:\n\n {2}.*?((?:register).*)\n {2}.*?((?:find).*)\n/.exec(banner)!
    expect(await seamark(register!.split(' '))).toMatchObject({ code: 0 })
    expect(await seamark(find!.split(' '))).toMatchObject({ code: 0, stdout: '127.0.0.1:3000\n' })
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
  })

  it('tells programs the same as one document', async () => {
    await using server = await startServer(['--engine', `lmdb:${store('document')}`])
    expect(JSON.parse((await server.prints(/^.*$/m))[0])).toEqual({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      url: `http://127.0.0.1:${server.port}`,
      address: '127.0.0.1',
      port: server.port,
      dns: null,
      gateway: null,
      engine: 'lmdb',
      data: store('document'),
      pid: server.process.pid,
    })
  })

  it('answers DNS where it says', async () => {
    await using server = await startServer([
      '--engine',
      'memory:',
      '--dns-port',
      '0',
      '--domain',
      'corp',
      '--namespace-domain',
      'local',
      '--dns-service-ttl',
      'api=7s',
    ])
    const { dns } = JSON.parse((await server.prints(/^.*$/m))[0])
    await seamark(['register', 'api', '--port', '3000', '--address', '10.0.0.9', '--url', server.url])
    const resolver = new Resolver()
    resolver.setServers([`${dns.address}:${dns.port}`])
    const answer = [{ address: '10.0.0.9', ttl: 7 }]
    expect(await resolver.resolve4('api.service.corp', { ttl: true })).toEqual(answer)
    expect(await resolver.resolve4('api.default.local', { ttl: true })).toEqual(answer)
    expect(await resolver.resolveSrv('_api._tcp.service.corp')).toMatchObject([{ port: 3000 }])
  })

  it('refuses a DNS port that is taken, and goes on without when nobody asked for it', async () => {
    await using first = await startServer(['--engine', 'memory:', '--dns-port', '0'])
    const { dns } = JSON.parse((await first.prints(/^.*$/m))[0])
    const words = ['server', '--engine', 'memory:', '--port', '0']
    const refused = await seamark([...words, '--dns-port', `${dns.port}`])
    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).toContain(`DNS cannot listen on 127.0.0.1:${dns.port}`)
    const holder = createServer()
    // Whether this is ours or somebody else's: the usual port is taken.
    await once(holder.on('error', () => holder.emit('listening')).listen(8600, '127.0.0.1'), 'listening')
    try {
      await using second = start([...words, '--json'])
      const [line] = await second.prints(/^\{.*\}$/m)
      expect(JSON.parse(line)).toMatchObject({ dns: null })
      await second.remarks(/Port 8600 is taken: there is no DNS/)
    } finally {
      holder.close()
    }
  })

  it('ends on Ctrl-C, though somebody waits and somebody dawdles', async () => {
    await using server = await startServer()
    const waiting = fetch(`${server.url}/v1/health/service/api?index=1&wait=60s`)
    const dawdling = connect(server.port, '127.0.0.1')
    dawdling.on('error', () => {})
    dawdling.write('PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1')
    await once(dawdling, 'connect')
    await fetch(`${server.url}/healthz`)
    server.process.kill('SIGINT')
    expect(await server.ended).toMatchObject({ code: 0 })
    await waiting.catch(() => {})
    dawdling.destroy()
  })

  it('logs JSON lines to standard error where that is no terminal, and nothing below the level', async () => {
    await using server = await startServer()
    server.process.kill('SIGTERM')
    const { stderr } = await server.ended
    const records = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(records).toContainEqual(expect.objectContaining({ level: 30, msg: 'listening' }))
    await using quiet = await startServer(['--engine', 'memory:', '--log-level', 'error'])
    quiet.process.kill('SIGTERM')
    expect(await quiet.ended).toMatchObject({ code: 0, stderr: '' })
  })

  it('logs a line for people when asked to', async () => {
    await using server = await startServer(['--engine', 'memory:', '--log-format', 'pretty'])
    await server.remarks(/^\d\d:\d\d:\d\d info {2}listening url=http:\S+ engine=memory$/m)
  })

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'stops at %s, ending watches, and frees its store',
    async (signal) => {
      const engine = `lmdb:${store(signal)}`
      await using server = await startServer(['--engine', engine])
      await seamark(['register', 'api', '--port', '3000', '--url', server.url])
      const watching = await fetch(`${server.url}/api/v1/watch`)
      server.process.kill(signal)
      expect(await server.ended).toMatchObject({ code: 0, signal: null })
      await watching.text()
      await using again = await startServer(['--engine', engine])
      expect(await seamark(['find', 'api', '--url', again.url])).toMatchObject({ stdout: '127.0.0.1:3000\n' })
    },
  )

  it('counts signals that come together as one, and goes at once at a later second one', async () => {
    await using server = await startServer()
    // A request that has begun, as the server says with 100, and does not end: it holds the server up.
    const unfinished = request(`${server.url}/api/v1/leases/renew`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': 100, expect: '100-continue' },
    }).on('error', () => {})
    await once(unfinished, 'continue')
    server.process.kill('SIGINT')
    server.process.kill('SIGINT')
    await server.remarks(/"msg":"draining"/)
    expect(server.process.exitCode).toBeNull()
    const again = setInterval(() => server.process.kill('SIGINT'), 100)
    const { code } = await server.ended
    clearInterval(again)
    unfinished.destroy()
    expect(code).toBe(130)
  })

  it('refuses a port in use, and says what to do', async () => {
    await using server = await startServer()
    const { code, stdout, stderr } = await seamark([
      'server',
      '--engine',
      'memory:',
      '--port',
      `${server.port}`,
    ])
    expect({ code, stdout }).toEqual({ code: 5, stdout: '' })
    expect(stderr).toContain(`seamark: Port ${server.port} of 127.0.0.1 is in use`)
    expect(stderr).toContain(`--port ${server.port + 1}`)
  })

  it('refuses a store in use, and names it', async () => {
    const engine = `lmdb:${store('rival')}`
    await using _ = await startServer(['--engine', engine])
    const { code, stdout, stderr } = await seamark(['server', '--engine', engine, '--port', '0'])
    expect({ code, stdout }).toEqual({ code: 5, stdout: '' })
    expect(stderr).toMatch(/^seamark: /)
    expect(stderr).toContain(store('rival'))
  })

  it('refuses a directory that is a file', async () => {
    writeFileSync(store('file'), '')
    const { code, stderr } = await seamark(['server', '--engine', `lmdb:${store('file')}`, '--port', '0'])
    expect(code).toBe(2)
    expect(stderr).toContain(store('file'))
  })

  it('refuses a damaged store, and leaves it as it is', async () => {
    const directory = store('damaged')
    {
      await using server = await startServer(['--engine', `lmdb:${directory}`])
      server.process.kill('SIGTERM')
      await server.ended
    }
    for (const name of readdirSync(directory))
      if (name.endsWith('.mdb') || name.startsWith('data'))
        writeFileSync(join(directory, name), 'not a database')
    const { code, stderr } = await seamark(['server', '--engine', `lmdb:${directory}`, '--port', '0'])
    expect(code).toBe(7)
    expect(stderr).toContain(directory)
  })

  it('refuses an address that others reach, unless told that it is meant', async () => {
    const words = ['server', '--engine', 'memory:', '--port', '0', '--bind', '0.0.0.0']
    const { code, stderr } = await seamark(words)
    expect(code).toBe(2)
    expect(stderr).toContain('--insecure')
    await using server = start([...words, '--insecure'])
    await server.prints(/Seamark .* is up/)
  })

  it("refuses an address that is not this machine's", async () => {
    const { code, stderr } = await seamark([
      'server',
      '--engine',
      'memory:',
      '--insecure',
      '--host',
      '192.0.2.1',
    ])
    expect(code).toBe(2)
    expect(stderr).toContain('This machine has no address 192.0.2.1.')
  })

  it('goes on when whoever reads its log is gone', async () => {
    await using server = await startServer(['--engine', 'memory:', '--log-level', 'trace'])
    server.process.stderr!.destroy()
    for (let requests = 0; requests < 3; requests++)
      expect((await fetch(`${server.url}/api/v1/status`)).status).toBe(200)
    server.process.kill('SIGTERM')
    expect((await server.ended).code).toBe(0)
  })

  it('is called by further names when they are allowed', async () => {
    await using server = await startServer(['--engine', 'memory:', '--allow-host', 'registry.internal'])
    expect(await statusFor(server.port, 'registry.internal')).toBe(200)
    expect(await statusFor(server.port, 'evil.example')).toBe(421)
  })

  it('lets checks target others when that is allowed', async () => {
    await using server = await startServer(['--engine', 'memory:', '--allow-foreign-checks'])
    const words = ['register', 'api', '--port', '1', '--check-http', 'http://10.9.9.9/', '--url', server.url]
    expect((await seamark(words)).code).toBe(0)
  })

  it("reads its settings from the folder's file and from variables", async () => {
    const place = store('configured')
    mkdirSync(place)
    writeFileSync(join(place, 'seamark.yaml'), 'engine: "memory:"\nlog-level: silent\nport: 1\n')
    await using server = start(['server', '--json'], { folder: place, environment: { SEAMARK_PORT: '0' } })
    const [line] = await server.prints(/^\{.*\}$/m)
    expect(JSON.parse(line)).toMatchObject({ engine: 'memory', port: expect.any(Number) })
    expect(JSON.parse(line).port).not.toBe(1)
  })
})

/** What the server answers to one who calls it so. */
function statusFor(port: number, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path: '/healthz', headers: { host } }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
      .once('error', reject)
      .end()
  })
}
