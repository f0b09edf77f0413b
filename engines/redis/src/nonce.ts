import { randomBytes } from 'node:crypto'

/**
 * A number that tells a write from all others, also from one at the same revision in another life of the registry: after
 * a failover that lost writes, or a FLUSHALL.
 */
export function nonce(): number {
  return randomBytes(6).readUIntBE(0, 6)
}
