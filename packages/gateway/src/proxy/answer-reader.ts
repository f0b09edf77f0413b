import { type Fields, items, readFields } from './fields.ts'

/** Who wants to know what a server answers. */
export interface AnswerSink {
  /** Before the answer there may be some below 200. */
  head(status: number, statusText: string, fields: Fields): void
  /** The bytes are only there during the call. */
  data(chunk: Buffer): void
  end(trailers: Fields): void
  /** What follows on status 101 is no HTTP any more. */
  upgraded(fields: Fields, rest: Buffer): void
}

export interface AnswerBounds {
  readonly headerBytes: number
  readonly headerFields: number
}

/** What it reads next. */
type State = 'head' | 'sized' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailers' | 'until-close' | 'over'

const statusLine = /HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t -~\x80-\xff]*))?\r\n/y
const decimal = /^\d{1,15}$/
const framing = /^(?:content-length|transfer-encoding)$/i
/** With an extension, which means nothing to anybody. */
const chunkSize = /^([0-9A-Fa-f]{1,12})[\t ]*(?:;[\t -~\x80-\xff]*)?\r\n$/
/** Bytes of the line before a chunk. */
const longestSizeLine = 1_024
/** Answers below 200 before one above: nobody has more than a few of them to say. */
const mostInterim = 64
const lineEnd = Buffer.from('\r\n')
const headEnd = Buffer.from('\r\n\r\n')
const nothing = Buffer.alloc(0)
const noFields: Fields = []

/**
 * Reads the answers that one connection brings, one after the other (RFC 9112). Whatever could be read in two ways is an error: two
 * lengths, a length and chunks, another coding than chunked, a line feed alone, a folded line.
 */
export class AnswerReader {
  readonly #bounds: AnswerBounds
  readonly #sink: AnswerSink
  #state: State = 'over'
  #method = ''
  #isUpgrade = false
  /** What came of a line, or of a head, that is not complete. */
  #early = nothing
  /** Bytes of the body, or of a chunk, that are still to come. */
  #left = 0
  #persistent = true
  /** Answers below 200 before this one. */
  #interim = 0
  /** For how long (s) the server keeps the connection, if it says so. */
  keptFor: number | undefined

  constructor(bounds: AnswerBounds, sink: AnswerSink) {
    this.#bounds = bounds
    this.#sink = sink
  }

  /** Whether the whole answer was read, and the connection can take another request. */
  get isReusable(): boolean {
    return this.#state === 'over' && this.#persistent
  }

  /** A request was sent. */
  expect(method: string, isUpgrade: boolean): void {
    this.#state = 'head'
    this.#method = method
    this.#isUpgrade = isUpgrade
    this.#persistent = true
    this.#interim = 0
  }

