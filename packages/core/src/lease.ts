import { invalidField } from './errors.ts'
import { limits } from './limits.ts'
import type { Terms } from './ports.ts'

/** The TTL an engine grants for the one asked for (ms): never less. Throws `invalid_field`. */
export function grantedTtl(asked: number | undefined, terms: Terms): number | undefined {
  if (asked === undefined) return undefined
  if (!Number.isInteger(asked) || asked < 1 || asked > limits.ttl)
    throw invalidField('ttl', `must be a whole number of milliseconds from 1 to ${limits.ttl}`)
  return Math.max(asked, terms.minimumTtl)
}
