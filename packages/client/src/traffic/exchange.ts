import type { IncomingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Clock, type Entry, isSeamarkError, SeamarkError } from '@seamark/core'
import type { Dispatcher } from 'undici'
import { endpoint } from '../endpoint.ts'
import { isNotConnected } from '../not-connected.ts'
import { Attempt } from './attempt.ts'
import type { Deadlines, Due, Place } from './deadlines.ts'
import { readdressed, withHost } from './readdressed.ts'
import { retryAfter } from './retry-after.ts'
import type { Traffic, Wish } from './traffic.ts'

/** How all requests to a service are tried. */
export interface ExchangeSetting {
  readonly clock: Clock
  readonly dispatch: Dispatcher.Dispatch
  /** How often a request is tried, at most. */
  readonly tries: number
  /** After which a try that was not answered is given up. */
  readonly tryTimeout: Deadlines | undefined
  /** After which the whole request is given up, if it was not answered. */
  readonly timeout: Deadlines | undefined
  /** After which a second instance is asked as well, if the first has not answered. */
  readonly hedge: Deadlines | undefined
}

/** One request to a service by its name. */
export interface Errand {
  readonly traffic: Traffic
  /** What the service is called in the request: `api.seamark`. */
  readonly authority: string
  /** For people: `api`. */
  readonly name: string
  readonly wish: Wish
  /** Why there is nobody. */
  readonly absence: () => Error
}

/** What became of a try. */
interface Trace {
  readonly instance: string
  readonly origin: string
  /** Milliseconds that it took. */
  readonly took: number
  readonly outcome: string
}

/** RFC 9110, 9.2.2. */
const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])
/** Answers that another instance may do better than: its gateway has nobody, or it is overloaded. */
const retryable = new Set([429, 502, 503, 504])

/**
 * A request, from the name of a service to the first bytes of an answer: tried at one instance after the other, while that is
 * safe. Its caller sees one request, and one controller.
 */
export class Exchange implements Dispatcher.DispatchController, Due {
  readonly #setting: ExchangeSetting
  readonly #errand: Errand
  readonly #options: Dispatcher.DispatchOptions
  readonly #handler: Dispatcher.DispatchHandler
  readonly #headers: NonNullable<Dispatcher.DispatchOptions['headers']>
  readonly #isReplayable: boolean
  readonly #tried: Entry[] = []
  readonly #underway = new Set<Attempt>()
  #traces: Trace[] | undefined
  #winner: Attempt | undefined
  #isStarted = false
  #deadline: Place | undefined
  #hedge: Place | undefined
  #paused = false
  aborted = false
  reason: Error | null = null

  constructor(
    setting: ExchangeSetting,
    errand: Errand,
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ) {
    this.#setting = setting
    this.#errand = errand
    this.#options = options
    this.#handler = handler
    this.#headers = withHost(options.headers, errand.authority)
    const { body } = options
    this.#isReplayable = body == null || typeof body === 'string' || ArrayBuffer.isView(body)
  }

