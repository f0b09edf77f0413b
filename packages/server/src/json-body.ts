import { isUtf8 } from 'node:buffer'
import { SeamarkError } from '@seamark/core'
import type { FastifyInstance } from 'fastify'
import { mediaType } from './error-answer.ts'

/**
 * Bodies are JSON in UTF-8, and nothing else: a web page can send other types across origins without asking first.
 * What was parsed is only ever looked at by the schemas, which know no depth but their own, and which refuse
 * `__proto__` as any other field they do not know.
 */
export function jsonBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      done(null, parsed(request.headers['content-type'] ?? '', body as Buffer))
    } catch (error) {
      done(error as Error)
    }
  })
}

function parsed(type: string, body: Buffer): unknown {
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(type)?.[1]
  if (charset !== undefined && charset.toLowerCase() !== 'utf-8' && charset.toLowerCase() !== 'utf8')
    throw mediaType()
  if (body.length === 0) throw notJson('is empty')
  if (!isUtf8(body)) throw notJson('is not UTF-8')
  try {
    return JSON.parse(body.toString())
  } catch (cause) {
    throw notJson(`is not JSON: ${(cause as Error).message.slice(0, 200)}`, cause)
  }
}

function notJson(problem: string, cause?: unknown): SeamarkError {
  return new SeamarkError('invalid_request', `The body ${problem}.`, { field: 'body', cause })
}
