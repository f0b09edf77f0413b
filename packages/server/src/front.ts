import type { IncomingMessage, ServerResponse } from 'node:http'
import { type HostGuard, hostNotAllowed, SeamarkError } from '@seamark/core'
import { sendAnswer } from './answer.ts'
import type { Context } from './context.ts'
import { badUrl, refuse } from './error-answer.ts'
import type { FastLane } from './fast-lane.ts'

export interface FrontOptions {
  readonly context: Pick<Context, 'answers' | 'bounds' | 'log' | 'metrics' | 'stage'>
  readonly guard: HostGuard
  readonly lane: FastLane
  /** Takes a request that only has to wait; `false`: it is for the handler. Default: takes none. */
  readonly take?: (request: IncomingMessage, response: ServerResponse) => boolean
  /** Takes over when nothing speaks against it. */
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void
}

/** What may still be asked of a server that drains. */
const probes = new Set(['/healthz', '/readyz', '/metrics'])

/** What every request meets first: the host guard, the end of the server, and answers that are ready. */
export function front({ context, guard, lane, take = () => false, handler }: FrontOptions) {
  const { answers, bounds, log, metrics, stage } = context

  function refused(request: IncomingMessage, url: string): SeamarkError | undefined {
    if (!guard(request.headers.host)) return hostNotAllowed(request.headers.host)
    if (stage.draining && !probes.has(url))
      return new SeamarkError('draining', 'The server is shutting down: ask another one.')
    if (url.length > bounds.urlBytes)
      return new SeamarkError('too_large', `The URL has more than ${bounds.urlBytes} characters.`, {
        field: 'url',
      })
    return isDecodable(url) ? undefined : badUrl()
  }

  return (request: IncomingMessage, response: ServerResponse): void => {
    const url = request.url!
    lane.parsed(request, response)
    if (!stage.draining && request.method === 'GET' && guard(request.headers.host)) {
      const answer = answers.get(url)
      if (answer !== undefined) {
        const status = sendAnswer(request, response, answer)
        metrics.answered('GET', answer.route, status).count++
        log.debug({ method: 'GET', url, status }, 'answered')
        return
      }
    }
    const error = refused(request, url)
    if (error === undefined) {
      if (!take(request, response)) handler(request, response)
      return
    }
    metrics.answered(request.method!, 'none', error.status).count++
    log.debug({ method: request.method, url: url.slice(0, 200), status: error.status }, 'refused')
    refuse(response, error)
  }
}

function isDecodable(url: string): boolean {
  if (!url.includes('%')) return true
  try {
    decodeURIComponent(url)
    return true
  } catch {
    return false
  }
}
