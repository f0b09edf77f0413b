import type { WireName } from './wire-name.ts'

/** Types of records, and of questions (RFC 1035, 3596, 2782, 6891, 8482). */
export const types = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const

/** What an answer says of the question as a whole (RFC 1035, 4.1.1; RFC 6891, 9). */
export const codes = {
  ok: 0,
  malformed: 1,
  failed: 2,
  noName: 3,
  notDone: 4,
  refused: 5,
  badVersion: 16,
} as const

export type Code = (typeof codes)[keyof typeof codes]

/** A record of class IN. */
export type ResourceRecord = {
  /** `undefined`: the name that was asked for. */
  readonly owner?: WireName | undefined
  /** Seconds. */
  readonly ttl: number
} & (
  | { readonly type: 'A' | 'AAAA'; readonly address: Buffer }
  | { readonly type: 'CNAME' | 'NS' | 'PTR'; readonly target: WireName }
  | { readonly type: 'SRV'; readonly weight: number; readonly port: number; readonly target: WireName }
  | { readonly type: 'TXT' | 'HINFO'; readonly texts: readonly Buffer[] }
  | {
      readonly type: 'SOA'
      readonly server: WireName
      readonly mailbox: WireName
      readonly numbers: readonly number[]
    }
)

/** Bytes of one of the texts in a record (RFC 1035, 3.3). */
const longestText = 255

/** A text as one or more that records can hold. */
export function texts(text: string): readonly Buffer[] {
  const bytes = Buffer.from(text)
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length || at === 0; at += longestText)
    parts.push(bytes.subarray(at, at + longestText))
  return parts
}
