import { createHash, randomBytes } from 'node:crypto'

/** A lease as its owner knows it. */
export interface Token {
  /** What the owner keeps secret. */
  readonly text: string
  /** What etcd keeps of it: whoever reads etcd cannot renew or release with it. */
  readonly hash: string
  /** The id of etcd's lease, as a decimal number; `noLease` for a registration that stays. */
  readonly lease: string
}

/** What etcd takes for "bound to no lease". */
export const noLease = '0'

const secretBytes = 16
const leaseBytes = 8
const rule = /^[A-Za-z0-9_-]{32}$/

export function newToken(lease: string): Token {
  const bytes = Buffer.alloc(secretBytes + leaseBytes, randomBytes(secretBytes))
  bytes.writeBigInt64BE(BigInt(lease), secretBytes)
  return token(bytes)
}

/** `undefined`: no engine of this kind gave it. */
export function parseToken(text: string): Token | undefined {
  if (!rule.test(text)) return undefined
  const parsed = token(Buffer.from(text, 'base64url'))
  return BigInt(parsed.lease) < 0n ? undefined : parsed
}

/** An id of our own choice makes asking for a lease twice harmless. Positive, as etcd's own are. */
export function newLeaseId(): string {
  return String(randomBytes(leaseBytes).readBigInt64BE() & 0x7fff_ffff_ffff_ffffn || 1n)
}

function token(bytes: Buffer): Token {
  const text = bytes.toString('base64url')
  return {
    text,
    hash: createHash('sha256').update(text).digest('base64url'),
    lease: String(bytes.readBigInt64BE(secretBytes)),
  }
}
