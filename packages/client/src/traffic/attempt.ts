import type { Duplex } from 'node:stream'
import type { Entry } from '@seamark/core'
import type { Condition } from './condition.ts'
import type { Due, Place } from './deadlines.ts'
import type { Exchange } from './exchange.ts'
import type { NativeHandler } from './native-handler.ts'

/** Bytes of an answer nobody wants that are read, so that its connection can be used again. */
const mostDiscarded = 65_536

/** One try of a request, at one instance. Tells its exchange what becomes of it, for as long as that wants to know. */
export class Attempt implements NativeHandler, Due {
  readonly entry: Entry
  readonly condition: Condition
  readonly begunAt: number
  /** Whether there was no connection for it at once. */
  waits = false
  /** When it was sent; before that, when it was begun. */
  sentAt: number
  readonly #exchange: Exchange
  place: Place | undefined = undefined
  #abort: ((reason?: Error) => void) | undefined = undefined
  /** Why it is to be given up. */
  #abortion: Error | undefined = undefined
  #over = false
  #isUnwanted = false
  #discarded = 0

  constructor(exchange: Exchange, entry: Entry, condition: Condition, begunAt: number) {
    this.#exchange = exchange
    this.entry = entry
    this.condition = condition
    this.begunAt = begunAt
    this.sentAt = begunAt
    condition.pending++
  }

  /** Whether a connection was there for it; before that, nothing of it was sent. */
  get isStarted(): boolean {
    return this.#abort !== undefined
  }

  /** Gives it up; its exchange hears of it with that error. While it waits for a connection, at once. */
  abort(error: Error): void {
    this.#abortion = error
    if (this.#abort !== undefined) this.#abort(error)
    else {
      this.#end()
      this.discard()
      this.#exchange.failed(this, error)
    }
  }

  /** Reads the rest of the answer without telling anybody of it. */
  discard(): void {
    this.#isUnwanted = true
  }

  expired(): void {
    this.place = undefined
    this.#exchange.late(this)
  }

  onConnect(abort: (reason?: Error) => void): void {
    this.#abort = abort
    if (this.waits) this.sentAt = this.#exchange.now
    if (this.#abortion !== undefined) abort(this.#abortion)
  }

  onBodySent(): void {
    this.#exchange.proceeded(this)
  }

  onResponseStarted(): void {
    if (!this.#isUnwanted) this.#exchange.responding()
  }

  onHeaders(status: number, headers: Buffer[], resume: () => void, statusText: string): boolean {
    return this.#isUnwanted || this.#exchange.answered(this, status, headers, resume, statusText)
  }

  onData(chunk: Buffer): boolean {
    if (!this.#isUnwanted) return this.#exchange.data(chunk)
    this.#discarded += chunk.length
    if (this.#discarded > mostDiscarded) this.#abort?.(new Error('Nobody wants the rest of this answer.'))
    return true
  }

  onComplete(trailers: Buffer[]): void {
    this.#end()
    if (!this.#isUnwanted) this.#exchange.completed(trailers)
  }

  onError(error: Error): void {
    this.#end()
    if (!this.#isUnwanted) this.#exchange.failed(this, this.#abortion ?? error)
  }

  onUpgrade(status: number, headers: Buffer[], socket: Duplex): void {
    socket.once('close', () => this.#end())
    this.#exchange.upgraded(this, status, headers, socket)
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.condition.pending--
  }
}
