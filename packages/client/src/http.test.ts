import { once } from 'node:events'
import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import {
  type Batch,
  type Change,
  type Engine,
  type InstanceInput,
  instance,
  memory,
  type Notice,
  SeamarkError,
} from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { type Server, server } from '@seamark/server'
import { afterEach, describe, expect, test } from 'vitest'
import { type HttpEngine, http } from './http.ts'

const open: AsyncDisposable[] = []

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]()
})

function disposed<T extends AsyncDisposable>(one: T): T {
  open.push(one)
  return one
}

async function registry(engine: Engine = disposed(memory()), port = 0): Promise<Server> {
  return disposed(await server({ engine, engineName: 'memory', port }))
}

/** Something that answers in a way of its own. */
async function stranger(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  open.push({ [Symbol.asyncDispose]: () => closed(server) })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Accepts connections, and never says a word. */
async function mute(): Promise<{ url: string; sockets: Set<Socket> }> {
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  open.push({
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets }
}

async function closed(server: HttpServer): Promise<void> {
  server.close()
  server.closeAllConnections()
  await once(server, 'close')
}

async function nobody(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await closed(server)
  return `http://127.0.0.1:${port}`
}

function api(id: string, more: Partial<InstanceInput> = {}) {
  return instance({ namespace: 'default', service: 'api', id, address: '127.0.0.1', port: 3000, ...more })
}

/** An engine that asks the servers in the order given. */
function inOrder(urls: readonly string[], options: Parameters<typeof http>[1] = {}): HttpEngine {
  for (;;) {
    const engine = http(urls, options)
    if (engine.urls.every((url, index) => url === urls[index])) return disposed(engine)
  }
}

const apiKey = { namespace: 'default', service: 'api' }

function watching(engine: HttpEngine): { batches: AsyncIterator<Batch>; stop: AbortController } {
  const stop = new AbortController()
  return { batches: engine.watch([apiKey], stop.signal)[Symbol.asyncIterator](), stop }
}

/** The next changes; a watch that was resumed begins with a batch that has none. */
async function changes(batches: AsyncIterator<Batch>): Promise<readonly Change[]> {
  for (;;) {
    const { value } = await batches.next()
    if (value.changes.length > 0) return value.changes
  }
}

describe('the engine over HTTP', () => {
  test('takes several URLs as one string, and asks them in an order of its own', () => {
    const orders = new Set<string>()
    for (let n = 0; n < 200; n++) orders.add(http('http://a:1, http://b:2/base/,http://c:3').urls.join())
    expect(orders.size).toBe(6)
    expect(orders).toContain('http://a:1,http://b:2/base,http://c:3')
  })

  test.each([
    '',
    ' , ',
    'a:8500',
    'ftp://a',
    'http://user:secret@a',
    'http://u:secret@a:99999',
    'http://a/?x=1',
  ])('refuses "%s" as a URL, and tells no secret', (url) => {
    const attempt = () => http(url)
    expect(attempt).toThrow(expect.objectContaining({ code: 'configuration' }))
    expect(attempt).not.toThrow(/secret/)
  })

  test('says what the server says, with code and field', async () => {
    const { url } = await registry()
    const engine = disposed(http(url))
    await engine.register(api('i1'))
    await expect(engine.register(api('i1', { service: 'www' }))).rejects.toMatchObject({
      code: 'id_taken',
      field: 'id',
    })
    await expect(
      engine.report({ ...apiKey, id: 'none' }, [{ id: 'c', status: 'passing' }]),
    ).rejects.toMatchObject({
      code: 'instance_not_found',
    })
  })

  test('lists every server that it tried', async () => {
    const urls = [await nobody(), await nobody()]
    const error = await disposed(http(urls))
      .register(api('i1'))
      .catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'engine_unavailable' })
    for (const url of urls) expect(error.message).toContain(url)
    expect(error.cause.errors).toHaveLength(2)
    expect(error.message).toContain('ECONNREFUSED')
  })

  test('knows a stranger by its answer', async () => {
    const url = await stranger((_, response) => response.writeHead(404).end('<h1>Not here</h1>'))
    await expect(disposed(http(url)).register(api('i1'))).rejects.toThrow(
      /not in the way of a Seamark server.*Not here/,
    )
  })

  test('learns the terms of the server with the first registration', async () => {
    const { url } = await registry()
    const engine = disposed(http(url))
    expect(engine.terms).toEqual({ minimumTtl: 1_000, lateness: 5_000 })
    await engine.register(api('i1'))
    await engine.contact()
    expect(engine.terms).toEqual({ minimumTtl: 100, lateness: memory().terms.lateness + 500 })
  })

  test('sends the renewals of one turn in one request', async () => {
    const { url } = await registry()
    let requests = 0
    const target = new URL(url)
    const counting = await stranger(async (request, response) => {
      if (request.url === '/api/v1/leases/renew') requests++
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      const answer = await fetch(new URL(request.url ?? '', target), {
        method: request.method ?? 'GET',
        headers: { 'content-type': 'application/json' },
        ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
      })
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
    })
    const engine = disposed(http(counting))
    const leases = await Promise.all(
      Array.from({ length: 50 }, (_, n) => engine.register(api(`i${n}`), { ttl: 60_000 })),
    )
    await engine.release(leases[7]!.token)
    const results = await Promise.allSettled(leases.map((lease) => lease.renew()))
    expect(requests).toBe(1)
    expect(results.map(({ status }) => status).indexOf('rejected')).toBe(7)
    expect(results[7]).toMatchObject({ reason: { code: 'lease_lost' } })
    expect(leases[7]!.lost.aborted).toBe(true)
    expect(leases[8]!.lost.aborted).toBe(false)
  })

  test('renews more tokens than one request may carry', async () => {
    const { url } = await registry()
    const engine = disposed(http(url))
    const { token } = await engine.register(api('i1'), { ttl: 60_000 })
    const tokens = Array.from({ length: 25_000 }, (_, n) => (n === 24_321 ? token : `unknown-${n}`))
    const held = await engine.renew(tokens)
    expect(held).toHaveLength(25_000)
    expect(held.indexOf(true)).toBe(24_321)
    expect(held.lastIndexOf(true)).toBe(24_321)
  })

  test('keeps any name on its way through the path', async () => {
    const { url } = await registry()
    const engine = disposed(http(url))
    for (const id of ['a/b', '..', '.', '%2F', 'ü ?#&', '127.0.0.1:3000', '\u{1f6a2}']) {
      await engine.register(api(id, { service: id === '..' ? '.' : id }))
      expect(
        await engine.deregister({ namespace: 'default', service: id === '..' ? '.' : id, id }),
      ).toBeTypeOf('number')
    }
  })

  test('refuses to work once closed', async () => {
    const { url } = await registry()
    const engine = http(url)
    await engine[Symbol.asyncDispose]()
    await expect(engine.register(api('i1'))).rejects.toMatchObject({ code: 'closed' })
  })
})

