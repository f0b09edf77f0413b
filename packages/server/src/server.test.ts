import { connect } from 'node:net'
import { type Engine, memory, SeamarkError } from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { condition } from '../test/condition.ts'
import { raw } from '../test/raw.ts'
import { ids, instancePath, servicePath, serving } from '../test/serving.ts'
import { notices } from './notices.ts'
import { server } from './server.ts'

describe('listening', () => {
  it.each(['0.0.0.0', '::', '192.0.2.1', 'example.com'])(
    'beyond loopback (%s) needs to be called insecure',
    async (host) => {
      await using engine = memory()
      await expect(server({ engine, engineName: 'memory', host, port: 0 })).rejects.toMatchObject({
        code: 'configuration',
        field: 'host',
        message: expect.stringContaining('insecure'),
      })
    },
  )

  it('beyond loopback lets every Host in, and warns', async () => {
    const lines: string[] = []
    const logger = pino({ level: 'warn' }, { write: (line) => lines.push(line) })
    await using served = await serving({ host: '0.0.0.0', insecure: true, logger })
    expect((await hosted(served.server.port, 'seamark.example')).status).toBe(200)
    expect(served.server.url).toBe(`http://127.0.0.1:${served.server.port}`)
    expect(lines.join()).toContain('no access control')
  })

  it('on IPv6 loopback works too', async (test) => {
    const served = await serving({ host: '::1' }).catch(() => undefined)
    if (served === undefined) return test.skip('this machine has no IPv6')
    await using _ = served
    expect(served.server.url).toBe(`http://[::1]:${served.server.port}`)
    expect((await served.ask('PUT', instancePath('api', 'a'), { port: 1 })).json.instance.address).toBe('::1')
  })

  it('on a port that is taken is a configuration error, and leaves nothing open', async () => {
    await using served = await serving()
    const { port } = served.server
    await expect(server({ engine: served.engine, engineName: 'memory', port })).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringContaining(`127.0.0.1:${port}`),
    })
  })
})

describe('the Host header', () => {
  it.each([
    'localhost',
    'LOCALHOST',
    'localhost:1',
    '127.0.0.1',
    '127.0.0.1:8500',
    '[::1]',
    '[::1]:80',
    'my.name',
    'my.name:80',
  ])('may be %s', async (host) => {
    await using served = await serving({ allowedHosts: ['my.name'] })
    expect((await hosted(served.server.port, host)).status).toBe(200)
  })

  it.each([
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '127.0.0.2',
    '[::2]',
    'my.name@evil',
    'localhost:',
    '',
    '::1',
    'a,localhost',
  ])('may not be %j, also for what is ready to be sent', async (host) => {
    await using served = await serving({ allowedHosts: ['my.name'] })
    await served.register('api', 'a')
    const path = `/api/v1${servicePath('api')}`
    for (let time = 0; time < 2; time++) await served.ask('GET', path)
    for (const asked of ['/api/v1/status', path, '/healthz']) {
      const answer = await hosted(served.server.port, host, asked)
      expect(answer.status).toBe(421)
      expect(JSON.parse(answer.text)).toMatchObject({ error: { code: 'host_not_allowed', field: 'host' } })
    }
  })

  it('may be the address the server is bound to', async () => {
    await using served = await serving({ host: '127.0.0.2' })
    expect((await served.ask('GET', '/status')).status).toBe(200)
  })
})

