import { invalidField } from './errors.ts'

/** Whole milliseconds, or a text with its unit: `"500ms"`, `"10s"`, `"5m"`, `"1h"`. */
export type Duration = number | string

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** What a duration in text looks like, for schemas. */
export const durationPattern = '^\\d{1,12}(ms|s|m|h)$'
const rule = new RegExp(durationPattern)

/** A duration in ms. Throws `invalid_field`. */
export function milliseconds(field: string, duration: unknown): number {
  const unit = typeof duration === 'string' ? rule.exec(duration)?.[1] : undefined
  const ms = unit === undefined ? duration : Number.parseInt(duration as string, 10) * units[unit]!
  if (typeof ms !== 'number' || !Number.isSafeInteger(ms) || ms < 0)
    throw invalidField(
      field,
      'must be a whole number of milliseconds, or a text such as "500ms", "10s", "5m" or "1h"',
    )
  return ms
}
