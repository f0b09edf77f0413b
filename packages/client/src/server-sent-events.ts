import { SeamarkError } from '@seamark/core'

export interface ServerSentEvent {
  readonly event: string
  readonly data: string
  /** The id this very event carries, if any. */
  readonly id: string | undefined
}

/** Bytes, roughly, of one event: an instance at all its limits stays well below. */
const most = 16 * 1024 * 1024

/**
 * Reads an event stream (WHATWG HTML, 9.2) from the chunks it arrives in. A line ends with LF or CRLF, which is what
 * servers send. Holds no more than one unfinished event, and throws `engine_unavailable` when that has no end.
 */
export class ServerSentEvents {
  readonly #decoder = new TextDecoder()
  #rest = ''
  #event = ''
  #data: string[] = []
  #id: string | undefined
  #size = 0

  /** The events that this chunk completes. */
  push(chunk: Uint8Array): ServerSentEvent[] {
    const events: ServerSentEvent[] = []
    const text = this.#decoder.decode(chunk, { stream: true })
    let end = text.indexOf('\n')
    if (end === -1) {
      this.#grow(text.length)
      this.#rest += text
      return events
    }
    let line = this.#rest + text.slice(0, end)
    for (;;) {
      const event = this.#line(line.endsWith('\r') ? line.slice(0, -1) : line)
      if (event !== undefined) events.push(event)
      const start = end + 1
      end = text.indexOf('\n', start)
      if (end === -1) {
        this.#rest = text.slice(start)
        this.#grow(this.#rest.length)
        return events
      }
      line = text.slice(start, end)
    }
  }

  #line(line: string): ServerSentEvent | undefined {
    if (line === '') return this.#complete()
    this.#grow(line.length)
    const colon = line.indexOf(':')
    if (colon === 0) return undefined
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'event') this.#event = value
    else if (field === 'data') this.#data.push(value)
    else if (field === 'id') this.#id = value
    return undefined
  }

  #complete(): ServerSentEvent | undefined {
    const event = { event: this.#event || 'message', data: this.#data.join('\n'), id: this.#id }
    const empty = this.#data.length === 0
    this.#event = ''
    this.#data = []
    this.#id = undefined
    this.#size = 0
    return empty ? undefined : event
  }

  #grow(by: number): void {
    this.#size += by
    if (this.#size > most)
      throw new SeamarkError('engine_unavailable', `An event of the watch has more than ${most} bytes.`)
  }
}
