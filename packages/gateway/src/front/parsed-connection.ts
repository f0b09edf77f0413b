import type { Socket } from 'node:net'
import type { Deadlines } from '@seamark/client/traffic'
import { afterArrivals } from './after-arrivals.ts'
import type { LeavingHost } from './front.ts'

type Place = ReturnType<Deadlines['add']>

/** A connection of HTTP/1.1 that `node:http` has: what it needs to end when it has nothing to answer, and not in between. */
export class ParsedConnection {
  readonly #host: LeavingHost
  readonly #socket: Socket
  #place: Place | undefined
  /** Bytes that had come when the last answer was through; `undefined` while there is something to answer, or to read. */
  #idleAt: number | undefined
  #open = 0
  #isLast = false
  /** It speaks something else now. */
  isUpgraded = false

  constructor(host: LeavingHost, socket: Socket) {
    this.#host = host
    this.#socket = socket
    socket.once('close', () => this.#settle())
  }

  get open(): number {
    return this.#open
  }

  /** Whether a request is still to be answered: behind the end of what is said, none can be. */
  begins(): boolean {
    if (this.#isLast) return false
    this.#open++
    this.#idleAt = undefined
    this.#settle()
    return true
  }

  answered(): void {
    if (--this.#open > 0 || this.#socket.destroyed) return
    this.#idleAt = this.#socket.bytesRead
    if (this.#host.isDraining) this.drain()
  }

  /** Ends it when it idles for a while. */
  drain(): void {
    if (this.#idleAt === undefined) return
    this.#settle()
    this.#place = this.#host.leave(this)
  }

  expired(): void {
    this.#place = undefined
    afterArrivals(() => {
      const socket = this.#socket
      // Part of a request came: the rest has as long as any.
      if (this.#isLast || socket.destroyed || this.#idleAt !== socket.bytesRead) return
      this.#isLast = true
      socket.end()
      this.#host.linger(socket, this.#host.bounds.drainDelay)
    })
  }

  #settle(): void {
    if (this.#place !== undefined) this.#host.leaving.remove(this.#place)
    this.#place = undefined
  }
}