  begin(): void {
    this.#errand.traffic.budget.deposit()
    this.#deadline = this.#setting.timeout?.add(this)
    const entry = this.#errand.traffic.choose(this.#errand.wish)
    if (entry === undefined) {
      this.#fail(this.#errand.absence())
      return
    }
    if (this.#setting.hedge !== undefined && this.#isSafe)
      this.#hedge = this.#setting.hedge.add({ expired: () => this.#hedgeNow() })
    this.#try(entry)
  }

  // What its caller may do.

  get paused(): boolean {
    return this.#paused
  }

  get rawHeaders() {
    return this.#winner?.controller?.rawHeaders ?? null
  }

  get rawTrailers() {
    return this.#winner?.controller?.rawTrailers ?? null
  }

  abort(reason: Error): void {
    this.aborted = true
    this.reason = reason
    for (const attempt of this.#underway) attempt.abort(reason)
  }

  pause(): void {
    this.#paused = true
    this.#winner?.controller?.pause()
  }

  resume(): void {
    this.#paused = false
    this.#winner?.controller?.resume()
  }

  // What its attempts tell.

  started(context: unknown): void {
    if (this.#isStarted) return
    this.#isStarted = true
    this.#handler.onRequestStart?.(this, context)
  }

  upgraded(attempt: Attempt, status: number, headers: IncomingHttpHeaders, socket: Duplex): void {
    this.#observe(attempt, true)
    this.#win(attempt)
    this.#handler.onRequestUpgrade?.(this, status, headers, socket)
  }

  answered(
    attempt: Attempt,
    status: number,
    headers: IncomingHttpHeaders,
    message: string | undefined,
  ): void {
    if (status < 200) {
      this.#handler.onResponseStart?.(this, status, headers, message)
      return
    }
    this.#observe(attempt, status < 500)
    const rest = status === 429 || status === 503 ? retryAfter(headers, this.#setting.clock) : undefined
    if (rest !== undefined) this.#errand.traffic.rest(attempt.condition, rest)
    if (retryable.has(status) && this.#isSafe && this.#winner === undefined) {
      const other = this.#another()
      if (other !== undefined) {
        this.#trace(attempt, String(status))
        this.#leave(attempt)
        attempt.discard()
        this.#try(other)
        return
      }
    }
    this.#win(attempt)
    this.#handler.onResponseStart?.(this, status, headers, message)
  }

  data(chunk: Buffer): void {
    this.#handler.onResponseData?.(this, chunk)
  }

  completed(trailers: IncomingHttpHeaders): void {
    this.#handler.onResponseEnd?.(this, trailers)
  }

  failed(attempt: Attempt, error: Error): void {
    if (this.#winner === attempt) {
      this.#handler.onResponseError?.(this, error)
      return
    }
    this.#leave(attempt)
    if (this.#winner !== undefined) return
    if (this.aborted) {
      this.#fail(this.reason ?? error)
      return
    }
    // What could not even be queued is the caller's mistake, and no instance's.
    if (!attempt.isStarted && !isNotConnected(error) && !isSeamarkError(error, 'timeout')) {
      this.#fail(error)
      return
    }
    this.#observe(attempt, false)
    this.#trace(attempt, error.message)
    // Somebody else is asked already.
    if (this.#underway.size > 0) return
    const other = this.#successor(attempt, error)
    if (other === undefined) this.#fail(this.#failure(error))
    else this.#try(other)
  }

  /** The attempt took longer than a try may. */
  late(attempt: Attempt): void {
    attempt.abort(new SeamarkError('timeout', `${attempt.entry.instance.id} did not answer in time.`))
  }

  /** The whole took too long. */
  expired(): void {
    this.#deadline = undefined
    this.abort(
      new SeamarkError('timeout', `${this.#errand.name} did not answer in time.`, {
        details: { attempts: this.#traces ?? [] },
      }),
    )
  }

  // How it goes on.

  /** Whether it may be sent again though it may have arrived. */
  get #isSafe(): boolean {
    return this.#isReplayable && idempotent.has(this.#options.method)
  }

  #try(entry: Entry): void {
    const { clock, tryTimeout, dispatch } = this.#setting
    const attempt = new Attempt(this, entry, this.#errand.traffic.condition(entry), clock.now())
    this.#tried.push(entry)
    this.#underway.add(attempt)
    attempt.place = tryTimeout?.add(attempt)
    dispatch(readdressed(this.#options, endpoint(entry).origin, this.#headers), attempt)
  }

  /** Who gets the request after it failed, if it may be sent again at all. */
  #successor(attempt: Attempt, error: Error): Entry | undefined {
    // What waits for a connection in vain takes its body with it, unless that can be had again.
    if (isNotConnected(error) || (!attempt.isStarted && this.#isReplayable)) return this.#another()
    return this.#isSafe ? (this.#another() ?? this.#again()) : undefined
  }

  /** One that was not tried yet, if another try may be made. */
  #another(): Entry | undefined {
    if (this.aborted || this.#tried.length >= this.#setting.tries) return undefined
    const { traffic, wish } = this.#errand
    const other = traffic.choose({ ...wish, tried: this.#tried })
    return other !== undefined && traffic.budget.withdraw() ? other : undefined
  }

  /** The only one there is, once more: its connection may have been closed while it idled. */
  #again(): Entry | undefined {
    if (this.aborted || this.#tried.length > 1) return undefined
    const { traffic, wish } = this.#errand
    const same = traffic.choose(wish)
    return same !== undefined && traffic.budget.withdraw() ? same : undefined
  }

  #hedgeNow(): void {
    this.#hedge = undefined
    if (this.#winner !== undefined || this.#underway.size === 0) return
    const other = this.#another()
    if (other !== undefined) this.#try(other)
  }

  #win(attempt: Attempt): void {
    if (this.#winner === attempt) return
    this.#winner = attempt
    this.#clear(attempt)
    if (this.#deadline !== undefined) this.#setting.timeout?.remove(this.#deadline)
    if (this.#hedge !== undefined) this.#setting.hedge?.remove(this.#hedge)
    for (const other of this.#underway)
      if (other !== attempt) other.abort(new Error('Another instance answered first.'))
    if (this.#paused) attempt.controller?.pause()
  }

  #observe(attempt: Attempt, success: boolean): void {
    const { clock } = this.#setting
    this.#errand.traffic.observe(attempt.condition, success, clock.now() - attempt.begunAt)
  }

  #leave(attempt: Attempt): void {
    this.#underway.delete(attempt)
    this.#clear(attempt)
  }

  #clear(attempt: Attempt): void {
    if (attempt.place !== undefined) this.#setting.tryTimeout?.remove(attempt.place)
    attempt.place = undefined
  }

  #trace({ entry, begunAt }: Attempt, outcome: string): void {
    const { id, origin } = endpoint(entry)
    const took = Math.round(this.#setting.clock.now() - begunAt)
    this.#traces ??= []
    this.#traces.push({ instance: id, origin, took, outcome })
  }

  #failure(cause: Error): Error {
    const attempts = this.#traces ?? []
    const said = attempts.map(({ instance, origin, outcome }) => `${instance} (${origin}): ${outcome}`)
    return new SeamarkError('attempts_failed', `${this.#errand.name} did not answer. ${said.join('; ')}.`, {
      cause,
      details: { attempts },
    })
  }

  #fail(error: Error): void {
    if (this.#deadline !== undefined) this.#setting.timeout?.remove(this.#deadline)
    if (this.#hedge !== undefined) this.#setting.hedge?.remove(this.#hedge)
    this.#handler.onResponseError?.(this, error)
  }
}
