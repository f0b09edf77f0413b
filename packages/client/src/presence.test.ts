import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import {
  type AddressInfo,
  connect as connectSocket,
  createServer as createTcpServer,
  type Socket,
} from 'node:net'
import { type Engine, memory, type Notice } from '@seamark/core'
import { type Server, server } from '@seamark/server'
import { afterEach, describe, expect, test } from 'vitest'
import { connect } from './connect.ts'
import type { Discovery } from './discovery.ts'

const open: AsyncDisposable[] = []

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]()
})

function disposed<T extends AsyncDisposable>(one: T): T {
  open.push(one)
  return one
}

async function registry(
  engine: Engine = disposed(memory()),
  options: { port?: number; name?: string; presenceGrace?: number } = {},
): Promise<Server> {
  const { port = 0, name, presenceGrace = 200 } = options
  const shared = name === undefined ? {} : { name, shared: true }
  return disposed(await server({ engine, engineName: 'memory', port, bounds: { presenceGrace }, ...shared }))
}

function discover(url: string, notices: Notice[] = []): Discovery {
  return disposed(connect(url, { signals: false, notify: (notice) => notices.push(notice) }))
}

const lasting = { name: 'api', address: '127.0.0.1', port: 3000, ttl: '1h', drain: 0 } as const

const ids = ({ catalog }: Server, service = 'api') =>
  catalog.snapshot({ namespace: 'default', service }).entries.map(({ instance }) => instance.id)

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5))
}

async function metric({ url }: Server, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1])
}

const streams = (server: Server) => metric(server, 'seamark_presence_streams')
const endings = (server: Server) => metric(server, 'seamark_presence_endings_total')

/** A network between a client and a server, which can fail. */
class Network implements AsyncDisposable {
  readonly #server = createTcpServer((socket) => this.#connect(socket))
  readonly #sockets = new Set<Socket>()
  readonly #port: number
  #isDown = false

