import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import {
  catalog,
  instance as checkedInstance,
  type InstanceInput,
  memory,
  type Notice,
  systemClock,
} from '@seamark/core'
import { type GatewayOptions, gateway } from '@seamark/gateway'
import { pino } from 'pino'

export interface OpenedOptions extends Partial<Omit<GatewayOptions, 'catalog' | 'logger' | 'notify'>> {
  /** The content of a routes file. */
  readonly file?: object
}

/** A line of the request log. */
// biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
export type Line = any

export interface OpenedGateway extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly notices: readonly Notice[]
  /** Resolves with all lines of the log, once some fits. */
  logged(fits: (line: Line) => boolean): Promise<Line>
  /** With the route `/`, unless it says another one. */
  register(instance: Partial<InstanceInput> & { port: number }): Promise<() => Promise<void>>
  close(): Promise<void>
}

/** A gateway on a free port, over an engine in memory. */
export async function opened({ file, ...options }: OpenedOptions = {}): Promise<OpenedGateway> {
  const { clock = systemClock } = options
  const folder = await mkdtemp(join(tmpdir(), 'seamark-gateway-'))
  const routesFile = join(folder, 'routes.json')
  if (file !== undefined) await writeFile(routesFile, JSON.stringify(file))
  const engine = memory({ clock })
  const notices: Notice[] = []
  const notify = (notice: Notice) => void notices.push(notice)
  const replica = catalog(engine, { clock, notify })
  await replica.warm()
  const lines: Line[] = []
  const waiting = new Set<() => void>()
  const log = new Writable({
    write(chunk, _, done) {
      lines.push(
        ...String(chunk)
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line)),
      )
      for (const wake of [...waiting]) wake()
      done()
    },
  })
  const running = await gateway({
    catalog: replica,
    port: 0,
    status: false,
    notify,
    logger: pino({ level: 'debug' }, log),
    ...(file !== undefined && { routesFile }),
    ...options,
    bounds: { drainDelay: 0, ...options.bounds },
  })
  return {
    url: running.url,
    port: running.port,
    notices,
    async logged(fits) {
      for (;;) {
        const found = lines.find(fits)
        if (found !== undefined) return found
        await new Promise<void>((resolve) => {
          const wake = () => {
            waiting.delete(wake)
            resolve()
          }
          waiting.add(wake)
        })
      }
    },
    async register(given) {
      const service = given.service ?? 'api'
      const id = given.id ?? `${service}-${given.port}`
      const key = { namespace: 'default', service, id }
      await engine.register(checkedInstance({ ...key, address: '127.0.0.1', route: {}, ...given }))
      const has = () =>
        replica.snapshot(key).entries.some((entry) => entry.instance.id === id) &&
        running.routes.table.rules.length > 0
      await changed(replica, has)
      return async () => {
        await engine.deregister(key)
        await changed(replica, () => !replica.snapshot(key).entries.some((entry) => entry.instance.id === id))
      }
    },
    close: () => running.close(),
    async [Symbol.asyncDispose]() {
      await running.close()
      await replica[Symbol.asyncDispose]()
      await engine[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function changed(
  replica: Pick<ReturnType<typeof catalog>, 'subscribe'>,
  isSo: () => boolean,
): Promise<void> {
  while (!isSo())
    await new Promise<void>((resolve) => {
      const subscription = replica.subscribe(() => {
        subscription[Symbol.dispose]()
        resolve()
      })
    })
}

export interface Origin extends AsyncDisposable {
  readonly port: number
  readonly server: Server
}

/** An HTTP server of an instance. */
export async function origin(listener: RequestListener): Promise<Origin> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    server,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export interface RawOrigin extends AsyncDisposable {
  readonly port: number
  /** All that came, on all connections, each in latin1. */
  readonly received: string[]
  readonly sockets: Set<Socket>
}

/** An instance that is given bytes, and answers bytes. */
export async function rawOrigin(answer: (socket: Socket, text: string) => void): Promise<RawOrigin> {
  const received: string[] = []
  const sockets = new Set<Socket>()
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    const index = received.push('') - 1
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      received[index] += chunk.toString('latin1')
      answer(socket, received[index]!)
    })
    socket.on('end', () => socket.end())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    received,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export interface RawClient extends Disposable {
  readonly socket: Socket
  /** All that came so far, in latin1. */
  readonly text: string
  write(text: string): void
  /** Resolves with all that came, once that fits. Fails when the connection ends before. */
  until(fits: (text: string) => boolean): Promise<string>
  /** Resolves with all that came, once the connection has ended. */
  ended(): Promise<string>
}

export async function rawClient(port: number): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  let text = ''
  let isOver = false
  const waiting = new Set<() => void>()
  const wake = () => {
    for (const each of [...waiting]) each()
  }
  const over = () => {
    isOver = true
    wake()
  }
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
    wake()
  })
  socket.once('end', over)
  socket.once('close', over)
  await once(socket, 'connect')
  const wait = () =>
    new Promise<void>((resolve) => {
      const each = () => {
        waiting.delete(each)
        resolve()
      }
      waiting.add(each)
    })
  return {
    socket,
    get text() {
      return text
    },
    write: (data) => void socket.write(data, 'latin1'),
    async until(fits) {
      while (!fits(text)) {
        if (isOver) throw new Error(`The connection ended after ${JSON.stringify(text)}.`)
        await wait()
      }
      return text
    },
    async ended() {
      while (!isOver) await wait()
      return text
    },
    [Symbol.dispose]: () => void socket.destroy(),
  }
}
