import type { Identity } from '../ports.ts'

/** What a verified token says. */
export type Claims = Readonly<Record<string, unknown>>

/** Bytes of the header that tells an instance who asks. */
const headerBytes = 4_096

/**
 * Who a verified token is about. `rolesClaim` is the name of a claim, or a path into one; it holds a list, or a text with
 * spaces between the roles, as `scope` (RFC 8693, 4.2). `undefined` when it says more than fits into the header.
 */
export function identity(claims: Claims, rolesClaim: string): Identity | undefined {
  const { sub, iss } = claims
  const subject = typeof sub === 'string' ? sub : undefined
  const roles = rolesOf(claimOf(claims, rolesClaim))
  const header = ascii(
    JSON.stringify({ sub: subject, roles, iss: typeof iss === 'string' ? iss : undefined }),
  )
  if (header.length > headerBytes) return undefined
  return Object.freeze({ subject, roles, header })
}

/** Of names that hold dots themselves, such as `https://shop.example/roles`, the whole comes first. */
function claimOf(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path]
  let value: unknown = claims
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Claims)[name]
  }
  return value
}

function rolesOf(value: unknown): readonly string[] {
  const roles = typeof value === 'string' ? value.split(/\s+/) : Array.isArray(value) ? value : []
  return Object.freeze(roles.filter((role) => typeof role === 'string' && role !== ''))
}

/** JSON that may stand in a header: what is not ASCII, or is a control character, as `\u` escapes. */
function ascii(json: string): string {
  return json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
