import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CheckReport, health, healthStatuses, passing, registeredHealth, reported } from './health.ts'

describe('health', () => {
  it('is the worst of its checks; without any, passing', () => {
    const results = fc.array(
      fc.record({ id: fc.string(), status: fc.constantFrom(...healthStatuses), output: fc.string() }),
    )
    fc.assert(
      fc.property(results, (checks) => {
        const worst = ['maintenance', 'critical', 'warning'].find((status) =>
          checks.some((check) => check.status === status),
        )
        expect(health(checks).status).toBe(worst ?? 'passing')
      }),
    )
  })

  it('is the very same object when a report changes nothing', () => {
    const before = reported(passing, [{ id: 'http', status: 'passing', output: '200 OK' }])
    expect(reported(before, [{ id: 'http', status: 'passing', output: '200 OK' }])).toBe(before)
    expect(reported(before, [{ id: 'none', status: null }])).toBe(before)
    expect(reported(passing, [])).toBe(passing)
  })

  it('replaces, adds and withdraws results, and leaves the others', () => {
    const before = reported(passing, [
      { id: 'a', status: 'passing' },
      { id: 'b', status: 'critical', output: 'refused' },
    ])
    const after = reported(before, [
      { id: 'a', status: 'warning', output: '429' },
      { id: 'b', status: null },
      { id: 'c', status: 'passing' },
    ])
    expect(after).toEqual({
      status: 'warning',
      checks: [
        { id: 'a', status: 'warning', output: '429' },
        { id: 'c', status: 'passing', output: '' },
      ],
    })
    expect(before.checks).toHaveLength(2)
  })

  it('keeps the first 4 KB of an output, and no half character', () => {
    const { checks } = reported(passing, [{ id: 'a', status: 'passing', output: `x${'é'.repeat(3_000)}` }])
    expect(Buffer.byteLength(checks[0]!.output)).toBe(4_095)
    expect(checks[0]!.output.endsWith('é')).toBe(true)
  })

  it.each([
    [{ id: '', status: 'passing' }, 'id'],
    [{ id: 'a', status: 'fine' }, 'status'],
    [{ id: 'a' }, 'status'],
    [{ id: 'a', status: 'passing', output: 7 }, 'output'],
  ])('refuses the report %j', (report, field) => {
    expect(() => reported(passing, [report as CheckReport])).toThrow(expect.objectContaining({ field }))
  })

  it('has a bound on results', () => {
    const reports = Array.from(
      { length: 33 },
      (_, index) => ({ id: `c${index}`, status: 'passing' }) as const,
    )
    expect(() => reported(passing, reports)).toThrow(expect.objectContaining({ code: 'invalid_field' }))
  })

  it('starts a check as its definition says', () => {
    const { status, checks } = registeredHealth(
      [
        { id: 'a', initial: 'warning' },
        { id: 'b', initial: 'passing' },
      ],
      undefined,
    )
    expect(status).toBe('warning')
    expect(checks.map(({ status }) => status)).toEqual(['warning', 'passing'])
  })

  it('starts new checks critical, keeps the results of old ones, and maintenance, when registered again', () => {
    const first = registeredHealth([{ id: 'http' }], undefined)
    expect(first.status).toBe('critical')
    const seen = reported(first, [
      { id: 'http', status: 'passing', output: '200' },
      { id: 'maintenance', status: 'maintenance', output: 'upgrade' },
      { id: 'outside', status: 'warning' },
    ])
    expect(registeredHealth([{ id: 'tcp' }, { id: 'http' }], seen)).toEqual({
      status: 'maintenance',
      checks: [
        { id: 'tcp', status: 'critical', output: 'not checked yet' },
        { id: 'http', status: 'passing', output: '200' },
        { id: 'maintenance', status: 'maintenance', output: 'upgrade' },
      ],
    })
    expect(registeredHealth([], passing)).toBe(passing)
  })
})
