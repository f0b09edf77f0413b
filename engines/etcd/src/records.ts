import { type CheckReport, type Health, type InstanceKey, passing, reported } from '@seamark/core'

/** What is kept of a lease, under the hash of its token. */
export interface LeaseRecord extends InstanceKey {
  /** Milliseconds granted; without it, the registration stays. */
  readonly ttl?: number
}

export function encodeHealth({ checks }: Health): Buffer {
  return Buffer.from(JSON.stringify({ checks }))
}

/** Throws when it is none. */
export function decodeHealth(value: Buffer): Health {
  const { checks } = JSON.parse(value.toString()) as { checks: readonly CheckReport[] }
  return reported(passing, checks)
}

export function encodeClaim(id: string): Buffer {
  return Buffer.from(JSON.stringify({ id }))
}

/** The id of the holder. Throws when it is none. */
export function decodeClaim(value: Buffer): string {
  const { id } = JSON.parse(value.toString()) as { id: unknown }
  if (typeof id !== 'string') throw new Error('a claim without a holder')
  return id
}

export function encodeLease({ namespace, service, id, ttl }: LeaseRecord): Buffer {
  return Buffer.from(JSON.stringify({ namespace, service, id, ttl }))
}

export function decodeLease(value: Buffer): LeaseRecord {
  return JSON.parse(value.toString()) as LeaseRecord
}
