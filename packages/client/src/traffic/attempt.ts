import type { IncomingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Entry } from '@seamark/core'
import type { Dispatcher } from 'undici'
import type { Condition } from './condition.ts'
import type { Due, Place } from './deadlines.ts'
import type { Exchange } from './exchange.ts'

/** Bytes of an answer nobody wants that are read, so that its connection can be used again. */
const mostDiscarded = 65_536

/** One try of a request, at one instance. Tells its exchange what becomes of it, for as long as that wants to know. */
export class Attempt implements Dispatcher.DispatchHandler, Due {
  readonly entry: Entry
  readonly condition: Condition
  readonly begunAt: number
  readonly #exchange: Exchange
  controller: Dispatcher.DispatchController | undefined
  place: Place | undefined
  /** Why it is to be given up, before it could be. */
  #abortion: Error | undefined
  #over = false
  #discarded: number | undefined

  constructor(exchange: Exchange, entry: Entry, condition: Condition, begunAt: number) {
    this.#exchange = exchange
    this.entry = entry
    this.condition = condition
    this.begunAt = begunAt
    condition.pending++
  }

  /** Whether a connection was there for it; before that, nothing of it was sent. */
  get isStarted(): boolean {
    return this.controller !== undefined
  }

  /** Gives it up; its exchange hears of it with that error. While it waits for a connection, at once. */
  abort(error: Error): void {
    this.#abortion = error
    if (this.controller !== undefined) this.controller.abort(error)
    else {
      this.#end()
      this.discard()
      this.#exchange.failed(this, error)
    }
  }

  /** Reads the rest of the answer without telling anybody of it. */
  discard(): void {
    this.#discarded = 0
  }

  expired(): void {
    this.place = undefined
    this.#exchange.late(this)
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.controller = controller
    if (this.#abortion !== undefined) controller.abort(this.#abortion)
    else this.#exchange.started(context)
  }

  onRequestUpgrade(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    socket: Duplex,
  ): void {
    socket.once('close', () => this.#end())
    this.#exchange.upgraded(this, status, headers, socket)
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    message?: string,
  ): void {
    this.#exchange.answered(this, status, headers, message)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#discarded === undefined) this.#exchange.data(chunk)
    else {
      this.#discarded += chunk.length
      if (this.#discarded > mostDiscarded)
        controller.abort(new Error('Nobody wants the rest of this answer.'))
    }
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    this.#end()
    if (this.#discarded === undefined) this.#exchange.completed(trailers)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#end()
    if (this.#discarded === undefined) this.#exchange.failed(this, this.#abortion ?? error)
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.condition.pending--
  }
}
