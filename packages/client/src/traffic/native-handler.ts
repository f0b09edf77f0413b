import type { Duplex } from 'node:stream'
import { type Dispatcher, errors, util } from 'undici'

/**
 * One who is told what becomes of a request, in undici 7's own way: what its connections call, without a conversion in
 * between. Headers are names and values in turn, as they came.
 */
export interface NativeHandler {
  /** Once, before anything else. `abort` may be called at any time. */
  onConnect(abort: (reason?: Error) => void, context?: object): void
  /** A piece of the body went to its connection. */
  onBodySent?(chunk: Buffer): void
  /** The first bytes of an answer came. */
  onResponseStarted?(): void
  /** For answers below 200 too. `false` holds the body back until `resume` is called. */
  onHeaders(status: number, headers: Buffer[], resume: () => void, statusText: string): boolean
  /** `false` holds the rest back until `resume` is called. */
  onData(chunk: Buffer): boolean
  onComplete(trailers: Buffer[]): void
  /** Once, and nothing after it. */
  onError(error: Error): void
  /** Needed for upgrades and CONNECT. */
  onUpgrade?(status: number, headers: Buffer[], socket: Duplex): void
}

/** Throws undici's `InvalidArgumentError` for one that is neither. */
export function nativeHandler(handler: Dispatcher.DispatchHandler): NativeHandler {
  // What undici wraps has both, and takes the shorter way by this one.
  if (typeof handler?.onConnect === 'function') return handler as unknown as NativeHandler
  if (typeof handler?.onRequestStart === 'function') return new Converted(handler)
  throw new errors.InvalidArgumentError('handler must have onRequestStart or onConnect')
}

/** As undici's dispatchers take it. Their types say that trailers are strings, which they are not. */
export function dispatchHandler(handler: NativeHandler): Dispatcher.DispatchHandler {
  return handler as unknown as Dispatcher.DispatchHandler
}

type Raw = Parameters<typeof util.parseHeaders>[0]

/** One that wants objects and a controller, as undici's interceptors do. */
class Converted implements NativeHandler, Dispatcher.DispatchController {
  readonly #handler: Dispatcher.DispatchHandler
  #abort: ((reason?: Error) => void) | undefined
  #resume: (() => void) | undefined
  paused = false
  aborted = false
  reason: Error | null = null
  rawHeaders: Buffer[] | null = null
  rawTrailers: Buffer[] | null = null

  constructor(handler: Dispatcher.DispatchHandler) {
    this.#handler = handler
  }

  abort(reason: Error): void {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason
    this.#abort?.(reason)
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.#resume?.()
  }

  onConnect(abort: (reason?: Error) => void, context?: object): void {
    this.#abort = abort
    this.#handler.onRequestStart?.(this, context)
  }

  onResponseStarted(): void {
    this.#handler.onResponseStarted?.()
  }

  onHeaders(status: number, headers: Buffer[], resume: () => void, statusText: string): boolean {
    this.#resume = resume
    this.rawHeaders = headers
    this.#handler.onResponseStart?.(this, status, util.parseHeaders(headers as Raw), statusText)
    return !this.paused
  }

  onData(chunk: Buffer): boolean {
    this.#handler.onResponseData?.(this, chunk)
    return !this.paused
  }

  onComplete(trailers: Buffer[]): void {
    this.rawTrailers = trailers
    this.#handler.onResponseEnd?.(this, util.parseHeaders((trailers ?? []) as Raw))
  }

  onError(error: Error): void {
    if (this.#handler.onResponseError === undefined)
      throw new errors.InvalidArgumentError('invalid onResponseError method')
    this.#handler.onResponseError(this, error)
  }

  onUpgrade(status: number, headers: Buffer[], socket: Duplex): void {
    this.rawHeaders = headers
    this.#handler.onRequestUpgrade?.(this, status, util.parseHeaders((headers ?? []) as Raw), socket)
  }
}