describe('with several servers over one engine, it', () => {
  test('goes to the next when the first refuses connections, and says so', async () => {
    const notices: Notice[] = []
    const { url } = await registry()
    const engine = inOrder([await nobody(), url], { notify: (notice) => notices.push(notice) })
    const lease = await engine.register(api('i1'), { ttl: 60_000 })
    await lease.renew()
    expect(notices).toMatchObject([{ event: 'server_changed', details: { to: url } }])
  })

  test('goes to the next when the first does not answer in time', async () => {
    const { url } = await registry()
    const engine = inOrder([(await mute()).url, url], { timeout: 300 })
    await engine.register(api('i1'))
  })

  test('goes to the next when the first is draining', async () => {
    const draining = new SeamarkError('draining', 'The server is shutting down.')
    const first = await stranger((_, response) =>
      response
        .writeHead(503)
        .end(JSON.stringify({ error: { code: draining.code, message: draining.message } })),
    )
    const { url } = await registry()
    const engine = inOrder([first, url])
    const { key } = await engine.register(api('i1'))
    expect(await engine.deregister(key)).toBeTypeOf('number')
  })

  test('does not remove an instance twice when it is not known whether it was removed', async () => {
    let asked = 0
    const first = await stranger((request, response) => {
      if (request.method === 'DELETE') asked++
      response.destroy()
    })
    const { url } = await registry()
    const other = disposed(http(url))
    await other.register(api('i1'))
    const engine = inOrder([first, url])
    await expect(engine.deregister({ ...apiKey, id: 'i1' })).rejects.toMatchObject({
      code: 'engine_unavailable',
    })
    expect(asked).toBe(1)
    expect(await other.deregister({ ...apiKey, id: 'i1' })).toBeTypeOf('number')
  })

  test('does not write items twice when it is not known whether they were written', async () => {
    let asked = 0
    const first = await stranger((request, response) => {
      if (request.method === 'POST') asked++
      response.destroy()
    })
    const { url } = await registry()
    const engine = inOrder([first, url])
    await expect(
      engine.write([{ type: 'put', key: 'a', value: new Uint8Array(), at: 0 }]),
    ).rejects.toMatchObject({ code: 'engine_unavailable' })
    expect(asked).toBe(1)
  })

  test('goes home once that is ready again, with its watches', async () => {
    const shared = disposed(memory())
    const [home, other] = [await registry(shared), await registry(shared)]
    const clock = fakeClock()
    const notices: Notice[] = []
    const engine = inOrder([home.url, other.url], { clock, notify: (notice) => notices.push(notice) })
    await home.close()
    const { batches, stop } = watching(engine)
    await batches.next()
    const next = changes(batches)
    expect(notices).toMatchObject([{ details: { to: other.url } }])
    const again = await registry(shared, home.port)
    while (notices.length < 2) await clock.advance(500)
    expect(notices).toMatchObject([{}, { level: 'info', details: { to: again.url } }])
    // Revisions of one server mean nothing to another.
    expect(await next).toMatchObject([{ type: 'reset' }])
    await other.close()
    await engine.register(api('i1'))
    expect(await changes(batches)).toMatchObject([{ type: 'put' }])
    stop.abort()
  })

  test('keeps leases and watches when one server dies', async () => {
    const shared = disposed(memory())
    const [one, two] = [await registry(shared), await registry(shared)]
    const engine = inOrder([one.url, two.url])
    const lease = await engine.register(api('i1'), { ttl: 60_000 })
    const { batches, stop } = watching(engine)
    expect((await batches.next()).value.changes).toMatchObject([{ type: 'reset', entries: [{}] }])
    const next = batches.next()
    await one.close()
    const after = await next.catch(async (error) => {
      // Closed within a second of its beginning, the watch leaves it to its reader to begin anew.
      expect(error).toMatchObject({ code: 'engine_unavailable' })
      return watching(engine).batches.next()
    })
    expect(after.value.changes).toMatchObject([{ type: 'reset', entries: [{ instance: { id: 'i1' } }] }])
    await lease.renew()
    stop.abort()
  })
})

