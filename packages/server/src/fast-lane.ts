import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { HostGuard } from '@seamark/core'
import { isKnown } from './answer.ts'
import { AnswerBytes } from './answer-bytes.ts'
import type { Context } from './context.ts'
import { mostFields, type PlainRequest, readRequest } from './request-reader.ts'

export interface FastLaneOptions {
  readonly context: Pick<Context, 'answers' | 'bounds' | 'log' | 'metrics' | 'stage'>
  readonly guard: HostGuard
}

/** What node:http does with the bytes that arrive. */
type Parse = (chunk: Buffer) => void

/**
 * Longer answers are for node:http. These fit into what a system buffers for a connection: they are written at once,
 * unless the client does not read.
 */
const longestAnswer = 16_384
/** Bytes of what may arrive at once; more is nothing that many ask. */
const longestArrival = 8_192
/** Bytes that a parser may count for a field beyond those that it has. */
const fieldOverhead = 64
/** Bytes of responses kept as they are written. */
const wholeBytes = 16_777_216
/** How many texts are remembered, so that the same bytes are read once; and characters of each at most. */
const remembered = 1_024
const longestRemembered = 2_048

/**
 * Answers requests for what is kept ready before node:http parses them. It sees what arrives first: while node:http
 * waits for a request to begin, and what arrived are plain requests, it writes the very bytes that node:http would.
 * Everything else it passes on. So the connections stay node:http's: their timeouts, their errors and their end.
 */
export class FastLane {
  readonly #context: FastLaneOptions['context']
  readonly #guard: HostGuard
  readonly #bytes: AnswerBytes
  /** So that node:http could never find that the headers are too long. */
  readonly #longest: number
  readonly #visits = new WeakMap<Socket, Visit>()
  readonly #requests = new Map<string, readonly PlainRequest[]>()

  constructor({ context, guard }: FastLaneOptions) {
    this.#context = context
    this.#guard = guard
    const { keepAliveTimeout, headerBytes } = context.bounds
    this.#bytes = new AnswerBytes(keepAliveTimeout, wholeBytes)
    this.#longest = Math.min(longestArrival, headerBytes - mostFields * fieldOverhead)
  }

  /** To be called with each connection once node:http has it. */
  enter(socket: Socket): void {
    const [parse, ...others] = socket.listeners('data')
    // Should some node:http read in another way, it goes on alone.
    if (parse === undefined || others.length > 0) return
    this.#visits.set(socket, new Visit(this, socket, parse as Parse))
  }

  /** To be called with each request that node:http parsed. */
  parsed(request: IncomingMessage, response: ServerResponse): void {
    this.#visits.get(request.socket)?.parsed(request, response)
  }

  /** The connection is node:http's alone. */
  leave(socket: Socket): void {
    this.#visits.delete(socket)
  }

  /** The requests that arrived; `undefined` if it is anything but plain requests. */
  read(chunk: Buffer): readonly PlainRequest[] | undefined {
    if (chunk.length > this.#longest) return undefined
    const text = chunk.toString('latin1')
    const known = this.#requests.get(text)
    if (known !== undefined) return known
    const requests: PlainRequest[] = []
    for (let start = 0; start < text.length; ) {
      const request = readRequest(text, start)
      if (request === undefined) return undefined
      requests.push(request)
      start = request.end
    }
    if (text.length <= longestRemembered && requests.every(({ method }) => method === 'GET')) {
      if (this.#requests.size >= remembered) this.#requests.clear()
      this.#requests.set(text, requests)
    }
    return requests
  }

  /** Writes the answer; `false` if it is not ready, or not for this client. */
  answer(socket: Socket, { method, url, host, ifNoneMatch }: PlainRequest): boolean {
    const { answers, stage, metrics, log } = this.#context
    if (method !== 'GET' || stage.draining || !this.#guard(host)) return false
    const answer = answers.get(url)
    if (answer === undefined || answer.body.length > longestAnswer) return false
    const { route, validator } = answer
    const known = validator !== undefined && isKnown(validator, ifNoneMatch)
    if (known) socket.write(this.#bytes.notModified(validator), 'latin1')
    else socket.write(this.#bytes.whole(answer))
    const status = known ? 304 : 200
    metrics.answered(method, route, status).count++
    log.debug({ method, url, status }, 'answered')
    return true
  }
}

/** One connection, for as long as it is certain where node:http stands. */
class Visit {
  readonly #lane: FastLane
  readonly #socket: Socket
  readonly #parse: Parse
  /** Whether node:http has answered once: until then, it counts how long it waits for a request. */
  #answered = false
  /** Whether node:http has a request under way. */
  #busy = false
  /** How many requests node:http found in what it was given last. */
  #found = 0
  #left = false

  constructor(lane: FastLane, socket: Socket, parse: Parse) {
    this.#lane = lane
    this.#socket = socket
    this.#parse = parse
    socket.removeListener('data', parse)
    socket.on('data', this.#arrived)
  }

  parsed(request: IncomingMessage, response: ServerResponse): void {
    this.#found++
    response.once('close', () => {
      this.#busy = false
      this.#answered = true
      if (!request.complete || !this.#socket.writable) this.#leave()
    })
  }

  readonly #arrived = (chunk: Buffer): void => {
    // Answers have an order: node:http keeps it for one who does not wait for them.
    const requests = this.#busy ? undefined : this.#lane.read(chunk)
    if (requests === undefined) {
      this.#leave(chunk)
      return
    }
    let start = 0
    for (const request of requests) {
      if (this.#answered && this.#lane.answer(this.#socket, request)) start = request.end
      else {
        const rest = chunk.subarray(start)
        if (request.end === chunk.length) this.#pass(rest)
        else this.#leave(rest)
        return
      }
    }
    this.#pace()
  }

  /** One who does not read may ask again once it has. */
  #pace(): void {
    const socket = this.#socket
    if (socket.writableLength === 0 || !socket.writableNeedDrain) return
    socket.pause()
    socket.once('drain', () => socket.resume())
  }

  /** Lets node:http answer one request. */
  #pass(chunk: Buffer): void {
    this.#busy = true
    this.#found = 0
    this.#parse(chunk)
    if (this.#found !== 1) this.#leave()
  }

  /** For good: whether node:http waits for the beginning of a request is not known any more. */
  #leave(chunk?: Buffer): void {
    if (!this.#left) {
      this.#left = true
      this.#lane.leave(this.#socket)
      this.#socket.removeListener('data', this.#arrived)
      this.#socket.on('data', this.#parse)
    }
    if (chunk !== undefined) this.#parse(chunk)
  }
}
