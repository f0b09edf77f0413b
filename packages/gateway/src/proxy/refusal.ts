import { isSeamarkError, SeamarkError } from '@seamark/core'
import type { Reply } from '../front/reply.ts'
import type { Fields } from './fields.ts'

/** Details that say nothing of what is behind the gateway. */
const told = ['reason', 'retryAfter'] as const

/** What a client is told. Who was tried, and where, is for the log. */
export interface Refusal {
  readonly status: number
  readonly fields: Fields
  readonly body: Buffer
}

/** What the client is told instead, by code: the message would name instances. */
const messages: Readonly<Record<string, string>> = {
  attempts_failed: 'The service did not answer.',
  timeout: 'The service did not answer in time.',
}

/** Seconds after which it may be worth another try. */
const usualRetryAfter = 1

export function refusal(error: unknown, fields: Fields = []): Refusal {
  const { code, status, message, details } = known(error)
  const shown = Object.fromEntries(
    told.flatMap((name) => (details?.[name] === undefined ? [] : [[name, details[name]]])),
  )
  const body = Buffer.from(
    JSON.stringify({
      error: {
        code,
        message: messages[code] ?? message,
        ...(Object.keys(shown).length > 0 && { details: shown }),
      },
    }),
  )
  const retryAfter = Number(details?.retryAfter ?? usualRetryAfter)
  return {
    status,
    fields: [
      ...['content-type', 'application/json; charset=utf-8', 'content-length', String(body.length)],
      ...['cache-control', 'no-store'],
      ...(status === 429 || status === 503
        ? ['retry-after', String(Math.max(1, Math.ceil(retryAfter)))]
        : []),
      ...fields,
    ],
    body,
  }
}

/** The error that a client is told of. */
function known(error: unknown): SeamarkError {
  if (!isSeamarkError(error))
    return new SeamarkError('internal', 'The gateway failed at this: its log says why.', { cause: error })
  // Who answers late has not failed in another way.
  if (error.code === 'attempts_failed' && isSeamarkError(error.cause, 'timeout')) return error.cause
  return error
}

export function refuse(reply: Reply, { status, fields, body }: Refusal): void {
  reply.start(status, '', fields)
  reply.write(body)
  reply.end([])
}
