import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Clock, Timer } from '@seamark/core'
import { framed } from '../exchange.ts'
import type { Response } from './responder.ts'

export interface TcpListenerOptions {
  readonly respond: (message: Buffer) => Response
  readonly clock: Clock
  /** Connections at a time; the one that idles longest makes room. */
  readonly connections: number
  /** Milliseconds that a connection may go without a whole question. */
  readonly idleTimeout: number
  /** Bytes of a question. */
  readonly queryBytes: number
}

/** Questions of one connection whose answers are waited for; it is not read from meanwhile. */
const mostWaiting = 64

/** Answers over TCP: many questions in a row, each as soon as its answer is known (RFC 7766). */
export class TcpListener {
  readonly #options: TcpListenerOptions
  readonly #server: Server
  /** Those that asked longest ago come first. */
  readonly #connections = new Set<Connection>()
  #timer: Timer | undefined

  constructor(options: TcpListenerOptions) {
    this.#options = options
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket))
  }

  /** Answers the port. Rejects when it cannot listen. */
  async listen(host: string, port: number): Promise<number> {
    this.#server.listen({ host, port })
    await once(this.#server, 'listening')
    // What fails later is one connection that could not be accepted.
    this.#server.on('error', () => {})
    return (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    this.#timer?.cancel()
    for (const connection of this.#connections) connection.end()
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    await closed
  }

  #accept(socket: Socket): void {
    const { clock, connections, idleTimeout } = this.#options
    const [longest] = this.#connections.size >= connections ? this.#connections : []
    longest?.destroy()
    const connection = new Connection(socket, this.#options, () => {
      this.#connections.delete(connection)
      connection.activeAt = clock.now()
      this.#connections.add(connection)
    })
    this.#connections.add(connection)
    socket.once('close', () => this.#connections.delete(connection))
    this.#timer ??= clock.after(idleTimeout, () => this.#sweep())
  }

  #sweep(): void {
    const { clock, idleTimeout } = this.#options
    const now = clock.now()
    this.#timer = undefined
    for (const connection of this.#connections) {
      const left = connection.activeAt + idleTimeout - now
      if (left > 0) {
        this.#timer = clock.after(left, () => this.#sweep())
        return
      }
      connection.destroy()
    }
  }
}

class Connection {
  readonly #socket: Socket
  readonly #options: TcpListenerOptions
  readonly #active: () => void
  #received = Buffer.alloc(0)
  #waiting = 0
  #ended = false
  activeAt: number

  constructor(socket: Socket, options: TcpListenerOptions, active: () => void) {
    this.#socket = socket
    this.#options = options
    this.#active = active
    this.activeAt = options.clock.now()
    // It says why by closing.
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
      this.#proceed()
    })
    socket.on('drain', () => this.#proceed())
    socket.on('end', () => {
      this.#ended = true
      this.#settle()
    })
  }

  /** Sends what is still to be sent, unless nobody reads it. */
  end(): void {
    if (this.#isBusy) this.#socket.destroy()
    else this.#socket.destroySoon()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #proceed(): void {
    if (this.#socket.destroyed) return
    this.#socket.cork()
    this.#answer()
    this.#socket.uncork()
    if (this.#isBusy) this.#socket.pause()
    else this.#socket.resume()
  }

  #answer(): void {
    const { respond, queryBytes } = this.#options
    let at = 0
    while (this.#received.length >= at + 2 && !this.#isBusy) {
      const length = this.#received.readUInt16BE(at)
      if (length > queryBytes) {
        this.destroy()
        return
      }
      if (this.#received.length < at + 2 + length) break
      const response = respond(this.#received.subarray(at + 2, at + 2 + length))
      // Who sends what is no question has lost count.
      if (response === undefined) {
        this.destroy()
        return
      }
      this.#active()
      if (Buffer.isBuffer(response)) this.#write(response)
      else this.#wait(response)
      at += 2 + length
    }
    this.#received = this.#received.subarray(at)
  }

  #write(answer: Buffer): void {
    if (this.#socket.writable) this.#socket.write(framed(answer))
  }

  #wait(response: Promise<Buffer | undefined>): void {
    this.#waiting++
    response
      .then(
        (answer) => (answer === undefined ? this.destroy() : this.#write(answer)),
        () => this.destroy(),
      )
      .finally(() => {
        this.#waiting--
        this.#settle()
        this.#proceed()
      })
  }

  /** Whoever does not read answers, or asks faster than others answer, is not read from. */
  get #isBusy(): boolean {
    return this.#waiting >= mostWaiting || this.#socket.writableNeedDrain
  }

  #settle(): void {
    if (this.#ended && this.#waiting === 0) this.#socket.end()
  }
}
