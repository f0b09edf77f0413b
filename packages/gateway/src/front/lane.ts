import type { Socket } from 'node:net'
import type { Deadlines } from '@seamark/client/traffic'
import { afterArrivals } from './after-arrivals.ts'
import type { Caller } from './call.ts'
import type { FrontHost, LeavingHost } from './front.ts'
import { type FieldBlock, readRequest } from './request-reader.ts'
import { SocketReply } from './socket-reply.ts'

type Place = ReturnType<Deadlines['add']>

export interface LaneHost extends FrontHost, LeavingHost {
  /** Lets `node:http` have the connection, for good. */
  handOver(socket: Socket): void
  /** Those that idle, and those from which nothing came yet. */
  readonly idle: Deadlines
  readonly fresh: Deadlines
  date(): string
}

/**
 * One connection, for as long as all that comes on it are plain requests: those are read, sent on and answered without a parser and
 * its streams. With the first that is anything else, `node:http` gets the connection, and what came.
 */
export class Lane {
  readonly #host: LaneHost
  readonly #socket: Socket
  readonly #caller: Caller
  readonly #reply: SocketReply
  /** What came before the last request was answered. */
  #waiting: Buffer | undefined
  #place: Place | undefined
  #placeIn: Deadlines
  /** It had its time to idle. */
  #isDue = false
  #requests = 0
  /** Of the last request: the next one's are mostly the same. */
  #block: FieldBlock | undefined
  #hasLeft = false
  /** Nothing more is read of it. */
  #isLast = false

  constructor(host: LaneHost, socket: Socket, isSecure: boolean) {
    this.#host = host
    this.#socket = socket
    this.#caller = host.trust.caller(socket.remoteAddress, isSecure)
    this.#reply = new SocketReply(socket, this)
    this.#placeIn = host.fresh
    this.#rest(host.fresh)
    socket.on('data', this.#arrived)
    socket.on('end', this.#ended)
    socket.on('drain', this.#drained)
    socket.on('error', this.#failed)
    socket.on('close', this.#closed)
  }

  /** Whether something is to be answered. */
  get isUnderway(): boolean {
    return this.#reply.isUnderway
  }

  /** Ends it when it idles for a while. */
  drain(): void {
    if (this.#place === undefined) return
    this.#settle()
    this.#rest(this.#host.leaving)
  }

  /** It idled for too long. */
  expired(): void {
    this.#place = undefined
    if (!this.#host.isDraining) {
      this.#socket.destroy()
      return
    }
    this.#isDue = true
    afterArrivals(() => {
      if (this.#isDue && !this.#socket.destroyed) this.#end(this.#host.bounds.drainDelay)
    })
  }

  // What its replies tell.

  date(): string {
    return this.#host.date()
  }

  get isDraining(): boolean {
    return this.#host.isDraining
  }

  replied(mayGoOn: boolean): void {
    if (!mayGoOn) {
      this.#end()
      return
    }
    // While it drains too: the client was told that it may go on, and may have done so.
    this.#rest(this.#host.idle)
    // Not deeper and deeper into the stack, for a client that sends many at once.
    if (this.#waiting !== undefined) process.nextTick(goOn, this)
  }

  /** Looks at what came meanwhile, unless the client does not read the answers that it has: they would pile up here. */
  goOn(): void {
    const socket = this.#socket
    if (this.#hasLeft || socket.destroyed || this.#reply.isUnderway || socket.writableNeedDrain) return
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting !== undefined) this.#arrived(waiting)
    if (!this.#hasLeft && !this.#reply.isUnderway && socket.isPaused()) socket.resume()
  }

  switched(): void {
    // Upgrades are never plain.
    this.#socket.destroy()
  }

  readonly #arrived = (chunk: Buffer): void => {
    if (this.#isLast) return
    const { bounds, trust, relay } = this.#host
    if (this.#reply.isUnderway || this.#waiting !== undefined || this.#socket.writableNeedDrain) {
      this.#waiting = this.#waiting === undefined ? chunk : Buffer.concat([this.#waiting, chunk])
      this.#socket.pause()
      return
    }
    const request = readRequest(chunk, bounds, this.#block)
    if (request === undefined) {
      this.#leave(chunk)
      return
    }
    this.#settle()
    const { said, end, block } = request
    this.#block = block
    if (end < chunk.length) {
      this.#waiting = chunk.subarray(end)
      this.#socket.pause()
    } else if (this.#socket.isPaused()) this.#socket.resume()
    this.#requests++
    this.#reply.expect(said.method, this.#requests >= bounds.requestsPerConnection)
    relay.take(trust.call(said, this.#caller), this.#reply)
  }

  readonly #ended = (): void => {
    // Nobody sends requests and goes on listening only: it is gone, as `node:http` and nginx take it too.
    if (this.#reply.isUnderway) this.#socket.destroy()
    else this.#socket.end()
  }

  readonly #drained = (): void => {
    this.#reply.drained()
    this.goOn()
  }

  // `close` follows.
  readonly #failed = (): void => {}

  readonly #closed = (): void => {
    this.#settle()
    this.#host.left(this)
    this.#reply.gone()
  }

  #rest(among: Deadlines): void {
    const { isDraining, leaving } = this.#host
    this.#placeIn = isDraining ? leaving : among
    this.#place = isDraining ? this.#host.leave(this) : among.add(this)
  }

  #settle(): void {
    this.#isDue = false
    if (this.#place !== undefined) this.#placeIn.remove(this.#place)
    this.#place = undefined
  }

  /** Says no more, and hears no more: a request that comes now could not be answered, and is not executed. */
  #end(patience?: number): void {
    this.#isLast = true
    this.#waiting = undefined
    this.#socket.end()
    this.#host.linger(this.#socket, patience)
  }

  #leave(chunk: Buffer): void {
    const socket = this.#socket
    this.#hasLeft = true
    this.#settle()
    this.#host.left(this)
    socket.off('data', this.#arrived)
    socket.off('end', this.#ended)
    socket.off('drain', this.#drained)
    socket.off('error', this.#failed)
    socket.off('close', this.#closed)
    socket.pause()
    socket.unshift(chunk)
    this.#host.handOver(socket)
    socket.resume()
  }
}

function goOn(lane: Lane): void {
  lane.goOn()
}
