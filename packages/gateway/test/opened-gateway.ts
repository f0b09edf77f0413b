import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import {
  type Clock,
  catalog,
  instance as checkedInstance,
  type InstanceInput,
  memory,
  type Notice,
  type RouteInput,
  route,
  systemClock,
} from '@seamark/core'
import { defaultBounds, type GatewayBounds } from '../src/front/bounds.ts'
import type { CertificateFiles } from '../src/front/certificate.ts'
import { passageway } from '../src/gateway.ts'
import { Guards } from '../src/policy/guards.ts'
import type { Policy } from '../src/policy/policy.ts'
import type { Access, Inquiry, Report, Routes, Rule, Telemetry } from '../src/ports.ts'
import { routeTable } from '../src/routes/route-table.ts'

export interface TestRoute extends RouteInput {
  readonly service?: string
  readonly policy?: Policy
}

export interface OpenedOptions {
  readonly routes?: readonly TestRoute[]
  readonly bounds?: Partial<GatewayBounds>
  readonly trustedProxies?: readonly string[]
  readonly tls?: CertificateFiles
  readonly ca?: string | Buffer
  readonly access?: Access
  readonly clock?: Clock
}

/** What telemetry heard of a request. */
export interface Told {
  readonly inquiry: Inquiry
  readonly rule: Rule | undefined
  readonly report: Report
}

export interface OpenedGateway extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly told: readonly Told[]
  readonly notices: readonly Notice[]
  /** Resolves once telemetry has heard of so many requests. */
  heard(count: number): Promise<readonly Told[]>
  register(instance: Partial<InstanceInput> & { port: number }): Promise<() => Promise<void>>
  close(): Promise<void>
}

/** A gateway on a free port, over an engine in memory, with routes that are given. */
export async function opened(options: OpenedOptions = {}): Promise<OpenedGateway> {
  const { clock = systemClock, routes: given = [{}] } = options
  const engine = memory({ clock })
  const notices: Notice[] = []
  const notify = (notice: Notice) => void notices.push(notice)
  const replica = catalog(engine, { clock, notify })
  await replica.warm()
  const rules = given.map(
    ({ service = 'api', policy = {}, ...input }, index): Rule => ({
      name: `test/${index}`,
      route: route('route', input),
      service: { namespace: 'default', service },
      filter: undefined,
      policy,
      origin: 'test',
    }),
  )
  const table = routeTable(rules.map((rule, age) => ({ rule, source: 'file', age })))
  const routes: Routes = {
    table,
    snapshot: (rule) => replica.snapshot(rule.service),
    subscribe: () => ({ [Symbol.dispose]() {} }),
    async [Symbol.asyncDispose]() {},
  }
  const told: Told[] = []
  const waiting = new Set<() => void>()
  const telemetry: Telemetry = {
    begin(inquiry) {
      let rule: Rule | undefined
      return {
        traceparent: undefined,
        tracestate: undefined,
        routed: (found) => {
          rule = found
        },
        ended: (report) => {
          told.push({ inquiry, rule, report })
          for (const wake of waiting) wake()
        },
      }
    },
  }
  const guards = new Guards({ clock, random: Math.random, notify, routes })
  const way = await passageway({
    catalog: replica,
    clock,
    notify,
    host: '127.0.0.1',
    port: 0,
    tls: options.tls,
    routes,
    access: options.access ?? { admit: () => undefined },
    guards: (rule) => guards.of(rule),
    telemetry,
    trustedProxies: options.trustedProxies ?? [],
    ca: options.ca,
    bounds: { ...defaultBounds, ...options.bounds },
  })
  const { port } = way.address
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= way.close()
    return closing
  }
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    port,
    told,
    notices,
    async heard(count) {
      while (told.length < count)
        await new Promise<void>((resolve) => {
          const wake = () => {
            waiting.delete(wake)
            resolve()
          }
          waiting.add(wake)
        })
      return told
    },
    async register(instance) {
      const service = instance.service ?? 'api'
      const id = instance.id ?? `${service}-${instance.port}`
      await engine.register(
        checkedInstance({ namespace: 'default', service, id, address: '127.0.0.1', ...instance }),
      )
      const key = { namespace: 'default', service, id }
      const has = () => replica.snapshot(key).entries.some((entry) => entry.instance.id === id)
      await changed(replica, has)
      return async () => {
        await engine.deregister(key)
        await changed(replica, () => !has())
      }
    },
    close,
    async [Symbol.asyncDispose]() {
      await close()
      await replica[Symbol.asyncDispose]()
      await engine[Symbol.asyncDispose]()
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
