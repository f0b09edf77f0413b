import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { Deadlines } from '@seamark/client/traffic'
import { type Clock, type Notify, SeamarkError, sleep } from '@seamark/core'
import { items } from '../proxy/fields.ts'
import { refusal, refuse } from '../proxy/refusal.ts'
import type { Relay } from '../proxy/relay.ts'
import { afterArrivals } from './after-arrivals.ts'
import type { GatewayBounds } from './bounds.ts'
import type { Caller } from './call.ts'
import { Certificate, type CertificateFiles, type Pair } from './certificate.ts'
import { Lane, type LaneHost } from './lane.ts'
import { isCurrent, lingering, NodeReply, type Request, type Response } from './node-reply.ts'
import { said } from './node-request.ts'
import { ParsedConnection } from './parsed-connection.ts'
import { refuseConnection } from './refused-connection.ts'
import { Session } from './session.ts'
import { SocketReply } from './socket-reply.ts'
import type { Trust } from './trust.ts'
import { Tunnel } from './tunnel.ts'

/** What requests meet in front of the proxy. */
export interface FrontHost {
  readonly bounds: GatewayBounds
  readonly relay: Relay
  readonly trust: Trust
  /** A connection is gone, or has nothing to do with lanes any more. */
  left(lane: Lane): void
}

/** Where connections end, one after the other, when the gateway closes. */
export interface LeavingHost {
  readonly bounds: GatewayBounds
  readonly isDraining: boolean
  /** Those that idle since it drains. */
  readonly leaving: Deadlines
  /** Has one among them: it expires after `bounds.drainDelay`, or at once where that is nothing. */
  leave(due: Due): Place | undefined
  /** Waits a little, for `patience` ms, for the client of an ended connection to end it too: it may still read. */
  linger(socket: Duplex, patience?: number): void
}

type Place = ReturnType<Deadlines['add']>
type Due = Parameters<Deadlines['add']>[0]

export interface FrontOptions {
  readonly host: string
  readonly port: number
  readonly tls: CertificateFiles | undefined
  readonly clock: Clock
  readonly notify: Notify
  readonly bounds: GatewayBounds
  readonly relay: Relay
  readonly trust: Trust
}

/** Looks for connections that the system accepted, before it stops listening: it has them one at a time. */
const mostLooks = 100
/** Milliseconds between two notices of connections that are one too many. */
const dropInterval = 60_000

type AnyServer = Server | Http2SecureServer

/** Listens for clients: HTTP/1.1, and with TLS HTTP/2 too. */
export class Front implements LaneHost {
  readonly bounds: GatewayBounds
  readonly relay: Relay
  readonly trust: Trust
  readonly idle: Deadlines
  readonly fresh: Deadlines
  readonly leaving: Deadlines
  readonly #clock: Clock
  readonly #notify: Notify
  readonly #isSecure: boolean
  readonly #server: AnyServer
  /** What `node:http`, or `node:http2`, does with a connection. */
  readonly #take: (socket: Socket) => void
  readonly #connections = new Set<Duplex>()
  readonly #lanes = new Set<Lane>()
  readonly #parsed = new Map<Duplex, ParsedConnection>()
  readonly #sessions = new Set<Session>()
  readonly #requests = new WeakMap<Duplex, number>()
  #certificate: Certificate | undefined
  #accepted = 0
  #dropped = 0
  #toldOfDrops = Number.NEGATIVE_INFINITY
  #date = ''
  #datedAt = 0
  isDraining = false

