import type { Fields } from './fields.ts'
import { isReserved } from './request-head.ts'

/** They say how a message is read, where it goes, or whose it is: after it, they would say so behind the back of who decided that. */
const forbidden = new Set([
  ...[
    'authorization',
    'content-encoding',
    'content-range',
    'content-type',
    'cookie',
    'set-cookie',
    'trailer',
  ],
])

/** What may come after a body: RFC 9110, 6.5.1. Of a request as of an answer. */
export function trailerFields(fields: Fields): Fields {
  const kept: Fields = []
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!.toLowerCase()
    if (!forbidden.has(name) && !isReserved(name)) kept.push(fields[at]!, fields[at + 1]!)
  }
  return kept
}
