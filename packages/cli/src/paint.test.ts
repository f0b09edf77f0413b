import { describe, expect, it } from 'vitest'
import { ansi, paintFor, plain } from './paint.ts'

describe('colours', () => {
  it.each([
    ['are on on a terminal', true, {}, ansi],
    ['are off in a pipe', undefined, {}, plain],
    ['are off when NO_COLOR says so', true, { NO_COLOR: '1' }, plain],
    ['are on when NO_COLOR is empty', true, { NO_COLOR: '' }, ansi],
    ['are off on a terminal that has none', true, { TERM: 'dumb' }, plain],
  ])('%s', (_, isTTY, environment, paint) => {
    expect(paintFor({ ...(isTTY && { isTTY }) }, environment)).toBe(paint)
  })
})
