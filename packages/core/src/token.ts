import { randomFillSync } from 'node:crypto'

const tokenBytes = 16
/** The system is asked for random bytes by the page: asking for each token would cost more than a registration. */
const pool = Buffer.alloc(256 * tokenBytes)
let used = pool.length

/** A lease's token: 128 random bits, in 22 characters that need no escaping anywhere. */
export function token(): string {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const token = pool.toString('base64url', used, used + tokenBytes)
  pool.fill(0, used, used + tokenBytes)
  used += tokenBytes
  return token
}
