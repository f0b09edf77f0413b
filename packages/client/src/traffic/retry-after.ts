import type { IncomingHttpHeaders } from 'node:http'
import type { Clock } from '@seamark/core'

/** For how long (ms) a server asks to be left alone, in seconds or until a date (RFC 9110, 10.2.3). */
export function retryAfter(headers: IncomingHttpHeaders, clock: Clock): number | undefined {
  const value = headers['retry-after']
  if (value === undefined) return undefined
  if (/^\d+$/.test(value)) return Number(value) * 1_000
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, date - clock.date())
}
