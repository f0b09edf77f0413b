import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerOptions, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { type ConnectOptions, connect, type Discovery } from '@seamark/client'
import type { FakeClock } from '@seamark/core/testing'

/** What a test leaves open. */
export const closing: (() => Promise<unknown> | unknown)[] = []

/** For after each test: the last one first. */
export async function closed(): Promise<void> {
  for (const close of closing.splice(0).reverse()) await close()
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

export async function instance(handler: Handler, options: ServerOptions = {}): Promise<number> {
  const server = createServer(options, handler)
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return (server.address() as AddressInfo).port
}

/** One that does with connections what it likes. */
export async function tcp(handler: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    handler(socket)
  })
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return (server.address() as AddressInfo).port
}

/** A port that nobody listens on. */
export async function deadPort(): Promise<number> {
  const server = createTcpServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

export function registry({ clock, ...options }: ConnectOptions & { clock?: FakeClock } = {}): Discovery {
  const discovery = connect('memory:', { signals: false, ...options, ...(clock && { clock }) })
  closing.push(async () => {
    let closed = false
    const end = discovery.close().finally(() => {
      closed = true
    })
    while (!closed && clock !== undefined) await clock.advance(1_000)
    await end
  })
  return discovery
}

export async function announce(discovery: Discovery, id: string, port: number, more: object = {}) {
  return discovery.announce({ name: 'api', id, port, address: '127.0.0.1', drain: 0, ...more })
}

export const says =
  (body: string, status = 200): Handler =>
  (_, response) =>
    response.writeHead(status).end(body)
