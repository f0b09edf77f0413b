import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Announcement, AnnounceOptions, Discovery } from '@seamark/client'
import { invalidField, SeamarkError } from '@seamark/core'

export interface PresenceOptions extends Omit<AnnounceOptions, 'port'> {
  /** Default: where the server listens. */
  readonly port?: number
  /** Where the health endpoint is; `false`: there is none. Default `/healthz`. */
  readonly health?: string | false
}

type State = 'starting' | 'serving' | 'leaving'

/** Addresses that mean all of the machine's. */
const anywhere: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/**
 * One HTTP server in the registry, from when it listens until it closes: what plugins for web frameworks are made of. What it
 * asks of them is to show it every request before anybody else, and to say when the server listens and is about to close.
 */
export class Presence {
  /** Where the health endpoint is to be. */
  readonly healthPath: string | undefined
  readonly #discovery: Pick<Discovery, 'announce'>
  readonly #options: Omit<PresenceOptions, 'health'>
  /** Responses of HTTP/1 that are not over. */
  readonly #underway = new Set<ServerResponse>()
  #state: State = 'starting'
  #announced: Promise<Announcement> | undefined
  #left: Promise<void> | undefined

  /** Throws `invalid_field`. */
  constructor(discovery: Pick<Discovery, 'announce'>, { health = '/healthz', ...options }: PresenceOptions) {
    if (health !== false && !health.startsWith('/')) throw invalidField('health', 'must begin with "/"')
    this.#discovery = discovery
    this.#options = options
    this.healthPath = health || undefined
  }

  /** What the health endpoint answers: 200 while the instance is announced, else 503. */
  get health(): { readonly status: 200 | 503; readonly body: string } {
    return { status: this.#state === 'serving' ? 200 : 503, body: JSON.stringify({ status: this.#state }) }
  }

  /**
   * The server listens there: announces it, at that address unless it means all of the machine's. Throws as `announce`, and
   * `configuration` for a socket that has no port. After `leave` it does nothing.
   */
  async announce(listening: AddressInfo | string | null): Promise<void> {
    if (this.#state !== 'starting') return
    if (listening === null || typeof listening === 'string')
      throw new SeamarkError(
        'configuration',
        `${this.#options.name} cannot be announced: its server listens at ${listening ?? 'nothing'}, and not at a port.`,
      )
    this.#announced ??= this.#discovery.announce({
      port: listening.port,
      ...(!anywhere.has(listening.address) && { address: listening.address }),
      ...this.#options,
    })
    await this.#announced
    if (this.#state === 'starting') this.#state = 'serving'
  }

  /** A request came: once this is leaving, its connection is to end with it, since there is soon nobody at its other end. */
  observe(request: IncomingMessage, response: ServerResponse): void {
    if (request.httpVersionMajor > 1) return
    this.#underway.add(response)
    response.once('close', () => this.#underway.delete(response))
    if (this.#state === 'leaving') closeWith(response)
  }

  /** Deregisters and waits until callers have noticed; the server still answers meanwhile. Never rejects. */
  leave(): Promise<void> {
    this.#left ??= this.#leave()
    return this.#left
  }

  /** The server accepts nobody any more: connections end with what is under way, instead of being kept for more. */
  finish(): void {
    for (const response of this.#underway) {
      const { socket } = response
      if (!response.headersSent) closeWith(response)
      else response.once('finish', () => socket?.end())
    }
  }

  async #leave(): Promise<void> {
    this.#state = 'leaving'
    for (const response of this.#underway) closeWith(response)
    const announcement = await this.#announced?.catch(() => undefined)
    await announcement?.close()
  }
}

function closeWith(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close')
}
