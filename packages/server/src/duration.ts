import { invalidField } from '@seamark/core'

const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const

/** What a duration in text looks like: `500ms`, `10s`, `5m`, `1h`; digits alone are ms. */
export const durationPattern = '^\\d{1,15}(ms|s|m|h)?$'

/** Reads a duration, a whole number of ms or a text such as `10s`, as ms. Throws `invalid_field`. */
export function duration(field: string, value: unknown): number {
  const ms = typeof value === 'string' ? parsed(value) : value
  if (!Number.isSafeInteger(ms) || (ms as number) < 0)
    throw invalidField(
      field,
      'must be a whole number of milliseconds, or a text such as "500ms", "10s", "5m", "1h"',
    )
  return ms as number
}

function parsed(text: string): number | undefined {
  const [, count, unit = 'ms'] = /^(\d{1,15})(ms|s|m|h)?$/.exec(text) ?? []
  return count === undefined ? undefined : Number(count) * units[unit as keyof typeof units]
}