describe('a watch', () => {
  test('resumes where it stopped when the connection breaks, without a reset', async () => {
    const { port, url } = await registry()
    const sockets = new Set<Socket>()
    const line = createTcpServer((near) => {
      const far = connect(port, '127.0.0.1')
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => other.destroy())
        socket.pipe(other)
      }
    }).listen(0, '127.0.0.1')
    await once(line, 'listening')
    open.push({
      [Symbol.asyncDispose]: async () => {
        for (const socket of sockets) socket.destroy()
        line.close()
      },
    })
    // A watch that breaks within a second is not resumed at once: here, time has passed.
    let now = 0
    const clock = { now: () => (now += 2_000), date: () => Date.now(), after: () => ({ cancel: () => {} }) }
    const engine = disposed(http(`http://127.0.0.1:${(line.address() as AddressInfo).port}`, { clock }))
    const writer = disposed(http(url))
    await writer.register(api('i1'))
    const { batches, stop } = watching(engine)
    expect((await batches.next()).value.changes).toMatchObject([{ type: 'reset' }])
    const next = batches.next()
    for (const socket of sockets) socket.destroy()
    await writer.register(api('i2'))
    expect((await next).value.changes).toMatchObject([{ type: 'put', entry: { instance: { id: 'i2' } } }])
    stop.abort()
    expect(await batches.next()).toMatchObject({ done: true })
  })

  test('is given up when nothing arrives for 45 s, also no comment', async () => {
    const url = await stranger((request, response) => {
      request.on('close', () => silent.push('closed'))
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('event: reset\ndata: {}\n\nid: e:1\nevent: applied\ndata: {"revision":1}\n\n')
    })
    const silent: string[] = []
    const clock = fakeClock()
    const begun = clock.now()
    const engine = disposed(http(url, { clock }))
    const { batches, stop } = watching(engine)
    await batches.next()
    const next = batches.next()
    while (silent.length === 0) {
      await clock.advance(1_000)
      if (clock.now() - begun < 45_000) expect(silent).toEqual([])
    }
    // It began anew at once, and that went well.
    expect((await next).value).toMatchObject({ revision: 1 })
    stop.abort()
    await batches.next()
  })

  test('of more services than a URL can name sees those only', async () => {
    const { url } = await registry()
    const engine = disposed(http(url))
    const services = Array.from({ length: 2_000 }, (_, n) => ({
      namespace: 'default',
      service: `service-${n}`,
    }))
    await engine.register(api('i1', { service: 'service-1999' }))
    await engine.register(api('i2', { service: 'other' }))
    const stop = new AbortController()
    const batches = engine.watch(services, stop.signal)[Symbol.asyncIterator]()
    const first = (await batches.next()).value.changes[0]
    expect(first.entries.map((entry: { instance: { id: string } }) => entry.instance.id)).toEqual(['i1'])
    await engine.register(api('i3', { service: 'other' }))
    await engine.register(api('i4', { service: 'service-3' }))
    let batch = (await batches.next()).value
    while (batch.changes.length === 0) batch = (await batches.next()).value
    expect(batch.changes).toMatchObject([{ type: 'put', entry: { instance: { id: 'i4' } } }])
    stop.abort()
    await batches.next()
  })

  test('throws when no server can be reached', async () => {
    const { batches } = watching(disposed(http(await nobody())))
    await expect(batches.next()).rejects.toMatchObject({ code: 'engine_unavailable' })
  })
})
