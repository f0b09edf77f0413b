import { type Duplex, Readable } from 'node:stream'
import { type Clock, type Entry, isSeamarkError, SeamarkError } from '@seamark/core'
import { type Dispatcher, errors } from 'undici'
import { endpoint } from '../endpoint.ts'
import { Attempt } from './attempt.ts'
import type { Deadlines, Due, Place } from './deadlines.ts'
import type { NativeHandler } from './native-handler.ts'
import type { Carrier } from './pools.ts'
import { withHost } from './readdressed.ts'
import { retryAfter } from './retry-after.ts'
import type { Traffic, Wish } from './traffic.ts'

/** How requests are tried: one object for many of them. */
export interface ExchangeSetting {
  readonly clock: Clock
  readonly carrier: Carrier
  /** How often a request is tried, at most. */
  readonly tries: number
  /** After which a try that was not answered is given up. */
  readonly tryTimeout: Deadlines | undefined
  /** After which the whole request is given up, if it was not answered. */
  readonly timeout: Deadlines | undefined
  /** After which a second instance is asked as well, if the first has not answered. */
  readonly hedge: Deadlines | undefined
  /** Told once of each exchange that came to its end, well or not. */
  readonly ended: (() => void) | undefined
}

/** One request to a service. */
export interface Errand {
  readonly traffic: Traffic
  /** What the service is called in the request: `api.seamark`. Without it, and without a `host` header, each instance's own address. */
  readonly authority: string | undefined
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
/** What no answer at all counts for at least, in ms: one who is dead refuses quickly, and would look cheap. */
const unanswered = 1_000

/**
 * A request, from the name of a service to the last byte of an answer: tried at one instance after the other, while that is
 * safe. Its handler sees one request. What an instance sends reaches it as it came.
 */
export class Exchange implements Due {
  readonly #setting: ExchangeSetting
  readonly #errand: Errand
  readonly #options: Dispatcher.DispatchOptions
  readonly #handler: NativeHandler
  readonly #headers: Dispatcher.DispatchOptions['headers']
  /** Under way: one, or with hedging two. */
  #one: Attempt | undefined = undefined
  #other: Attempt | undefined = undefined
  #winner: Attempt | undefined = undefined
  #tries = 0
  #first: Entry | undefined = undefined
  /** Those that were tried, once somebody wants to know. */
  #tried: Entry[] | undefined = undefined
  #traces: Trace[] | undefined = undefined
  #deadline: Place | undefined = undefined
  #hedge: Place | undefined = undefined
  #over = false

  constructor(
    setting: ExchangeSetting,
    errand: Errand,
    options: Dispatcher.DispatchOptions,
    handler: NativeHandler,
  ) {
    this.#setting = setting
    this.#errand = errand
    this.#options = options
    this.#handler = handler
    const { headers } = options
    this.#headers = errand.authority === undefined ? headers : withHost(headers, errand.authority)
  }

