import type { Duplex, Readable } from 'node:stream'
import { Exchange, type NativeHandler } from '@seamark/client/traffic'
import { isSeamarkError, SeamarkError } from '@seamark/core'
import type { Dispatcher } from 'undici'
import { challenge } from '../access/challenge.ts'
import { type Call, headersOf } from '../front/call.ts'
import type { Replier, Reply } from '../front/reply.ts'
import type { Identity, Mismatch, Pass, Passage, Recorder, Rule, Substitute } from '../ports.ts'
import { forwardPath } from '../routes/forward-path.ts'
import { answerFields } from './answer-fields.ts'
import type { Consignment } from './consignment.ts'
import type { Destination } from './destinations.ts'
import type { Fields } from './fields.ts'
import { type Refusal, refusal, refuse } from './refusal.ts'
import type { RelayHost } from './relay.ts'
import { isChunked, requestHead } from './request-head.ts'
import { trailerFields } from './trailer-fields.ts'

/** Why nobody gives an answer, so that a fallback may. */
const nobody = new Set(['unavailable', 'attempts_failed', 'timeout'])

/** A request on its way through the gateway, and its answer on the way back. */
export class Journey implements NativeHandler, Replier, Consignment {
  readonly #host: RelayHost
  readonly #call: Call
  readonly #reply: Reply
  readonly #passage: Passage
  #rule: Rule | undefined = undefined
  #destination: Destination | undefined = undefined
  #identity: Identity | undefined = undefined
  #pass: Pass | undefined = undefined
  #exchange: Exchange | undefined = undefined
  #recorder: Recorder | undefined = undefined
  #resume: (() => void) | undefined = undefined
  #isSubstituted = false
  #isOver = false
  #bytesIn = 0
  #bytesOut = 0

  // The request, as it goes to an instance.
  readonly method: Dispatcher.HttpMethod
  readonly body: Buffer | Readable | null
  readonly isChunked: boolean
  readonly isUpgrade: boolean
  path = ''
  head = ''

  constructor(host: RelayHost, call: Call, reply: Reply) {
    this.#host = host
    this.#call = call
    this.#reply = reply
    this.method = call.method as Dispatcher.HttpMethod
    this.body = call.body
    this.isChunked = isChunked(call)
    this.isUpgrade = call.upgrade !== undefined
    this.#passage = host.telemetry.begin(call)
    reply.replier = this
  }

