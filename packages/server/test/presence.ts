import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { condition } from './condition.ts'
import type { Serving } from './serving.ts'

/** A stream of presence, once it was answered. */
export class Presence implements Disposable {
  readonly status: number
  readonly ended: Promise<unknown>
  readonly #request: ClientRequest
  text = ''

  private constructor(request: ClientRequest, response: IncomingMessage) {
    this.#request = request
    this.status = response.statusCode!
    response.setEncoding('utf8').on('data', (text: string) => {
      this.text += text
    })
    response.on('error', () => {})
    this.ended = once(response, 'close').catch(() => {})
  }

  static async open(served: Serving, client: string, tokens: readonly string[]): Promise<Presence> {
    const sent = request(`${served.server.url}/api/v1/presence`, {
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json' },
    })
    sent.on('error', () => {})
    sent.end(JSON.stringify({ client: named(client), tokens }))
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    return new Presence(sent, response)
  }

  /** As the system closes the sockets of a process that died. */
  die(): void {
    this.#request.destroy()
  }

  [Symbol.dispose](): void {
    this.die()
  }
}

/** What a client may call itself. */
export const named = (client: string): string => client.padEnd(16, '-')

export async function metric(served: Serving, name: string): Promise<number> {
  const { text } = await served.ask('GET', '/metrics')
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1])
}

/** Resolves once the server has so many streams. */
export const streams = (served: Serving, count: number): Promise<void> =>
  condition(async () => (await metric(served, 'seamark_presence_streams')) === count)
