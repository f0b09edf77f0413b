import type { Answer, Validator } from './answer.ts'
import { Memo } from './memo.ts'

/** Responses as node:http writes them, byte by byte, on a connection that is kept alive. */
export class AnswerBytes {
  readonly #ending: string
  readonly #bound: number
  #second = 0
  #date = ''
  /** Those asked for in this second. */
  #whole: Memo<Answer, Buffer>

  /** `keepAliveTimeout` is the server's, in ms; `bound` is how many bytes are kept. */
  constructor(keepAliveTimeout: number, bound: number) {
    this.#ending = `\r\nConnection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveTimeout / 1_000)}\r\n\r\n`
    this.#bound = bound
    this.#whole = this.#memo()
  }

  /** The answer as 200. These bytes never change, as they may wait to be written. */
  whole(answer: Answer): Buffer {
    this.#tick()
    return this.#whole.get(answer)
  }

  /** The 304 to one who has the answer, in latin1. */
  notModified({ head }: Validator): string {
    this.#tick()
    return this.#head('304 Not Modified', head)
  }

  /** The Date header tells the system's time in seconds, as node:http's. */
  #tick(): void {
    const second = Math.floor(Date.now() / 1_000)
    if (second === this.#second) return
    this.#second = second
    this.#date = new Date(second * 1_000).toUTCString()
    this.#whole = this.#memo()
  }

  #memo(): Memo<Answer, Buffer> {
    return new Memo(
      ({ head, body }) => Buffer.concat([Buffer.from(this.#head('200 OK', head), 'latin1'), body]),
      this.#bound,
    )
  }

  #head(status: string, head: readonly string[]): string {
    let text = `HTTP/1.1 ${status}\r\n`
    for (let index = 0; index < head.length; index += 2) text += `${head[index]}: ${head[index + 1]}\r\n`
    return `${text}Date: ${this.#date}${this.#ending}`
  }
}
