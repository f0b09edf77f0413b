import { expect, it } from 'vitest'
import { checkSkips } from './suite.ts'

it('refuses to skip a test that does not exist', () => {
  const skip = [{ reason: 'it has no clock', tests: ['keeps time', 'was renamed'] }]
  expect(() => checkSkips(skip, ['keeps time'])).toThrow(
    'There is no test "was renamed" to skip (it has no clock).',
  )
})

it('refuses to skip a test without a reason', () => {
  expect(() => checkSkips([{ reason: ' ', tests: ['keeps time'] }], ['keeps time'])).toThrow(
    'without a reason',
  )
})