  private constructor(options: FrontOptions, pair: Pair | undefined) {
    const { bounds, relay, trust, clock, notify } = options
    this.bounds = bounds
    this.relay = relay
    this.trust = trust
    this.#clock = clock
    this.#notify = notify
    this.idle = new Deadlines(clock, bounds.keepAliveTimeout)
    this.fresh = new Deadlines(clock, bounds.headersTimeout)
    this.leaving = new Deadlines(clock, bounds.drainDelay)
    this.#isSecure = pair !== undefined
    this.#server = pair === undefined ? plainServer(bounds) : secureServer(bounds, pair)
    const server = this.#server as Server
    server.maxConnections = bounds.connections
    // It would reset those on which a request is on its way: they end here, once they idle.
    server.closeIdleConnections = () => {}
    this.#take = this.#takeOver(server)
    server.on('connection', (socket: Socket) => this.#keep(socket))
    server.on('drop', () => this.#drop())
    server.on('request', (request, response) => this.#request(request, response, false))
    server.on('checkContinue', (request, response) => this.#request(request, response, true))
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    server.on('connect', (request, socket) => this.#refuseTunnel(request, socket))
    server.on('clientError', (error, socket) => this.#refuseConnection(error, socket))
    // One who is not understood is no matter to others.
    server.on('tlsClientError', (_, socket) => socket.destroy())
    server.on('session', (session: ServerHttp2Session) => this.#session(session))
  }

  /** Throws `configuration` when it cannot listen there, or the certificate cannot be used. */
  static async listen(options: FrontOptions): Promise<Front> {
    const { tls, host, port, clock, notify } = options
    const certificate = tls === undefined ? undefined : await Certificate.open({ files: tls, clock, notify })
    const front = new Front(options, certificate?.pair)
    front.#certificate = certificate
    certificate?.follow((pair) => (front.#server as Http2SecureServer).setSecureContext(pair))
    try {
      front.#server.listen({ host, port })
      await once(front.#server, 'listening')
    } catch (cause) {
      certificate?.[Symbol.dispose]()
      const { code, message } = cause as NodeJS.ErrnoException
      const why = code === 'EADDRINUSE' ? 'another process listens there' : message
      throw new SeamarkError('configuration', `The gateway cannot listen on ${host}:${port}: ${why}.`, {
        field: 'port',
        cause,
      })
    }
    front.#server.on('error', (error: Error) =>
      notify({
        level: 'error',
        event: 'connection_not_accepted',
        message: 'A connection could not be accepted.',
        details: { error },
      }),
    )
    return front
  }

  get address(): AddressInfo {
    return this.#server.address() as AddressInfo
  }

  /**
   * For `bounds.drainDelay` goes on, with answers that end their connections; then takes no more connections, and waits for what is
   * under way for at most `bounds.drainTimeout`. Connections end when they idle for `bounds.drainDelay`.
   */
  async close(): Promise<void> {
    const { drainDelay, drainTimeout } = this.bounds
    this.isDraining = true
    for (const each of [...this.#lanes, ...this.#parsed.values(), ...this.#sessions]) each.drain()
    if (drainDelay > 0) await sleep(this.#clock, drainDelay)
    await this.#takeAccepted()
    this.#certificate?.[Symbol.dispose]()
    const closed = new Promise((resolve) => this.#server.close(resolve))
    const force = this.#clock.after(drainTimeout, () => this.#cut())
    await closed
    force.cancel()
    this.idle.close()
    this.fresh.close()
    this.leaving.close()
  }

  /** Connections that the system has accepted already would be reset. */
  async #takeAccepted(): Promise<void> {
    let before = -1
    for (let looks = 0; looks < mostLooks && this.#accepted > before; looks++) {
      before = this.#accepted
      await new Promise<void>(afterArrivals)
    }
  }

  /** Breaks off what is still open, and tells what that was. */
  #cut(): void {
    const parsed = [...this.#parsed.values()]
    const upgraded = parsed.filter(({ isUpgraded }) => isUpgraded).length
    const requests =
      [...this.#lanes].filter(({ isUnderway }) => isUnderway).length +
      parsed.filter(({ open, isUpgraded }) => open > 0 && !isUpgraded).length
    let streams = 0
    for (const { open } of this.#sessions) streams += open
    const connections = this.#connections.size
    this.#notify({
      level: 'warn',
      event: 'drain_cut',
      message:
        `After ${this.bounds.drainTimeout} ms, ${connections} connections were still open and are closed: ` +
        `${requests} requests over HTTP/1.1 and ${streams} over HTTP/2 are broken off, and ${upgraded} upgraded connections.`,
      details: { connections, requests, streams, upgraded },
    })
    for (const socket of this.#connections) socket.destroy()
  }

  /** One connection too many. Whoever is flooded with them is not flooded with notices. */
  #drop(): void {
    this.#dropped++
    const now = this.#clock.now()
    if (now - this.#toldOfDrops < dropInterval) return
    this.#toldOfDrops = now
    this.#notify({
      level: 'warn',
      event: 'connections_refused',
      message: `${this.bounds.connections} connections are open, as many as may be: others are closed at once, ${this.#dropped} so far.`,
      details: { connections: this.bounds.connections, refused: this.#dropped },
    })
  }

  // What lanes ask of it.

  handOver(socket: Socket): void {
    this.#parsed.set(socket, new ParsedConnection(this, socket))
    socket.once('close', () => this.#parsed.delete(socket))
    this.#take(socket)
  }

  leave(due: Due): Place | undefined {
    if (this.bounds.drainDelay > 0) return this.leaving.add(due)
    due.expired()
    return undefined
  }

  left(lane: Lane): void {
    this.#lanes.delete(lane)
  }

  linger(socket: Duplex, patience = lingering): void {
    if (socket.destroyed) return
    const end = () => socket.destroy()
    let timer = this.#clock.after(this.bounds.stillTimeout, end)
    const finished = () => {
      timer.cancel()
      timer = this.#clock.after(patience, end)
    }
    if (socket.writableFinished) finished()
    else socket.once('finish', finished)
    socket.once('close', () => timer.cancel())
    socket.resume()
  }

  date(): string {
    const now = this.#clock.date()
    if (Math.abs(now - this.#datedAt) >= 1_000) {
      this.#datedAt = now - (now % 1_000)
      this.#date = new Date(now).toUTCString()
    }
    return this.#date
  }

  /** Lets connections of HTTP/1.1 begin on a lane, and answers what takes them from there. */
  #takeOver(server: AnyServer): (socket: Socket) => void {
    const event = this.#isSecure ? 'secureConnection' : 'connection'
    const listeners = server.listeners(event) as ((socket: Socket) => void)[]
    server.removeAllListeners(event)
    const take = (socket: Socket) => {
      for (const listener of listeners) listener.call(server, socket)
    }
    server.on(event, (socket: TLSSocket) => {
      if (socket.alpnProtocol === 'h2') take(socket)
      else this.#lanes.add(new Lane(this, socket, this.#isSecure))
    })
    return take
  }

  #keep(socket: Duplex): void {
    this.#accepted++
    this.#connections.add(socket)
    socket.once('close', () => this.#connections.delete(socket))
  }

  #session(given: ServerHttp2Session): void {
    const session = new Session(this, given)
    this.#sessions.add(session)
    given.once('close', () => this.#sessions.delete(session))
  }

  #request(request: Request, response: Response, isExpected: boolean): void {
    const { socket } = request
    if (!isCurrent(request)) {
      const parsed = this.#parsed.get(socket)
      if (parsed?.begins() === false) return
      response.once('close', () => parsed?.answered())
    }
    const requests = (this.#requests.get(socket) ?? 0) + 1
    this.#requests.set(socket, requests)
    // What comes behind a request that ends its connection may be the rest of it, read by somebody else's rules.
    if (requests > this.bounds.requestsPerConnection && !isCurrent(request)) return
    let isRefused = false
    const isLast = () => isRefused || this.isDraining || requests >= this.bounds.requestsPerConnection
    const reply = new NodeReply(request, response, isExpected, {
      clock: this.#clock,
      stillTimeout: this.bounds.stillTimeout,
      isLast,
    })
    try {
      const call = said(request, this.bounds)
      this.relay.take(this.trust.call(call, this.#caller(socket)), reply)
    } catch (error) {
      isRefused = true
      if (!isCurrent(request)) this.#requests.set(socket, Number.POSITIVE_INFINITY)
      refuse(reply, refusal(error))
      this.relay.refused(error, this.#caller(socket).peer)
    }
  }

  /** Of HTTP/2, a tunnel is a stream among others. */
  #refuseTunnel(request: Request, given: Duplex | Response): void {
    const error = noTunnels()
    if (!isCurrent(request)) this.#refuseConnection(error, given as Duplex)
    else {
      const host = {
        clock: this.#clock,
        stillTimeout: this.bounds.stillTimeout,
        isLast: () => this.isDraining,
      }
      refuse(new NodeReply(request, given as Response, false, host), refusal(error))
      this.relay.refused(error, this.#caller(request.socket).peer)
    }
  }

  #refuseConnection(error: Error, socket: Duplex): void {
    const told = refuseConnection(error, socket)
    this.linger(socket)
    if (told !== undefined) this.relay.refused(told, this.#caller(socket).peer)
  }

  #caller(socket: Duplex): Caller {
    return this.trust.caller((socket as Socket).remoteAddress, this.#isSecure)
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const parsed = this.#parsed.get(socket)
    if (parsed?.begins() === false) return
    const reply = new SocketReply(socket, {
      replied: () => {
        socket.end()
        this.linger(socket)
      },
      date: () => this.date(),
      isDraining: this.isDraining,
      switched: (other, text) => {
        if (parsed !== undefined) parsed.isUpgraded = true
        socket.off('close', gone)
        socket.write(text, 'latin1')
        if (head.length > 0) socket.unshift(head)
        new Tunnel(this.#clock, this.bounds.upgradeTimeout, socket, other)
      },
    })
    const gone = () => reply.gone()
    socket.on('error', () => {})
    socket.on('drain', () => reply.drained())
    socket.once('close', gone)
    reply.expect(request.method ?? 'GET', true)
    try {
      const call = said(request, this.bounds)
      if (call.body !== null)
        throw new SeamarkError('invalid_request', 'One that asks for another protocol can have no body.', {
          field: 'upgrade',
        })
      // Others are not spoken: it is answered as if it had not asked.
      const isWebSocket = items(request.headers.upgrade ?? '').join() === 'websocket' && call.method === 'GET'
      const upgrade = isWebSocket ? 'websocket' : undefined
      this.relay.take(this.trust.call({ ...call, upgrade }, this.#caller(socket)), reply)
    } catch (error) {
      refuse(reply, refusal(error))
      this.relay.refused(error, this.#caller(socket).peer)
    }
  }
}

function plainServer(bounds: GatewayBounds): Server {
  const { headerBytes, headersTimeout, keepAliveTimeout } = bounds
  return createServer({
    maxHeaderSize: headerBytes,
    headersTimeout,
    keepAliveTimeout,
    // A body may take as long as it moves.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(headersTimeout, 5_000),
    requireHostHeader: false,
    noDelay: true,
  })
}

function secureServer(bounds: GatewayBounds, { cert, key }: Pair): Http2SecureServer {
  const { headerBytes, headersTimeout, keepAliveTimeout, streams } = bounds
  const server = createSecureServer({
    allowHTTP1: true,
    cert,
    key,
    // RFC 9325, 3.1.1.
    minVersion: 'TLSv1.2',
    settings: { maxConcurrentStreams: streams, maxHeaderListSize: headerBytes, enablePush: false },
    maxSessionInvalidFrames: 100,
    maxSessionRejectedStreams: 100,
    unknownProtocolTimeout: headersTimeout,
    handshakeTimeout: headersTimeout,
  })
  return Object.assign(server, {
    maxHeaderSize: headerBytes,
    headersTimeout,
    keepAliveTimeout,
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(headersTimeout, 5_000),
    requireHostHeader: false,
  })
}

function noTunnels(): SeamarkError {
  return new SeamarkError('invalid_request', 'The gateway makes no tunnels.', { field: 'method' })
}
