/** A name of DNS as it is written: labels, each led by its length, and the root at the end. */
export interface WireName {
  readonly bytes: Buffer
  /** Where each label begins, from the first to the last. */
  readonly starts: readonly number[]
  /** What is the same for all ways to write the name from that label on in upper and lower case. */
  readonly keys: readonly string[]
}

/** Bytes (RFC 1035, 2.3.4). */
const longestLabel = 63
const longestName = 255

/** `undefined`: DNS cannot say it. Dots part labels; one at the end says nothing. */
export function wireName(text: string): WireName | undefined {
  const labels = text === '' || text === '.' ? [] : text.replace(/\.$/, '').split('.')
  const parts: Buffer[] = []
  for (const label of labels) {
    const bytes = Buffer.from(label)
    if (bytes.length === 0 || bytes.length > longestLabel) return undefined
    parts.push(Buffer.from([bytes.length]), bytes)
  }
  parts.push(Buffer.from([0]))
  const bytes = Buffer.concat(parts)
  return bytes.length > longestName ? undefined : readName(bytes)
}

/** Of bytes that are known to be one whole name. */
export function readName(bytes: Buffer): WireName {
  const lowered = Buffer.allocUnsafe(bytes.length)
  for (let at = 0; at < bytes.length; at++) lowered[at] = lower(bytes[at]!)
  const starts: number[] = []
  for (let at = 0; bytes[at] !== 0; at += bytes[at]! + 1) starts.push(at)
  return { bytes, starts, keys: starts.map((start) => lowered.toString('latin1', start)) }
}

/** The labels as text: ASCII in lower case, which is the same name (RFC 4343). */
export function labels({ bytes, starts }: WireName): readonly string[] {
  return starts.map((start) => asciiLower(bytes.toString('utf8', start + 1, start + 1 + bytes[start]!)))
}

/** The lengths of labels are less than "A", so that they stay as they are. */
export function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte
}

/** Other letters than A to Z stay as they are: DNS knows no case of theirs. */
export function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}