  /** Throws an `Error` that says what was wrong. */
  read(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      switch (this.#state) {
        case 'head':
          at = this.#head(chunk, at)
          break
        case 'sized':
          at = this.#body(chunk, at)
          if (this.#left === 0) this.#end(noFields)
          break
        case 'chunk':
          at = this.#body(chunk, at)
          if (this.#left === 0) this.#state = 'chunk-end'
          break
        case 'chunk-size':
          at = this.#chunkSize(chunk, at)
          break
        case 'chunk-end':
          at = this.#chunkEnd(chunk, at)
          break
        case 'trailers':
          at = this.#trailers(chunk, at)
          break
        case 'until-close':
          this.#sink.data(at === 0 ? chunk : chunk.subarray(at))
          return
        case 'over':
          // It would be taken for the beginning of the next answer.
          this.#persistent = false
          throw new Error('It sent more than its answer.')
      }
    }
  }

  /** The server sends no more. Throws if the answer was not whole. */
  close(): void {
    this.#persistent = false
    if (this.#state === 'until-close') this.#end(noFields)
    else if (this.#state !== 'over') throw new Error('It closed the connection before its answer was whole.')
  }

  #head(chunk: Buffer, at: number): number {
    const [head, next] = this.#until(headEnd, chunk, at, this.#bounds.headerBytes)
    if (head === undefined) return next
    statusLine.lastIndex = 0
    const line = statusLine.exec(head)
    if (line === null) throw new Error('Its answer does not begin as HTTP/1.1 does.')
    const fields = readFields(head, statusLine.lastIndex, this.#bounds.headerFields)
    if (fields === undefined) throw new Error('The headers of its answer are malformed, or too many.')
    const status = Number(line[2])
    const statusText = line[3] ?? ''
    if (status === 101) {
      if (!this.#isUpgrade) throw new Error('It switched protocols, though nobody asked it to.')
      this.#state = 'over'
      this.#persistent = false
      this.#sink.upgraded(fields, chunk.subarray(next))
      return chunk.length
    }
    if (status < 200) {
      if (++this.#interim > mostInterim) throw new Error('It says too often that its answer is to come.')
      this.#sink.head(status, statusText, fields)
      return next
    }
    this.#frame(status, fields, line[1] === '1')
    this.#sink.head(status, statusText, fields)
    if (this.#state === 'sized' && this.#left === 0) this.#end(noFields)
    return next
  }

  /** How long the body is: RFC 9112, 6.3. */
  #frame(status: number, fields: Fields, isCurrent: boolean): void {
    let length: string | undefined
    let coding: string | undefined
    this.#persistent = isCurrent
    this.keptFor = undefined
    for (let at = 0; at < fields.length; at += 2) {
      const name = fields[at]!
      // Nearly all names have other lengths than these.
      switch (name.length) {
        case 14:
          if (name.toLowerCase() !== 'content-length') break
          // Equal ones, too: clients refuse them.
          if (length !== undefined) throw new Error('Its answer has two lengths.')
          length = fields[at + 1]
          break
        case 17:
          if (name.toLowerCase() !== 'transfer-encoding') break
          coding = coding === undefined ? fields[at + 1]! : `${coding},${fields[at + 1]}`
          break
        case 10:
          if (name.toLowerCase() === 'connection') this.#connection(fields[at + 1]!)
          else if (name.toLowerCase() === 'keep-alive')
            this.keptFor = Number(/(?:^|[,\s])timeout=(\d{1,9})/i.exec(fields[at + 1]!)?.[1] ?? Number.NaN)
          break
      }
    }
    if (coding !== undefined && (length !== undefined || coding.toLowerCase() !== 'chunked' || !isCurrent))
      throw new Error(`Its answer is framed in a way that is not understood: ${coding}.`)
    if (length !== undefined && !decimal.test(length))
      throw new Error('The length of its answer is no number.')
    this.#left = 0
    if (this.#method === 'HEAD' || status === 204 || status === 304) this.#state = 'sized'
    else if (coding !== undefined) this.#state = 'chunk-size'
    else if (length !== undefined) {
      this.#state = 'sized'
      this.#left = Number(length)
    } else {
      this.#state = 'until-close'
      this.#persistent = false
    }
  }

  #connection(value: string): void {
    const options = value === 'keep-alive' ? [value] : items(value)
    if (options.includes('close')) this.#persistent = false
    else if (options.includes('keep-alive')) this.#persistent = true
  }

  #body(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#left)
    this.#left -= end - at
    this.#sink.data(at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end))
    return end
  }

  #chunkSize(chunk: Buffer, at: number): number {
    const [line, next] = this.#until(lineEnd, chunk, at, longestSizeLine)
    if (line === undefined) return next
    const size = chunkSize.exec(line)?.[1]
    if (size === undefined) throw new Error('A chunk of its answer has no size.')
    this.#left = Number.parseInt(size, 16)
    this.#state = this.#left === 0 ? 'trailers' : 'chunk'
    return next
  }

  #chunkEnd(chunk: Buffer, at: number): number {
    const [line, next] = this.#until(lineEnd, chunk, at, 2)
    if (line === undefined) return next
    if (line !== '\r\n') throw new Error('A chunk of its answer is longer than it says.')
    this.#state = 'chunk-size'
    return next
  }

  #trailers(chunk: Buffer, at: number): number {
    // Mostly there are none, and the line that ends them is all there is.
    const isEmpty = this.#early.length === 0 ? chunk[at] === 13 : this.#early[0] === 13
    const [text, next] = this.#until(isEmpty ? lineEnd : headEnd, chunk, at, this.#bounds.headerBytes)
    if (text === undefined) return next
    const trailers = readFields(text, 0, this.#bounds.headerFields)
    if (trailers === undefined) throw new Error('The trailers of its answer are malformed, or too many.')
    if (trailers.some((name, index) => index % 2 === 0 && framing.test(name)))
      throw new Error('The trailers of its answer say where it ends.')
    this.#end(trailers)
    return next
  }

  #end(trailers: Fields): void {
    this.#state = 'over'
    this.#sink.end(trailers)
  }

  /** What comes up to a mark, with it, and where the rest begins; nothing as long as the mark has not come. */
  #until(mark: Buffer, chunk: Buffer, at: number, most: number): readonly [string | undefined, number] {
    const early = this.#early.length
    const data = early === 0 ? chunk : Buffer.concat([this.#early, chunk.subarray(at)])
    const start = early === 0 ? at : 0
    const found = data.indexOf(mark, start)
    if ((found < 0 ? data.length : found) - start > most) throw new Error('Its answer has too long a head.')
    if (found < 0) {
      this.#early = Buffer.from(data.subarray(start))
      return [undefined, chunk.length]
    }
    this.#early = nothing
    const end = found + mark.length
    return [data.toString('latin1', start, end), early === 0 ? end : at + end - early]
  }
}
