import type { Clock } from '@seamark/core'

/** For how long (ms) a server asks to be left alone, in seconds or until a date (RFC 9110, 10.2.3). */
export function retryAfter(headers: readonly Buffer[], clock: Clock): number | undefined {
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at]!
    if (name.length !== 11 || name.toString('latin1').toLowerCase() !== 'retry-after') continue
    const value = String(headers[at + 1])
    if (/^\d+$/.test(value)) return Number(value) * 1_000
    const date = Date.parse(value)
    return Number.isNaN(date) ? undefined : Math.max(0, date - clock.date())
  }
  return undefined
}
