import { SeamarkError } from '@seamark/core'

/** What the DNS face takes on. Bytes and ms. Documented in `docs/reference/dns.md`, which a test holds against this table. */
export const defaultBounds = {
  /** Bytes of a datagram, whatever the asker takes: what passes every network in one piece (DNS Flag Day 2020). */
  datagramBytes: 1_232,
  /** Bytes of a question over TCP; a connection that announces more is closed. */
  queryBytes: 4_096,
  /** Bytes of answers kept ready to be sent again. */
  answerBytes: 33_554_432,
  /** TCP connections at a time; for one more, the one that idles longest is closed. */
  connections: 1_000,
  /** Milliseconds that a TCP connection may go without a whole question (RFC 7766, 6.2.3). */
  idleTimeout: 10_000,
  /** Questions that recursors are asked at a time; more are answered SERVFAIL. */
  recursions: 256,
  /** Milliseconds that each recursor may take: Consul's. */
  recursorTimeout: 2_000,
} as const

export type Bounds = { readonly [Name in keyof typeof defaultBounds]: number }

/** Throws `configuration`. */
export function bounds(given: { readonly [Name in keyof Bounds]?: number | undefined }): Bounds {
  const all: Record<string, number> = { ...defaultBounds }
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue
    if (!Object.hasOwn(defaultBounds, name))
      throw new SeamarkError('configuration', `bounds.${name} is none of the bounds.`)
    if (!Number.isSafeInteger(value) || value < 1)
      throw new SeamarkError('configuration', `bounds.${name} must be a whole number of at least 1.`)
    all[name] = value
  }
  if (all.datagramBytes! < 512 || all.datagramBytes! > 4_096)
    throw new SeamarkError('configuration', 'bounds.datagramBytes must be from 512 to 4096.')
  return all as Bounds
}