  /** Call it once; with an entry, that one is tried first. */
  begin(first?: Entry): void {
    if (this.#open()) this.#begin(first)
  }

  /** As `begin`, once something is known; what that throws is what the request fails with. */
  beginAfter(known: Promise<unknown>): void {
    if (!this.#open()) return
    known.then(
      () => {
        if (!this.#over) this.#begin(undefined)
      },
      (error: Error) => this.#fail(error),
    )
  }

  /** Gives the whole up. Its handler hears of it with that error, unless it is over. */
  abort(reason: Error = new errors.RequestAbortedError()): void {
    this.#fail(reason)
  }

  /** How often it was tried. */
  get tries(): number {
    return this.#tries
  }

  /** Who answered, once somebody has. */
  get entry(): Entry | undefined {
    return this.#winner?.entry
  }

  get now(): number {
    return this.#setting.clock.now()
  }

  // What its attempts tell.

  /** A body that is a stream may take longer than a try, as long as it flows. */
  proceeded(attempt: Attempt): void {
    if (attempt.place === undefined || this.#isReplayable) return
    this.#clear(attempt)
    attempt.place = this.#setting.tryTimeout?.add(attempt)
  }

  responding(): void {
    this.#handler.onResponseStarted?.()
  }

  upgraded(attempt: Attempt, status: number, headers: Buffer[], socket: Duplex): void {
    this.#observe(attempt, true)
    this.#win(attempt)
    if (this.#handler.onUpgrade === undefined) {
      socket.destroy()
      this.#fail(new errors.InvalidArgumentError('invalid onUpgrade method'))
      return
    }
    this.#finish()
    this.#handler.onUpgrade(status, headers, socket)
  }

  answered(
    attempt: Attempt,
    status: number,
    headers: Buffer[],
    resume: () => void,
    statusText: string,
  ): boolean {
    if (status < 200) return this.#handler.onHeaders(status, headers, resume, statusText)
    this.#observe(attempt, status < 500)
    if (retryable.has(status)) {
      const rest = status === 429 || status === 503 ? retryAfter(headers, this.#setting.clock) : undefined
      if (rest !== undefined) this.#errand.traffic.rest(attempt.condition, rest)
      if (this.#isSafe && this.#winner === undefined) {
        const isAlone = this.#other === undefined
        const other = isAlone ? this.#another() : undefined
        if (!isAlone || other !== undefined) {
          this.#trace(attempt, String(status))
          this.#leave(attempt)
          attempt.discard()
          if (other !== undefined) this.#tryLater(other)
          return true
        }
      }
    }
    this.#win(attempt)
    return this.#handler.onHeaders(status, headers, resume, statusText)
  }

  data(chunk: Buffer): boolean {
    return this.#handler.onData(chunk)
  }

  completed(trailers: Buffer[]): void {
    this.#finish()
    try {
      this.#handler.onComplete(trailers)
    } catch (error) {
      this.#handler.onError(error as Error)
    }
  }

  failed(attempt: Attempt, error: Error): void {
    if (this.#winner === attempt) {
      this.#fail(error)
      return
    }
    this.#leave(attempt)
    if (this.#winner !== undefined || this.#over) return
    if (this.#setting.carrier.failure !== undefined || this.#isMistake(attempt, error)) {
      this.#fail(error)
      return
    }
    this.#observe(attempt, false, unanswered)
    this.#trace(attempt, error.message)
    // Somebody else is asked already.
    if (this.#one !== undefined) return
    const other = this.#successor(attempt, error)
    if (other === undefined) this.#fail(this.#failure(error))
    else this.#tryLater(other)
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

  #open(): boolean {
    const { clock, timeout } = this.#setting
    this.#errand.traffic.budget.deposit()
    this.#deadline = timeout?.add(this, clock.now())
    try {
      this.#handler.onConnect((reason) => this.abort(reason))
    } catch (error) {
      this.#fail(error as Error)
    }
    return !this.#over
  }

  #begin(first: Entry | undefined): void {
    const { clock, hedge } = this.#setting
    const { traffic, wish } = this.#errand
    const now = clock.now()
    const entry = first ?? traffic.choose(wish, now)
    if (entry === undefined) {
      this.#fail(this.#errand.absence())
      return
    }
    if (hedge !== undefined && this.#isSafe) this.#hedge = hedge.add({ expired: () => this.#hedgeNow() })
    this.#try(entry, now)
  }

  /** Whether it may be sent again though it may have arrived. */
  get #isSafe(): boolean {
    return this.#isReplayable && idempotent.has(this.#options.method)
  }

  get #isReplayable(): boolean {
    const { body } = this.#options
    return body === undefined || body === null || typeof body === 'string' || ArrayBuffer.isView(body)
  }

  /** Whether it failed because of what was asked, and would anywhere: no instance is to blame. */
  #isMistake(attempt: Attempt, error: Error): boolean {
    const { body } = this.#options
    if (body instanceof Readable && (body.errored === error || (body.destroyed && !attempt.isStarted)))
      return true
    const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
    if (attempt.isStarted || isSeamarkError(error, 'timeout'))
      return code === 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH'
    return code === '' || (code.startsWith('UND_') && code !== 'UND_ERR_CONNECT_TIMEOUT')
  }

  #try(entry: Entry, now: number): void {
    const { tryTimeout, carrier } = this.#setting
    const condition = this.#errand.traffic.condition(entry)
    const attempt = new Attempt(this, entry, condition, now)
    this.#tries++
    this.#first ??= entry
    this.#tried?.push(entry)
    if (this.#one === undefined) this.#one = attempt
    else this.#other = attempt
    attempt.place = tryTimeout?.add(attempt, now)
    carrier.carry(entry, condition, this.#options, this.#headers, attempt)
    attempt.waits = !attempt.isStarted
  }

  /** Not from within what a connection tells: undici reads one connection at a time, and another one might have something to say. */
  #tryLater(entry: Entry): void {
    queueMicrotask(() => {
      if (!this.#over) this.#try(entry, this.#setting.clock.now())
    })
  }

  /** Who gets the request after it failed, if it may be sent again at all. */
  #successor(attempt: Attempt, error: Error): Entry | undefined {
    if (attempt.isStarted) return this.#isSafe ? (this.#another() ?? this.#again()) : undefined
    // What waits for a connection in vain takes its body with it, unless that can be had again.
    const hasWaited = isSeamarkError(error, 'timeout')
    if (hasWaited && !this.#isReplayable) return undefined
    // The budget keeps retries from drowning a service. What reached nobody drowns nobody.
    return this.#another(!hasWaited)
  }

  /** One that was not tried yet, if another try may be made; a free one costs no budget. */
  #another(isFree = false): Entry | undefined {
    if (this.#tries >= this.#setting.tries) return undefined
    const { traffic, wish } = this.#errand
    this.#tried ??= [this.#first!]
    const other = traffic.choose({ ...wish, tried: this.#tried })
    return other !== undefined && (isFree || traffic.budget.withdraw()) ? other : undefined
  }

  /** The only one there is, once more: its connection may have been closed while it idled. */
  #again(): Entry | undefined {
    if (this.#tries > 1) return undefined
    const { traffic, wish } = this.#errand
    const same = traffic.choose(wish)
    return same !== undefined && traffic.budget.withdraw() ? same : undefined
  }

  #hedgeNow(): void {
    this.#hedge = undefined
    if (this.#over || this.#winner !== undefined || this.#one === undefined) return
    const other = this.#another()
    if (other !== undefined) this.#try(other, this.#setting.clock.now())
  }

  #win(attempt: Attempt): void {
    if (this.#winner === attempt) return
    this.#winner = attempt
    this.#clear(attempt)
    this.#clearAll()
    const loser = this.#one === attempt ? this.#other : this.#one
    loser?.abort(new Error('Another instance answered first.'))
  }

  #observe(attempt: Attempt, success: boolean, least = 0): void {
    const now = this.#setting.clock.now()
    // Whoever is new, and has to be connected to first, is not the slower for it.
    const latency = Math.max(now - attempt.sentAt, least)
    this.#errand.traffic.observe(attempt.condition, success, latency, now)
  }

  #leave(attempt: Attempt): void {
    if (this.#one === attempt) {
      this.#one = this.#other
      this.#other = undefined
    } else if (this.#other === attempt) this.#other = undefined
    this.#clear(attempt)
  }

  #clear(attempt: Attempt): void {
    if (attempt.place !== undefined) this.#setting.tryTimeout?.remove(attempt.place)
    attempt.place = undefined
  }

  #clearAll(): void {
    if (this.#deadline !== undefined) this.#setting.timeout?.remove(this.#deadline)
    if (this.#hedge !== undefined) this.#setting.hedge?.remove(this.#hedge)
    this.#deadline = undefined
    this.#hedge = undefined
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

  #finish(): void {
    this.#over = true
    this.#setting.ended?.()
  }

  #fail(error: Error): void {
    if (this.#over) return
    this.#clearAll()
    this.#finish()
    const other = this.#other
    this.#one?.abort(error)
    other?.abort(error)
    this.#handler.onError(error)
  }
}