  constructor(target: Server) {
    this.#port = target.port
    open.push(this)
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Breaks all connections, as with a reset; nobody can connect from now on. */
  fail(): void {
    this.#isDown = true
    for (const socket of this.#sockets) socket.destroy()
  }

  recover(): void {
    this.#isDown = false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.fail()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #connect(near: Socket): void {
    if (this.#isDown) {
      near.destroy()
      return
    }
    const far = connectSocket(this.#port, '127.0.0.1')
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(one)
      one.pipe(other)
      one.on('error', () => {})
      one.on('close', () => {
        this.#sockets.delete(one)
        other.destroy()
      })
    }
  }
}

describe('the presence of one who announces', () => {
  test('is one stream, however many services there are, and whatever comes and goes', async () => {
    const served = await registry()
    const discovery = discover(served.url)
    const kept = []
    for (let n = 0; n < 30; n++) {
      const one = await discovery.announce({ ...lasting, id: `i${n}` })
      if (n % 3 === 0) await one.close()
      else kept.push(`i${n}`)
      if (n % 10 === 1) await until(async () => (await streams(served)) === 1)
    }
    await until(async () => (await streams(served)) === 1)
    // For longer than the grace, and a look at who is absent.
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect(await endings(served)).toBe(0)
    expect(ids(served)).toEqual(kept.sort())
    await discovery.close()
    await until(async () => (await streams(served)) === 0)
  })

  test('changes nothing when its connection breaks and is back within the grace', async () => {
    const served = await registry(undefined, { presenceGrace: 20_000 })
    const network = new Network(served)
    const notices: Notice[] = []
    const discovery = discover(await network.listen(), notices)
    const announcement = await discovery.announce({ ...lasting, id: 'a' })
    for (let n = 0; n < 5; n++) {
      await until(async () => (await streams(served)) === 1)
      network.fail()
      await until(async () => (await streams(served)) === 0)
      network.recover()
    }
    await until(async () => (await streams(served)) === 1)
    expect(announcement.registered).toBe(true)
    expect(await endings(served)).toBe(0)
    expect(notices.map(({ event }) => event)).not.toContain('announced_again')
  })

  test('is registered again as soon as its connection is back, when that took too long', async () => {
    const served = await registry()
    const network = new Network(served)
    const notices: Notice[] = []
    const discovery = discover(await network.listen(), notices)
    await discovery.announce({ ...lasting, id: 'a' })
    await until(async () => (await streams(served)) === 1)
    network.fail()
    await until(() => ids(served).length === 0)
    expect(await endings(served)).toBe(1)
    network.recover()
    await until(() => ids(served).length === 1)
    await until(() => notices.some(({ event }) => event === 'announced_again'))
  })

  test('goes to another server over the same engine, and its leases stay', async () => {
    const engine = disposed(memory())
    const servers = [
      await registry(engine, { name: 'one', presenceGrace: 2_000 }),
      await registry(engine, { name: 'two', presenceGrace: 2_000 }),
    ] as const
    const networks = servers.map((server) => new Network(server))
    const urls = await Promise.all(networks.map((network) => network.listen()))
    const discovery = discover(urls.join())
    await discovery.announce({ ...lasting, id: 'a' })
    const present = async () => (await Promise.all(servers.map(streams))).join('')
    await until(async () => ['10', '01'].includes(await present()))
    const first = (await present()) === '10' ? 0 : 1
    // Another one, that does not come back.
    const other = discover(urls[first]!)
    await other.announce({ ...lasting, id: 'b' })
    await until(async () => (await streams(servers[first]!)) === 2)
    networks[first]!.fail()
    const moved = first === 0 ? '01' : '10'
    await until(async () => (await present()) === moved)
    await until(() => ids(servers[first]!).length === 1)
    expect(ids(servers[first]!)).toEqual(['a'])
    expect(await endings(servers[first]!)).toBe(1)
    expect(await endings(servers[1 - first]!)).toBe(0)
    // And it is not protected for ever.
    networks[1 - first]!.fail()
    await until(() => ids(servers[0]).length === 0)
  })

  test('survives a restart of the server, and is told to it again', async () => {
    const engine = disposed(memory())
    const first = await registry(engine)
    const discovery = discover(first.url)
    await discovery.announce({ ...lasting, id: 'a' })
    await until(async () => (await streams(first)) === 1)
    await first.close()
    await new Promise((resolve) => setTimeout(resolve, 500))
    const second = await registry(engine, { port: first.port })
    await until(async () => (await streams(second)) === 1)
    expect(ids(second)).toEqual(['a'])
    expect(await endings(second)).toBe(0)
  })

  test('goes by the TTL where the server is older, and says nothing of it', async () => {
    const served = await registry()
    let asked = 0
    const older = createServer((request, response) => {
      if (request.url === '/api/v1/presence') {
        asked++
        notFound(response)
      } else forward(request, response, served.url)
    }).listen(0, '127.0.0.1')
    await once(older, 'listening')
    const notices: Notice[] = []
    const discovery = discover(`http://127.0.0.1:${(older.address() as AddressInfo).port}`, notices)
    const one = await discovery.announce({ ...lasting, id: 'a' })
    await until(() => asked === 1)
    const two = await discovery.announce({ ...lasting, id: 'b' })
    expect([one.registered, two.registered]).toEqual([true, true])
    expect(ids(served)).toEqual(['a', 'b'])
    expect(notices.filter(({ level }) => level !== 'info')).toEqual([])
    await discovery.close()
    expect(ids(served)).toEqual([])
    expect(asked).toBe(1)
    older.closeAllConnections()
    older.close()
  })
})

test('one who goes on to an older server, which takes no presence, is registered again if the first one misses it', async () => {
  const engine = disposed(memory())
  const served = await registry(engine, { name: 'newer' })
  const older = createServer((request, response) => {
    if (request.url === '/api/v1/presence') notFound(response)
    else forward(request, response, served.url)
  }).listen(0, '127.0.0.1')
  await once(older, 'listening')
  open.push({
    [Symbol.asyncDispose]: async () => {
      older.closeAllConnections()
      older.close()
    },
  })
  const network = new Network(served)
  const url = await network.listen()
  const notices: Notice[] = []
  const urls = `${url},http://127.0.0.1:${(older.address() as AddressInfo).port}`
  // Until it is the newer one that is asked first.
  for (;;) {
    const discovery = discover(urls, notices)
    await discovery.announce({ ...lasting, id: 'a' })
    if (discovery.farewell()?.urls[0] === url) break
    await discovery.close()
  }
  await until(async () => (await streams(served)) === 1)
  network.fail()
  await until(() => ids(served).length === 0)
  await until(() => ids(served).length === 1)
  expect(await endings(served)).toBe(1)
})

function notFound(response: ServerResponse): void {
  const error = { code: 'route_not_found', message: 'There is nothing.' }
  response.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify({ error }))
}

async function forward(request: IncomingMessage, response: ServerResponse, url: string): Promise<void> {
  const chunks: Uint8Array[] = []
  for await (const chunk of request) chunks.push(chunk)
  const answer = await fetch(url + request.url, {
    method: request.method!,
    headers: { 'content-type': 'application/json' },
    ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
  })
  response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
}
