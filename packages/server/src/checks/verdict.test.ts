import { expect, test } from 'vitest'
import { Verdict } from './verdict.ts'

const statuses = { p: 'passing', w: 'warning', c: 'critical' } as const

/** What is believed after each of the outcomes, both written as letters. */
function believed(
  successThreshold: number,
  failureThreshold: number,
  begin: 'p' | 'w' | 'c',
  outcomes: string,
) {
  const verdict = new Verdict({ successThreshold, failureThreshold }, { status: statuses[begin], output: '' })
  return [...outcomes]
    .map((letter) => {
      verdict.observe({ status: statuses[letter as 'p' | 'w' | 'c'], output: letter })
      return verdict.status[0]
    })
    .join('')
}

test.each([
  // [successes needed, failures needed, known before, outcomes, believed after each]
  [1, 1, 'c', 'pcpwc', 'pcpwc'],
  [3, 1, 'c', 'ppp', 'ccp'],
  [3, 1, 'c', 'ppcppp', 'cccccp'],
  [3, 1, 'c', 'wpw', 'ccw'],
  [1, 3, 'p', 'ccc', 'ppc'],
  [1, 3, 'p', 'ccpccc', 'pppppc'],
  [1, 3, 'p', 'cwc', 'pww'],
  [3, 3, 'p', 'wpw', 'wpw'],
  [2, 2, 'w', 'cpccpcpp', 'wppccccp'],
  [2, 1, 'c', 'pcp', 'ccc'],
] as const)(
  '%i successes, %i failures, from %s: %s is believed as %s',
  (successes, failures, begin, outcomes, expected) => {
    expect(believed(successes, failures, begin, outcomes)).toBe(expected)
  },
)

test('keeps the output of what it believes', () => {
  const verdict = new Verdict({ successThreshold: 1, failureThreshold: 2 })
  expect(verdict.status).toBe('critical')
  verdict.observe({ status: 'passing', output: '200 OK' })
  verdict.observe({ status: 'critical', output: 'connection refused' })
  expect(verdict).toMatchObject({ status: 'passing', output: '200 OK' })
  verdict.observe({ status: 'critical', output: 'timed out' })
  expect(verdict).toMatchObject({ status: 'critical', output: 'timed out' })
})
