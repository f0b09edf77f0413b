import { randomBytes } from 'node:crypto'
import { Backoff, type Clock, isSeamarkError, type Lease, type Timer } from '@seamark/core'
import { alive } from './alive.ts'
import type { Stream, Transport } from './transport.ts'

/** Milliseconds for which changes are gathered before they are told. */
const gathering = 50
/** Leases that a server takes from one client. */
const mostLeases = 10_000
/** Milliseconds until a server that refuses is asked again: it may be older, and be replaced. */
const refusal = 60_000
/** Milliseconds in which a server has surely ended the leases of a client that did not come back; it begins after 1,000. */
const patience = 2_000
/** Milliseconds a stream must have lived for its end to be answered with another one at once. */
const shortLived = 1_000

/**
 * Shows a server that this process lives, by a stream that is kept open while there are leases to be ended with it. One
 * stream for all of them; when they change, the next is opened before this one is closed. Where no server takes it (older
 * ones do not), nothing is lost: the leases end with their TTL then. It keeps no process alive.
 */
export class Presence {
  readonly #transport: Transport
  readonly #clock: Clock
  readonly #client = randomBytes(16).toString('hex')
  /** What to call when a lease may have been ended, by its token. */
  readonly #leases = new Map<string, () => void>()
  readonly #closing = new AbortController()
  readonly #backoff = new Backoff({ first: gathering, most: 5_000 })
  #stream: Stream | undefined
  #timer: Timer | undefined
  #opening = false
  /** There is something to be told. */
  #changed = false
  /** A stream broke, and none was opened since. */
  #broken = false

  constructor(transport: Transport, clock: Clock) {
    this.#transport = transport
    this.#clock = clock
  }

  /** The lease ends with this process, until disposed of. `doubt` is called when it may have been ended by mistake. */
  add({ token }: Lease, doubt: () => void): Disposable {
    this.#leases.set(token, doubt)
    this.#change()
    return {
      [Symbol.dispose]: () => {
        if (this.#leases.delete(token)) this.#change()
      },
    }
  }

  close(): void {
    this.#closing.abort()
    this.#timer?.cancel()
    this.#stream?.close()
  }

  #change(): void {
    this.#changed = true
    if (this.#timer === undefined) this.#tellAfter(gathering)
  }

  #tellAfter(delay: number): void {
    if (this.#opening || this.#closing.signal.aborted) return
    this.#timer?.cancel()
    this.#timer = this.#clock.after(delay, () => {
      this.#timer = undefined
      void this.#tell()
    })
  }

  async #tell(): Promise<void> {
    this.#changed = false
    if (this.#leases.size === 0) {
      this.#broken = false
      return this.#replace(undefined)
    }
    this.#opening = true
    let delay: number | undefined
    try {
      this.#replace(await this.#open())
    } catch (error) {
      const isRefused = !isSeamarkError(error, 'engine_unavailable')
      delay = isRefused ? refusal : this.#backoff.next()
      if (isRefused && this.#broken) this.#doubtLater()
    }
    this.#opening = false
    if (delay !== undefined) this.#tellAfter(delay)
    else if (this.#changed) this.#tellAfter(gathering)
  }

  #open(): Promise<Stream> {
    return this.#transport.stream({
      path: '/api/v1/presence',
      body: { client: this.#client, tokens: [...this.#leases.keys()].slice(0, mostLeases) },
      signal: this.#closing.signal,
      background: true,
      left: () => this.#change(),
    })
  }

  #replace(stream: Stream | undefined): void {
    const former = this.#stream
    this.#stream = stream
    former?.close()
    if (stream === undefined) return
    void this.#attend(stream)
    if (this.#broken) this.#doubt()
  }

  #doubt(): void {
    this.#broken = false
    for (const doubt of this.#leases.values()) doubt()
  }

  /** No stream is to be had any more: the server of the last one may end the leases, once its patience is over. */
  #doubtLater(): void {
    this.#broken = false
    this.#clock.after(patience, () => this.#doubt())
  }

  /** Until the stream breaks, or is replaced. */
  async #attend(stream: Stream): Promise<void> {
    const since = this.#clock.now()
    try {
      for await (const _ of alive(stream, this.#clock)); // Comments only.
    } catch {
      // However it ended, the next one is opened.
    }
    stream.close()
    if (this.#stream !== stream) return
    this.#stream = undefined
    this.#broken = true
    const lived = this.#clock.now() - since >= shortLived
    if (lived) this.#backoff.reset()
    this.#tellAfter(lived ? 0 : this.#backoff.next())
  }
}