it('lets no other origin read or write', async () => {
  await using served = await serving()
  const origin = { origin: 'http://evil.example' }
  const read = await served.ask('GET', '/status', undefined, origin)
  expect([...read.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
  const simple = await served.ask('POST', '/leases/release', '{"token":"a"}', {
    ...origin,
    'content-type': 'text/plain',
  })
  expect(simple.status).toBe(415)
  const preflight = await served.ask('OPTIONS', '/leases/release', undefined, {
    ...origin,
    'access-control-request-method': 'PUT',
  })
  expect(preflight.status).toBe(404)
})

describe('an engine out of reach', () => {
  it('answers writes with 503, and reads with what was known and since when', async () => {
    const clock = fakeClock()
    const truth = memory({ clock })
    const away = new AbortController()
    const unavailable = () => new SeamarkError('engine_unavailable', 'The engine is away.')
    const guarded =
      <A extends unknown[], T>(call: (...args: A) => Promise<T>) =>
      (...args: A) =>
        away.signal.aborted ? Promise.reject(unavailable()) : call(...args)
    const engine: Engine = {
      freshness: 'push',
      terms: truth.terms,
      watch: (services, signal) => truth.watch(services, signal),
      async *watchAll(signal) {
        if (!away.signal.aborted) yield* truth.watchAll(AbortSignal.any([signal, away.signal]))
        throw unavailable()
      },
      register: guarded((...args) => truth.register(...args)),
      resume: guarded((token) => truth.resume(token)),
      renew: guarded((tokens) => truth.renew(tokens)),
      release: guarded((token) => truth.release(token)),
      deregister: guarded((key) => truth.deregister(key)),
      report: guarded((...args) => truth.report(...args)),
      claim: guarded((...args) => truth.claim(...args)),
      write: guarded((operations) => truth.write(operations)),
      async *watchItems(prefix, signal) {
        if (!away.signal.aborted) yield* truth.watchItems(prefix, AbortSignal.any([signal, away.signal]))
        throw unavailable()
      },
      [Symbol.asyncDispose]: () => truth[Symbol.asyncDispose](),
    }
    await using served = await serving({ engine, clock })
    const token = await served.register('api', 'a')
    const fresh = await served.ask('GET', servicePath('api'))
    expect(fresh.json.staleSince).toBeNull()
    away.abort()
    await condition(() => served.server.catalog.staleSince !== undefined)
    for (const [method, path, body] of [
      ['PUT', instancePath('api', 'b'), { port: 1 }],
      ['DELETE', instancePath('api', 'a'), undefined],
      ['PUT', `${instancePath('api', 'a')}/maintenance`, { enable: true }],
      ['PUT', `${instancePath('api', 'a')}/health`, { checks: [{ id: 'x', status: 'passing' }] }],
      ['POST', '/leases/renew', { tokens: [token] }],
      ['POST', '/leases/resume', { token }],
      ['POST', '/leases/release', { token }],
      ['PUT', `${servicePath('api')}/claims/x`, { token }],
    ] as const)
      expect(await served.ask(method, path, body)).toMatchObject({
        status: 503,
        json: { error: { code: 'engine_unavailable' } },
      })
    const stale = await served.ask('GET', servicePath('api'))
    expect(ids(stale)).toEqual(['a'])
    expect(stale.json.staleSince).toBe(served.server.catalog.staleSince)
    expect(stale.headers.get('etag')).not.toBe(fresh.headers.get('etag'))
    expect((await served.ask('GET', '/status')).json.staleSince).toBe(stale.json.staleSince)
    expect((await served.ask('GET', '/metrics')).text).toMatch(/seamark_catalog_stale_seconds \d/)
    expect((await served.ask('GET', '/readyz')).status).toBe(200)
  })

  it('from the beginning is not ready, and answers reads with 503 in time', async () => {
    const clock = fakeClock()
    await using truth = memory({ clock })
    const engine: Engine = {
      ...replaceable(truth),
      async *watchAll(signal) {
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        yield* []
      },
    }
    await using served = await serving({ engine, clock })
    expect(await served.ask('GET', '/readyz')).toMatchObject({ status: 503, json: { status: 'warming' } })
    expect((await served.ask('GET', '/healthz')).status).toBe(200)
    let answered = false
    const asked = served.ask('GET', servicePath('api')).finally(() => {
      answered = true
    })
    while (!answered) await clock.advance(1_000)
    expect(await asked).toMatchObject({ status: 503, json: { error: { code: 'engine_unavailable' } } })
  })

  it('that writes but does not show it is said to be late', async () => {
    const clock = fakeClock()
    await using truth = memory({ clock })
    const engine: Engine = {
      ...replaceable(truth),
      async *watchAll(signal) {
        yield { revision: 0, changes: [{ type: 'reset', entries: [], holders: [] }] }
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      },
    }
    await using served = await serving({ engine, clock })
    let answered = false
    const asked = served.ask('PUT', instancePath('api', 'a'), { port: 1 }).finally(() => {
      answered = true
    })
    while (!answered) await clock.advance(1_000)
    expect(await asked).toMatchObject({ status: 504, json: { error: { code: 'timeout' } } })
  })

  it('that fails in a way nobody foresaw is an internal error that tells nothing, and is logged', async () => {
    const lines: string[] = []
    const logger = pino({ level: 'error' }, { write: (line) => lines.push(line) })
    await using truth = memory()
    const engine = {
      ...replaceable(truth),
      register: () => Promise.reject(new TypeError('the secret of it')),
    }
    await using served = await serving({ engine, logger })
    const answer = await served.ask('PUT', instancePath('api', 'a'), { port: 1 })
    expect(answer).toMatchObject({ status: 500, json: { error: { code: 'internal' } } })
    expect(answer.text).not.toContain('secret')
    expect(lines.join()).toContain('the secret of it')
  })
})

describe('closing', () => {
  it('finishes requests in flight, and refuses further ones', async () => {
    await using truth = memory()
    let proceed = () => {}
    const held = new Promise<void>((resolve) => {
      proceed = resolve
    })
    let begun = false
    const engine: Engine = {
      ...replaceable(truth),
      async register(...args) {
        begun = true
        await held
        return truth.register(...args)
      },
    }
    const served = await serving({ engine })
    const { port } = served.server
    const writing = served.ask('PUT', instancePath('api', 'a'), { port: 1 })
    await condition(() => begun)
    // A request that began before the server closes, and ends after.
    const late = connect(port, '127.0.0.1')
    let text = ''
    late.on('data', (chunk) => {
      text += chunk
    })
    late.write('GET /api/v1/status HTTP/1.1\r\n')
    await new Promise((resolve) => late.once('connect', resolve))
    await served.ask('GET', '/healthz')
    const closing = served.server.close()
    await expect(raw(port, 'GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n')).resolves.toMatchObject({
      status: 0,
    })
    late.write('host: localhost\r\n\r\n')
    await new Promise((resolve) => late.once('close', resolve))
    expect(text).toContain(' 503 ')
    expect(text).toContain('"draining"')
    proceed()
    const written = await writing
    expect(written.status).toBe(201)
    expect(written.headers.get('connection')).toBe('close')
    await closing
    await served[Symbol.asyncDispose]()
  })

  it('lets those who wait go', async () => {
    const served = await serving()
    await served.register('api', 'a')
    const waiting = served.ask('GET', `${servicePath('api')}?index=1&wait=10m`)
    await condition(async () =>
      (await served.ask('GET', '/metrics')).text.includes('seamark_waiting_requests 1'),
    )
    await served.server.close()
    expect(ids(await waiting)).toEqual(['a'])
    await served[Symbol.asyncDispose]()
  })

  it('waits no longer than it may', async () => {
    const clock = fakeClock()
    await using truth = memory()
    let begun = false
    const engine: Engine = {
      ...replaceable(truth),
      register: () => {
        begun = true
        return new Promise(() => {})
      },
    }
    const served = await serving({ engine, clock })
    const writing = served.ask('PUT', instancePath('api', 'a'), { port: 1 }).catch(() => 'cut')
    await condition(() => begun)
    let closed = false
    const closing = served.server.close().then(() => {
      closed = true
    })
    await clock.advance(1_999)
    expect(closed).toBe(false)
    await clock.advance(1)
    await closing
    expect(await writing).toBe('cut')
    await served[Symbol.asyncDispose]()
  })

  it('may be asked for again and again', async () => {
    const served = await serving()
    await Promise.all([served.server.close(), served.server.close()])
    await served[Symbol.asyncDispose]()
  })

  it('leaves the engine to its owner', async () => {
    await using engine = memory()
    const first = await serving({ engine })
    await first.register('api', 'a')
    await first.server.close()
    const second = await server({ engine, engineName: 'memory', port: 0 })
    await second.catalog.warm()
    expect(second.catalog.size).toBe(1)
    await second.close()
  })
})

it('cuts off a request that takes too long to arrive', async () => {
  await using served = await serving({ bounds: { headersTimeout: 50, requestTimeout: 100 } })
  const answer = await raw(served.server.port, 'GET /api/v1/status HTTP/1.1\r\nhost: local')
  expect(answer.status).toBe(400)
  expect(JSON.parse(answer.text)).toMatchObject({ error: { code: 'invalid_request', field: 'request' } })
})

it('takes no more connections than it may', async () => {
  await using served = await serving({ bounds: { connections: 1 } })
  const first = connect(served.server.port, '127.0.0.1')
  await new Promise((resolve) => first.once('connect', resolve))
  first.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await new Promise((resolve) => first.once('data', resolve))
  const second = await raw(served.server.port, 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n')
  expect(second.status).toBe(0)
  first.destroy()
})

it('logs and counts what the engine tells, also what it told before', async () => {
  const lines: string[] = []
  const logger = pino({ level: 'info' }, { write: (line) => lines.push(line) })
  const hub = notices()
  hub.notify({ level: 'warn', event: 'leases_expired', message: 'early', details: { count: 3 } })
  await using served = await serving({ notices: hub, logger })
  hub.notify({ level: 'error', event: 'other', message: 'late', details: { error: new Error('why') } })
  expect(lines.join()).toContain('early')
  expect(lines.join()).toContain('"message":"why"')
  expect((await served.ask('GET', '/metrics')).text).toContain('seamark_lease_expiries_total 3\n')
})

it('logs no token', async () => {
  const lines: string[] = []
  const logger = pino({ level: 'trace' }, { write: (line) => lines.push(line) })
  await using served = await serving({ logger })
  const token = await served.register('api', 'a')
  await served.ask('POST', '/leases/renew', { tokens: [token] })
  await served.ask('POST', '/leases/release', { token })
  expect(lines.join()).toContain('/leases/renew')
  expect(lines.join()).not.toContain(token)
})

function hosted(port: number, host: string, path = '/api/v1/status') {
  return raw(port, `GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)
}

/** An engine as an object of its own, so that parts of it can be replaced. */
function replaceable(engine: Engine): Engine {
  return {
    freshness: engine.freshness,
    terms: engine.terms,
    watch: (...args) => engine.watch(...args),
    watchAll: (...args) => engine.watchAll(...args),
    register: (...args) => engine.register(...args),
    resume: (...args) => engine.resume(...args),
    renew: (...args) => engine.renew(...args),
    release: (...args) => engine.release(...args),
    deregister: (...args) => engine.deregister(...args),
    report: (...args) => engine.report(...args),
    claim: (...args) => engine.claim(...args),
    write: (...args) => engine.write(...args),
    watchItems: (...args) => engine.watchItems(...args),
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  }
}
