import { isIPv6 } from 'node:net'
import type { Carrier, Condition, Connections, NativeHandler } from '@seamark/client/traffic'
import type { Clock, Entry, Timer } from '@seamark/core'
import type { Dispatcher } from 'undici'
import type { GatewayBounds } from '../front/bounds.ts'
import type { AnswerBounds } from './answer-reader.ts'
import type { Consignment } from './consignment.ts'
import { Line, type LineHost, type Place } from './line.ts'

export interface LinesOptions {
  readonly clock: Clock
  readonly bounds: Pick<GatewayBounds, 'headerBytes' | 'headerFields' | 'stillTimeout'>
  /** Certificates that instances with TLS are verified with. Default those of Node.js. */
  readonly ca?: string | Buffer | undefined
}

/** Milliseconds that connecting to an instance may take before another one is tried: as the client's. */
const connectTimeout = 2_000
/** Milliseconds between two looks for connections that are not to be kept. */
const rounds = 1_000

/** What all connections share. */
interface Harbour {
  readonly clock: Clock
  readonly bounds: AnswerBounds
  readonly ca: string | Buffer | undefined
  readonly lines: Set<Line>
  /** Nobody holds it any more. */
  abandoned(berth: Berth): void
}

/** The connections to one address. They are closed once all who hold them have released them, and nothing is under way. */
class Berth implements LineHost, Connections {
  readonly origin: string
  readonly place: Place
  holders = 0
  readonly #harbour: Harbour
  readonly clock: Clock
  readonly bounds: AnswerBounds
  readonly ca: string | Buffer | undefined
  readonly connectTimeout = connectTimeout
  /** The one that was used last is used next: so that what is too much is closed. */
  readonly #idle: Line[] = []

  constructor(origin: string, place: Place, harbour: Harbour) {
    this.origin = origin
    this.place = place
    this.#harbour = harbour
    this.clock = harbour.clock
    this.bounds = harbour.bounds
    this.ca = harbour.ca
  }

  take(): Line | undefined {
    const now = this.clock.now()
    for (let line = this.#idle.pop(); line !== undefined; line = this.#idle.pop()) {
      if (line.isUsable && line.idleUntil > now) return line
      line.close()
    }
    return undefined
  }

  idle(line: Line, duration: number): void {
    if (this.holders === 0) {
      line.close()
      return
    }
    line.idleUntil = this.clock.now() + duration
    this.#idle.push(line)
  }

  release(): void {
    this.holders--
    if (this.holders > 0) return
    this.clear(Number.POSITIVE_INFINITY)
    this.#harbour.abandoned(this)
  }

  closed(line: Line): void {
    this.#harbour.lines.delete(line)
  }

  /** Closes what is not to be kept beyond that moment. */
  clear(until: number): void {
    const kept = this.#idle.filter((line) => line.isUsable && line.idleUntil > until)
    for (const line of this.#idle) if (!kept.includes(line)) line.close()
    this.#idle.splice(0, this.#idle.length, ...kept)
  }
}

/** The connections to instances, kept while they are used. */
export class Lines implements Carrier {
  readonly #harbour: Harbour
  readonly #stillTimeout: number
  readonly #berths = new Map<string, Berth>()
  #timer: Timer | undefined
  failure: Error | undefined

  constructor({ clock, bounds, ca }: LinesOptions) {
    this.#stillTimeout = bounds.stillTimeout
    const abandoned = ({ origin }: Berth) => void this.#berths.delete(origin)
    this.#harbour = { clock, bounds, ca, lines: new Set(), abandoned }
  }

  carry(
    entry: Entry,
    condition: Condition,
    options: Dispatcher.DispatchOptions,
    _headers: unknown,
    handler: NativeHandler,
  ): void {
    if (this.failure !== undefined) {
      handler.onError(this.failure)
      return
    }
    const consignment = options as Consignment
    let berth = condition.connections as Berth | undefined
    if (berth === undefined) {
      berth = this.#hold(entry)
      condition.connections = berth
    }
    const line = (consignment.isUpgrade ? undefined : berth.take()) ?? this.#open(berth, consignment)
    line.carry(consignment, handler)
  }

  /** Ends all that is under way, with this error. */
  destroy(error: Error): void {
    this.failure = error
    this.#timer?.cancel()
    for (const line of [...this.#harbour.lines]) line.close(error)
  }

  #hold({ instance: { scheme, address, port } }: Entry): Berth {
    const isSecure = scheme === 'https'
    const origin = `${scheme}://${isIPv6(address) ? `[${address}]` : address}:${port}`
    let berth = this.#berths.get(origin)
    if (berth === undefined) {
      const place = { host: address, port: port === 0 ? (isSecure ? 443 : 80) : port, isSecure }
      berth = new Berth(origin, place, this.#harbour)
      this.#berths.set(origin, berth)
    }
    berth.holders++
    return berth
  }

  #open(berth: Berth, consignment: Consignment): Line {
    this.#timer ??= this.#harbour.clock.after(rounds, () => this.#look())
    const line = new Line(berth, berth.place, consignment)
    this.#harbour.lines.add(line)
    return line
  }

  #look(): void {
    this.#timer = undefined
    const { clock, lines } = this.#harbour
    const now = clock.now()
    for (const line of lines)
      if (line.moved || !line.isMidway) {
        line.moved = false
        line.stillSince = now
      } else if (now - line.stillSince > this.#stillTimeout) line.giveUp()
    for (const berth of this.#berths.values()) berth.clear(now)
    if (lines.size > 0) this.#timer = clock.after(rounds, () => this.#look())
  }
}
