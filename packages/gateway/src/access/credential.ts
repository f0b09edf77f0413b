import type { Inquiry } from '../ports.ts'
import { cookieValues } from './cookie.ts'

/**
 * The token that comes with a request: of the header `authorization` (RFC 6750, 2.1), or else of the cookie. Never of the
 * URL, which ends up in logs. Two cookies of that name are none, as one of them may be somebody else's work: a page of a
 * sibling domain can set it.
 */
export function credential({ headers }: Inquiry, cookie: string | undefined): string | undefined {
  const { authorization } = headers
  if (authorization !== undefined && isBearer(authorization)) return authorization.slice(7).trim()
  if (cookie === undefined) return undefined
  const values = cookieValues(headers.cookie, cookie)
  return values.length === 1 ? values[0] : undefined
}

function isBearer(authorization: string): boolean {
  return authorization.startsWith('Bearer ') || /^bearer /i.test(authorization)
}
