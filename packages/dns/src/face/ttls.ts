import { type Duration, milliseconds, SeamarkError } from '@seamark/core'

/** How long answers may be kept by others, in seconds. */
export interface Ttls {
  readonly node: number
  /** That something does not exist. */
  readonly negative: number
  service(name: string): number
}

export interface TtlOptions {
  /** Of what is said of nodes and addresses. Default 0. */
  readonly nodeTtl?: Duration | undefined
  /**
   * Of what is said of services, by name; a name that ends with `*` means all that begin so, and the longest that fits
   * counts. Default 0.
   */
  readonly serviceTtl?: Readonly<Record<string, Duration>> | undefined
  /** Of the answer that there is none. Default 1 s. */
  readonly negativeTtl?: Duration | undefined
}

/** Bits of a TTL (RFC 2181, 8). */
const longest = 0x7fff_ffff

/** Throws `configuration`. */
export function ttls({ nodeTtl = 0, serviceTtl = {}, negativeTtl = 1_000 }: TtlOptions): Ttls {
  const exact = new Map<string, number>()
  const prefixes: { prefix: string; ttl: number }[] = []
  for (const [pattern, duration] of Object.entries(serviceTtl)) {
    const name = pattern.toLowerCase()
    const ttl = seconds(`serviceTtl/${pattern}`, duration)
    if (name.endsWith('*')) prefixes.push({ prefix: name.slice(0, -1), ttl })
    else exact.set(name, ttl)
  }
  prefixes.sort((a, b) => b.prefix.length - a.prefix.length)
  return {
    node: seconds('nodeTtl', nodeTtl),
    negative: seconds('negativeTtl', negativeTtl),
    service(name) {
      const lower = name.toLowerCase()
      return exact.get(lower) ?? prefixes.find(({ prefix }) => lower.startsWith(prefix))?.ttl ?? 0
    },
  }
}

/** Milliseconds as DNS says them: whole seconds, never longer. */
export function wholeSeconds(ms: number): number {
  return Math.min(longest, Math.max(0, Math.floor(ms / 1_000)))
}

function seconds(field: string, duration: Duration): number {
  try {
    return wholeSeconds(milliseconds(field, duration))
  } catch (cause) {
    throw new SeamarkError('configuration', (cause as Error).message, { cause })
  }
}