  /** Goes through all rooms. */
  begin(): void {
    const { routes, access, bounds } = this.#host
    const { method, host, path, length } = this.#call
    try {
      const found = routes.table.match(method, host, path)
      if (isMismatch(found)) {
        const { error, fields } = this.#host.isWarm() ? mismatch(found) : unknownYet()
        this.#refuse(refusal(error, fields), error)
        return
      }
      this.#rule = found
      this.#passage.routed(found)
      if (length !== undefined && length > bounds.bodyBytes) {
        this.#fail(tooLarge(bounds.bodyBytes))
        return
      }
      const admitted = access.admit(found, this.#call)
      if (admitted instanceof Promise)
        admitted.then(
          (identity) => this.#enter(found, identity),
          (error) => this.#fail(error),
        )
      else this.#enter(found, admitted)
    } catch (error) {
      this.#fail(error)
    }
  }

  #enter(rule: Rule, identity: Identity | undefined): void {
    // The client may have gone while its token was looked at.
    if (this.#isOver) return
    try {
      this.#identity = identity
      const destination = this.#host.destinations.of(rule)
      this.#destination = destination
      this.#pass = destination.guard.enter(this.#call)
      this.#send(destination, rule)
    } catch (error) {
      this.#fail(error)
    }
  }

  #send(destination: Destination, rule: Rule): void {
    const { traceparent, tracestate } = this.#passage
    this.path = `${forwardPath(rule.route, this.#call.path)}${this.#call.query}`
    this.head = requestHead(this.#call, this.path, {
      identity: this.#identity?.header,
      traceparent,
      tracestate,
    })
    const errand = destination.errand(destination.guard.part(this.#call))
    const isStreaming = this.body !== null && !Buffer.isBuffer(this.body)
    const setting = isStreaming ? destination.streaming : destination.setting
    this.#exchange = new Exchange(setting, errand, this, this)
    this.#exchange.begin()
  }

  // What becomes of it at the instances.

  onConnect(): void {}

  onHeaders(status: number, headers: Buffer[], resume: () => void, statusText: string): boolean {
    const fields = answerFields(headers as unknown as Fields)
    if (status < 200) {
      this.#reply.inform(status, fields)
      return true
    }
    this.#resume = resume
    this.#pass?.settle(status < 500 ? 'success' : 'failure')
    const fallback = this.#destination?.guard.fallback
    if (fallback !== undefined && !this.#isSubstituted)
      this.#recorder = fallback.record(this.#call, status, headersOf(fields))
    this.#reply.start(status, statusText, fields)
    return true
  }

  onData(chunk: Buffer): boolean {
    this.#bytesOut += chunk.length
    // Where they are, the next ones will be.
    this.#recorder?.data(Buffer.from(chunk))
    return this.#reply.write(chunk)
  }

  onComplete(trailers: Buffer[]): void {
    this.#recorder?.end()
    this.#end(undefined, () => this.#reply.end(trailerFields(trailers as unknown as Fields)))
  }

  onUpgrade(_status: number, headers: Buffer[], socket: Duplex): void {
    this.#pass?.settle('success')
    const upgrade = headersOf(headers as unknown as Fields).upgrade ?? this.#call.upgrade ?? ''
    const fields = [
      ...answerFields(headers as unknown as Fields),
      ...['connection', 'upgrade', 'upgrade', upgrade],
    ]
    this.#reply.switch(fields, socket)
    // It is told of once it is over, and counts for as long as it goes on.
    socket.once('close', () => this.#end(undefined, () => {}))
  }

  onError(error: Error): void {
    if (this.#isOver) return
    if (this.#reply.status !== 0) {
      this.#pass?.settle('failure')
      this.#end(error, () => this.#reply.abort())
      return
    }
    const isTheirs = isSeamarkError(error, 'too_large') || isSeamarkError(error, 'request_timeout')
    this.#pass?.settle(isTheirs ? 'cancelled' : 'failure')
    this.#fail(error)
  }

  caughtUp(): void {
    if (!this.#isOver && this.#reply.status !== 0) this.#reply.flush()
  }

  // How the request's body goes.

  opened(): void {
    this.#reply.opened()
  }

  carried(bytes: number): void {
    this.#bytesIn += bytes
    const { bodyBytes } = this.#host.bounds
    if (this.#bytesIn > bodyBytes) this.#exchange?.abort(tooLarge(bodyBytes))
  }

  stalled(): void {
    const error = new SeamarkError('request_timeout', 'The body took too long to arrive.', { field: 'body' })
    this.#exchange?.abort(error)
  }

  // How its client takes the answer.

  drained(): void {
    this.#resume?.()
  }

  gone(): void {
    if (this.#isOver) return
    this.#pass?.settle('cancelled')
    const error = new DOMException('The client went away.', 'AbortError')
    this.#end(error, () => this.#exchange?.abort(error))
  }

  // How it ends without an instance's answer.

  #fail(error: unknown): void {
    if (this.#isOver) return
    try {
      if (this.#substitute(error)) return
    } catch (failure) {
      this.#refuse(refusal(failure), failure)
      return
    }
    const authenticate = isSeamarkError(error) ? challenge(error) : undefined
    this.#refuse(refusal(error, authenticate === undefined ? [] : ['www-authenticate', authenticate]), error)
  }

  /** Lets a fallback answer, if there is one for this. */
  #substitute(error: unknown): boolean {
    const fallback = this.#destination?.guard.fallback
    if (fallback === undefined || this.#isSubstituted || !isNobody(error)) return false
    // Its body may be gone.
    const substitute = fallback.substitute(this.#call)
    if (substitute === undefined) return false
    this.#isSubstituted = true
    if ('status' in substitute) this.#refuse(answer(substitute), error)
    else if (this.body !== null && !Buffer.isBuffer(this.body)) return false
    else this.#send(this.#host.destinations.service(substitute, this.#rule!), this.#rule!)
    return true
  }

  #refuse(refusal: Refusal, error?: unknown): void {
    this.#bytesOut += refusal.body.length
    this.#end(error instanceof Error ? error : undefined, () => refuse(this.#reply, refusal))
  }

  /** Ends it, once. */
  #end(error: Error | undefined, last: () => void): void {
    if (this.#isOver) return
    this.#isOver = true
    last()
    this.#pass?.leave()
    this.#passage.ended({
      status: this.#reply.status,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      entry: this.#exchange?.entry,
      tries: this.#exchange?.tries ?? 0,
      error,
      identity: this.#identity,
    })
  }
}

function isMismatch(found: Rule | Mismatch): found is Mismatch {
  return 'allow' in found
}

function mismatch({ allow }: Mismatch): { readonly error: SeamarkError; readonly fields: Fields } {
  if (allow === undefined)
    return {
      error: new SeamarkError('route_not_found', 'There is no route for this host and path.'),
      fields: [],
    }
  const methods = allow.join(', ')
  return {
    error: new SeamarkError('method_not_allowed', `Here are only: ${methods}.`),
    fields: ['allow', methods],
  }
}

/** As long as not all routes are known, no request is known to have none. */
function unknownYet(): { readonly error: SeamarkError; readonly fields: Fields } {
  return {
    error: new SeamarkError('unavailable', 'The gateway does not know yet what is registered.'),
    fields: [],
  }
}

function tooLarge(most: number): SeamarkError {
  return new SeamarkError('too_large', `The body has more than ${most} bytes.`, { field: 'body' })
}

/** Nobody is there, nobody answered, or nobody is asked for a while. */
function isNobody(error: unknown): boolean {
  if (!isSeamarkError(error)) return false
  return nobody.has(error.code) || (error.code === 'overloaded' && error.details?.reason === 'circuit')
}

function answer({ status, headers, body }: Substitute): Refusal {
  const fields: Fields = []
  for (const [name, value] of Object.entries(headers)) {
    if (name === 'content-length') continue
    for (const each of typeof value === 'string' ? [value] : value) fields.push(name, each)
  }
  return { status, fields: [...answerFields(fields), 'content-length', String(body.length)], body }
}
