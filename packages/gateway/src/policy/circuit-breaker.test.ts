import { fakeClock } from '@seamark/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Outcome } from '../ports.ts'
import { CircuitBreaker, type CircuitState } from './circuit-breaker.ts'
import type { Circuit } from './policy.ts'

function circuit(setting: Partial<Circuit> = {}) {
  const clock = fakeClock()
  const states: CircuitState[] = []
  const whole = { failures: 0.5, volume: 4, window: 10_000, rest: 5_000, ...setting }
  const breaker = new CircuitBreaker(whole, clock, (state) => states.push(state))
  /** One request after the other; answers how many were let in. */
  const requests = (...outcomes: readonly Outcome[]) => {
    let count = 0
    for (const outcome of outcomes) {
      if (breaker.enter() > 0) continue
      count++
      breaker.settle(breaker.epoch, outcome)
    }
    return count
  }
  return { clock, states, breaker, requests }
}

const fail = (times: number) => Array<Outcome>(times).fill('failure')
const succeed = (times: number) => Array<Outcome>(times).fill('success')

describe('a circuit', () => {
  it('opens when too much of enough requests failed', () => {
    const { breaker, requests, states } = circuit()
    expect(requests(...succeed(2), ...fail(1))).toBe(3)
    expect(states).toEqual([])
    expect(requests(...fail(3))).toBe(1)
    expect(states).toEqual(['open'])
    expect(breaker.enter()).toBe(5_000)
  })

  it('does not open for too few, nor for those that were cancelled', () => {
    const { requests, states } = circuit()
    requests(...fail(3))
    requests(...Array<Outcome>(100).fill('cancelled'))
    expect(states).toEqual([])
    requests('failure')
    expect(states).toEqual(['open'])
  })

  it('does not open while the share is below', () => {
    const { requests, states } = circuit({ failures: 0.5 })
    for (let round = 0; round < 100; round++) requests(...succeed(2), ...fail(1))
    expect(states).toEqual([])
  })

  it('lets one try after the rest, and closes when that succeeds', () => {
    const { clock, breaker, requests, states } = circuit()
    requests(...fail(4))
    clock.jump(4_999)
    expect(breaker.enter()).toBe(1)
    clock.jump(1)
    expect(breaker.enter()).toBe(0)
    expect(breaker.enter()).toBeGreaterThan(0)
    expect(states).toEqual(['open', 'half-open'])
    breaker.settle(breaker.epoch, 'success')
    expect(states).toEqual(['open', 'half-open', 'closed'])
    // What failed before is forgotten.
    expect(requests(...fail(3))).toBe(3)
    expect(states).toEqual(['open', 'half-open', 'closed'])
  })

  it('rests again when that fails', () => {
    const { clock, breaker, requests, states } = circuit()
    requests(...fail(4))
    clock.jump(5_000)
    expect(requests(...fail(2))).toBe(1)
    expect(states).toEqual(['open', 'half-open', 'open'])
    expect(breaker.enter()).toBe(5_000)
  })

  it('lets another try when that was cancelled', () => {
    const { clock, breaker, requests, states } = circuit()
    requests(...fail(4))
    clock.jump(5_000)
    expect(requests('cancelled', 'cancelled')).toBe(2)
    expect(breaker.enter()).toBe(0)
    breaker.settle(breaker.epoch, 'success')
    expect(states.at(-1)).toBe('closed')
  })

  it('does not listen to those that entered before it opened', () => {
    const { clock, breaker, requests, states } = circuit()
    expect(breaker.enter()).toBe(0)
    const before = breaker.epoch
    requests(...fail(4))
    clock.jump(5_000)
    expect(breaker.enter()).toBe(0)
    breaker.settle(before, 'success')
    expect(states).toEqual(['open', 'half-open'])
    breaker.settle(before, 'failure')
    expect(states).toEqual(['open', 'half-open'])
    // Nor does their end make room for another one to try.
    breaker.settle(before, 'cancelled')
    expect(breaker.enter()).toBeGreaterThan(0)
  })

  it('forgets what is older than the window, in tenths of it', () => {
    const { clock, requests, states } = circuit()
    requests(...fail(3))
    clock.jump(10_001)
    requests(...fail(3))
    expect(states).toEqual([])
    clock.jump(8_000)
    requests(...fail(1))
    expect(states).toEqual(['open'])
  })

  it('opens if, and only if, what it saw in its window says so', () => {
    const events = fc.array(
      fc.record({
        pause: fc.integer({ min: 0, max: 3_000 }),
        outcome: fc.constantFrom<Outcome>('success', 'failure', 'cancelled'),
      }),
      { maxLength: 100 },
    )
    fc.assert(
      fc.property(events, (events) => {
        const { clock, breaker, states } = circuit({ failures: 0.6, volume: 5 })
        let seen: { slot: number; outcome: Outcome }[] = []
        for (const { pause, outcome } of events) {
          clock.jump(pause)
          expect(breaker.enter()).toBe(0)
          breaker.settle(breaker.epoch, outcome)
          const slot = Math.floor(clock.now() / 1_000)
          if (outcome !== 'cancelled') seen.push({ slot, outcome })
          seen = seen.filter((event) => event.slot > slot - 10)
          const failed = seen.filter((event) => event.outcome === 'failure').length
          const opens = outcome === 'failure' && seen.length >= 5 && failed >= 0.6 * seen.length
          expect(states).toEqual(opens ? ['open'] : [])
          if (opens) break
        }
      }),
    )
  })
})
