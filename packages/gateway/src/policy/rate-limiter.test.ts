import { fakeClock } from '@seamark/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RateLimit } from './policy.ts'
import { RateLimiter } from './rate-limiter.ts'

function limiter(limit: Partial<RateLimit> & { requests: number }, mostClients?: number) {
  const clock = fakeClock()
  const whole: RateLimit = { per: 1_000, burst: limit.requests, by: 'client', ...limit }
  return { clock, limiter: new RateLimiter(whole, { clock, random: () => 0.5 }, mostClients) }
}

/** How many of so many requests at once are let in. */
function admitted(limiter: RateLimiter, client: string, requests: number): number {
  let count = 0
  for (let request = 0; request < requests; request++) if (limiter.enter(client) === 0) count++
  return count
}

describe('a rate limit', () => {
  it('lets a burst in, and then one after the other', () => {
    const { clock, limiter: limit } = limiter({ requests: 3, per: 1_000 })
    expect(admitted(limit, 'a', 10)).toBe(3)
    clock.jump(333)
    expect(admitted(limit, 'a', 10)).toBe(0)
    clock.jump(1)
    expect(admitted(limit, 'a', 10)).toBe(1)
    clock.jump(1_000)
    expect(admitted(limit, 'a', 10)).toBe(3)
  })

  it('says when the next one is let in: then, and not a moment before', () => {
    const limits = fc.record({
      requests: fc.integer({ min: 1, max: 1_000 }),
      per: fc.integer({ min: 1, max: 100_000 }),
      burst: fc.integer({ min: 1, max: 100 }),
    })
    fc.assert(
      fc.property(limits, (limit) => {
        const { clock, limiter: tested } = limiter(limit)
        expect(admitted(tested, 'a', limit.burst)).toBe(limit.burst)
        const wait = tested.enter('a')
        expect(wait).toBeGreaterThan(0)
        expect(wait).toBeLessThanOrEqual(limit.per / limit.requests)
        clock.jump(wait - 0.01)
        expect(tested.enter('a')).toBeGreaterThan(0)
        clock.jump(0.02)
        expect(tested.enter('a')).toBe(0)
      }),
    )
  })

  it('lets in as many as it says over any time, and no more', () => {
    const limits = fc.record({
      requests: fc.integer({ min: 1, max: 50 }),
      per: fc.integer({ min: 1, max: 10_000 }),
      burst: fc.integer({ min: 1, max: 20 }),
    })
    const pauses = fc.array(fc.integer({ min: 0, max: 2_000 }), { maxLength: 200 })
    fc.assert(
      fc.property(limits, pauses, (limit, pauses) => {
        const { clock, limiter: tested } = limiter(limit)
        const cost = limit.per / limit.requests
        const times: number[] = []
        for (const pause of [0, ...pauses]) {
          clock.jump(pause)
          for (let request = 0; request < limit.burst + 1; request++)
            if (tested.enter('a') === 0) times.push(clock.now())
        }
        // Within any two moments: the burst, and what the time between them pays for.
        for (const [first, from] of times.entries())
          for (const last of [first + limit.burst, first + 2 * limit.burst, times.length - 1]) {
            const to = times[last]
            if (last < first || to === undefined) continue
            const most = limit.burst + (to - from) / cost
            expect(last - first + 1).toBeLessThanOrEqual(most + 0.01)
          }
      }),
    )
  })

  it('keeps its rate exactly for a client that never stops asking', () => {
    const { clock, limiter: limit } = limiter({ requests: 7, per: 1_000, burst: 5 })
    let count = 0
    for (let ms = 0; ms < 600_000; ms++) {
      if (limit.enter('a') === 0) count++
      clock.jump(1)
    }
    // A request each ms meets the moment at which one is due within a ms.
    expect(count).toBeGreaterThanOrEqual(5 + 599 * 7)
    expect(count).toBeLessThanOrEqual(5 + 600 * 7)
  })

  it('counts each client on its own, and an IPv6 network as one', () => {
    const { limiter: limit } = limiter({ requests: 2 })
    expect(admitted(limit, '192.0.2.1', 5)).toBe(2)
    expect(admitted(limit, '192.0.2.2', 5)).toBe(2)
    expect(admitted(limit, '2001:db8::1', 5)).toBe(2)
    expect(admitted(limit, '2001:db8::2', 5)).toBe(0)
    expect(admitted(limit, '2001:db8:0:1::1', 5)).toBe(2)
  })

  it('counts all clients together when told to', () => {
    const { limiter: limit } = limiter({ requests: 2, by: 'rule' })
    expect(admitted(limit, '192.0.2.1', 5)).toBe(2)
    expect(admitted(limit, '192.0.2.2', 5)).toBe(0)
  })

  it('forgets nobody who owes, however many others come', () => {
    const { limiter: limit } = limiter({ requests: 2, per: 10_000 }, 1_000)
    expect(admitted(limit, 'attacker', 5)).toBe(2)
    for (let other = 0; other < 50_000; other++) limit.enter(`other ${other}`)
    expect(limit.clients).toBe(1_000)
    expect(admitted(limit, 'attacker', 5)).toBe(0)
  })

  it('lets newcomers share when there is no room, and gives them their own once there is', () => {
    const { clock, limiter: limit } = limiter({ requests: 2, per: 10_000 }, 10)
    for (let other = 0; other < 10; other++) limit.enter(`other ${other}`)
    expect(admitted(limit, 'newcomer', 5)).toBe(2)
    // As many accounts as there are: 2,000 newcomers are let in less often than with one each.
    let count = 0
    for (let other = 0; other < 2_000; other++) count += admitted(limit, `newcomer ${other}`, 5)
    expect(count).toBeGreaterThan(1_000)
    expect(count).toBeLessThanOrEqual(2 * 1_024)
    clock.jump(20_001)
    expect(admitted(limit, 'newcomer', 5)).toBe(2)
    expect(limit.clients).toBe(1)
  })

  it('lets in who would be let in if nobody were ever forgotten', () => {
    const clients = ['a', 'b', 'c']
    const visits = fc.array(
      fc.record({ client: fc.constantFrom(...clients), pause: fc.integer({ min: 0, max: 900 }) }),
      { maxLength: 300 },
    )
    fc.assert(
      fc.property(visits, (visits) => {
        // A full burst is paid off in a second: the halves turn all the time.
        const { clock, limiter: limit } = limiter({ requests: 2, per: 1_000 })
        const paidAt = new Map<string, number>()
        for (const { client, pause } of visits) {
          clock.jump(pause)
          const debt = Math.max(0, (paidAt.get(client) ?? 0) - clock.now())
          if (debt <= 500) paidAt.set(client, clock.now() + debt + 500)
          expect(limit.enter(client)).toBeCloseTo(Math.max(0, debt - 500), 1)
        }
      }),
    )
  })
})
