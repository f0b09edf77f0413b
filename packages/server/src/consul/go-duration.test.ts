import fc from 'fast-check'
import { expect, it } from 'vitest'
import { goDuration, printDuration } from './go-duration.ts'

it.each([
  ['1h15m30.5s', 4_530_500],
  ['300ms', 300],
  ['1.5s', 1_500],
  ['.5s', 500],
  ['-1s', -1_000],
  ['+1m', 60_000],
  ['0', 0],
  ['1us', 0.001],
  ['1µs', 0.001],
  ['10', undefined],
  ['1d', undefined],
  ['', undefined],
  ['s', undefined],
  ['1 s', undefined],
  ['9999999h', undefined],
])('reads %j as %s ms', (text, ms) => {
  expect(goDuration(text)).toBe(ms)
})

it.each([
  [0, '0s'],
  [250, '250ms'],
  [1_500, '1.5s'],
  [90_000, '1m30s'],
  [3_600_000, '1h0m0s'],
  [-1_000, '-1s'],
])('prints %s ms as %s', (ms, text) => {
  expect(printDuration(ms)).toBe(text)
})

it('reads what it prints', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 32 }), (ms) => {
      expect(goDuration(printDuration(ms))).toBe(ms)
    }),
  )
})
