import { expect, it } from 'vitest'
import { milliseconds } from './duration.ts'

it.each([
  [0, 0],
  [1_500, 1_500],
  ['500ms', 500],
  ['10s', 10_000],
  ['5m', 300_000],
  ['1h', 3_600_000],
])('reads %j as %d ms', (text, ms) => {
  expect(milliseconds('ttl', text)).toBe(ms)
})

it.each([
  '',
  '10',
  's',
  '1.5s',
  '-1s',
  '1 s',
  '10S',
  '1d',
  '9999999999999h',
  -1,
  1.5,
  Number.NaN,
  null,
  [10],
])('refuses %j', (value) => {
  expect(() => milliseconds('ttl', value)).toThrow(
    expect.objectContaining({ code: 'invalid_field', field: 'ttl' }),
  )
})
