import { isSeamarkError, type Notice } from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { inquiry } from '../../test/inquiry.ts'
import { ruleFor } from '../../test/route-list.ts'
import type { Inquiry, Outcome, Pass } from '../ports.ts'
import { guard } from './guard.ts'
import { policy } from './policy-input.ts'

function guarding(given: unknown) {
  const clock = fakeClock()
  const notices: Notice[] = []
  // A sequence of equidistant numbers: shares come out exactly, but for rounding.
  let turn = 0
  const random = () => (turn++ * 0.618_033_988_749_895) % 1
  const rule = { ...ruleFor('tickets'), policy: policy('policy', given) }
  const tested = guard(rule, { clock, random, notify: (notice) => notices.push(notice) })
  const passes: Pass[] = []
  /** Whether it is let in; if not, why, and for how long. */
  const enter = (asked: Partial<Inquiry> = {}): string => {
    try {
      passes.push(tested.enter(inquiry(asked)))
      return 'in'
    } catch (error) {
      if (!isSeamarkError(error)) throw error
      const { reason = '', retryAfter } = error.details ?? {}
      return `${error.status} ${error.code} ${reason} ${retryAfter}`.replace(/ +/g, ' ')
    }
  }
  const finish = (outcome: Outcome, count = passes.length) => {
    for (const pass of passes.splice(0, count)) {
      pass.settle(outcome)
      pass.leave()
    }
  }
  return { clock, guard: tested, enter, finish, passes, notices }
}

describe('a guard', () => {
  it('lets everybody in without a policy', () => {
    const { guard, enter, finish } = guarding({})
    for (let request = 0; request < 1_000; request++) expect(enter()).toBe('in')
    finish('failure')
    expect(enter()).toBe('in')
    expect(guard.part(inquiry()).name).toBe('all')
    expect(guard.fallback).toBeUndefined()
  })

  it('refuses who comes too fast, and says in whole seconds when to come back', () => {
    const { clock, enter } = guarding({ rate: { requests: 2, per: '5s' } })
    expect([enter(), enter(), enter()]).toEqual(['in', 'in', '429 too_many 3'])
    expect(enter({ client: '192.0.2.99' })).toBe('in')
    clock.jump(2_499)
    expect(enter()).toBe('429 too_many 1')
    clock.jump(1)
    expect(enter()).toBe('in')
  })

  it('refuses what is too much at once, until something leaves', () => {
    const { enter, passes } = guarding({ concurrency: 2 })
    expect([enter(), enter(), enter()]).toEqual(['in', 'in', '503 overloaded concurrency 1'])
    passes[0]!.settle('success')
    expect(enter()).toBe('503 overloaded concurrency 1')
    passes[0]!.leave()
    // A second time is once too often, and counts for nothing.
    passes[0]!.leave()
    expect([enter(), enter()]).toEqual(['in', '503 overloaded concurrency 1'])
  })

  it('leaves a service alone that fails, and tells of it', () => {
    const { clock, enter, finish, notices } = guarding({ circuit: { volume: 2, rest: '3s' } })
    enter()
    enter()
    finish('failure')
    expect(enter()).toBe('503 overloaded circuit 3')
    clock.jump(3_000)
    expect([enter(), enter()]).toEqual(['in', '503 overloaded circuit 1'])
    finish('success')
    expect(enter()).toBe('in')
    expect(notices.map(({ level, event, details }) => [level, event, details?.rule])).toEqual([
      ['warn', 'circuit_opened', 'tickets'],
      ['info', 'circuit_closed', 'tickets'],
    ])
  })

  it('counts what left without an outcome as cancelled, and only the first outcome', () => {
    const { clock, enter, passes, finish } = guarding({ circuit: { volume: 1, rest: '3s' } })
    enter()
    passes.pop()!.leave()
    enter()
    passes[0]!.settle('success')
    passes[0]!.settle('failure')
    expect(enter()).toBe('in')
    finish('failure')
    expect(enter()).toMatch('circuit')
    clock.jump(3_000)
    expect(enter()).toBe('in')
    passes.pop()!.leave()
    expect(enter()).toBe('in')
  })

  it('does not let a stream without end keep the circuit from closing', () => {
    const { clock, enter, finish, passes } = guarding({ circuit: { volume: 1, rest: '3s' }, concurrency: 2 })
    enter()
    finish('failure')
    clock.jump(3_000)
    enter()
    passes[0]!.settle('success')
    expect([enter(), enter()]).toEqual(['in', '503 overloaded concurrency 1'])
  })

  it('lets nobody try the service whom another limit refuses', () => {
    const { clock, enter, finish } = guarding({
      circuit: { volume: 1, rest: '1s' },
      rate: { requests: 1, per: '2s' },
    })
    enter()
    finish('failure')
    clock.jump(1_000)
    expect(enter()).toBe('429 too_many 1')
    expect(enter({ client: '192.0.2.99' })).toBe('in')
  })

  it('never has more under way than it may, and loses no place', () => {
    const steps = fc.array(fc.oneof(fc.constant('enter'), fc.nat(9)), { maxLength: 300 })
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 5 }), (steps, most) => {
        const { enter, passes } = guarding({ concurrency: most })
        for (const step of steps) {
          const fits = passes.length < most
          if (step === 'enter') expect(enter() === 'in').toBe(fits)
          else passes.splice(Number(step), 1)[0]?.leave()
        }
        while (passes.length > 0) passes.pop()!.leave()
        for (let request = 0; request < most; request++) expect(enter()).toBe('in')
        expect(enter()).not.toBe('in')
      }),
    )
  })
})

describe('a canary', () => {
  const canary = {
    select: { version: '^2' },
    header: { name: 'X-Canary', value: 'yes' },
    cookie: { name: 'canary', value: 'yes' },
  }

  it('gets its share of the requests', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (share) => {
        const { guard } = guarding({ canary: { ...canary, share } })
        let count = 0
        for (let request = 0; request < 2_000; request++) if (guard.part(inquiry()).name === 'canary') count++
        // What is equidistant is off by no more than a few.
        expect(Math.abs(count - 2_000 * share)).toBeLessThan(6)
      }),
    )
  })

  it.each<[string, string | undefined, string | undefined, number, string]>([
    ['the header', 'yes', undefined, 0, 'canary'],
    ['another value of the header', 'no', undefined, 1, 'rest'],
    ['an empty header', '', undefined, 1, 'rest'],
    ['the cookie', undefined, 'a=b; canary=yes', 0, 'canary'],
    ['a cookie in quotes', undefined, 'canary="yes"', 0, 'canary'],
    ['another value of the cookie', undefined, 'canary=no', 1, 'rest'],
    ['cookies of other names', undefined, 'xcanary=yes; canaryx=yes; x=canary=yes', 1, 'canary'],
    ['cookies of other names', undefined, 'xcanary=yes; canaryx=yes; x=canary=yes', 0, 'rest'],
    ['a header that is not said by the cookie', 'no', 'canary=yes', 1, 'rest'],
    ['a header although the cookie says otherwise', 'yes', 'canary=no', 0, 'canary'],
  ])('is pinned by %s', (_what, header, cookie, share, part) => {
    const { guard } = guarding({ canary: { ...canary, share } })
    const headers = {
      ...(header !== undefined && { 'x-canary': header }),
      ...(cookie !== undefined && { cookie }),
    }
    expect(guard.part(inquiry({ headers })).name).toBe(part)
  })

  it('has the same parts for all requests', () => {
    const { guard } = guarding({ canary: { ...canary, share: 0.5 } })
    const parts = new Set(Array.from({ length: 100 }, () => guard.part(inquiry())))
    expect(parts.size).toBe(2)
  })
})

describe('a fallback', () => {
  it('is a fixed answer, that nobody on the way may keep', () => {
    const { guard } = guarding({
      fallback: { type: 'static', body: '{}', contentType: 'application/json', status: 200 },
    })
    expect(guard.fallback?.record(inquiry(), 200, {})).toBeUndefined()
    expect(guard.fallback?.substitute(inquiry({ method: 'POST' }))).toEqual({
      status: 200,
      headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
      body: Buffer.from('{}'),
    })
  })

  it.each([
    ['spare', { namespace: 'default', service: 'spare' }],
    ['test.shop/spare', { namespace: 'test.shop', service: 'spare' }],
  ])('is another service: %s', (service, key) => {
    const { guard } = guarding({ fallback: { type: 'service', service } })
    expect(guard.fallback?.substitute(inquiry())).toEqual(key)
  })

  it('is the last good answer', () => {
    const { guard } = guarding({ fallback: { type: 'last-good' } })
    const recorder = guard.fallback?.record(inquiry(), 200, {})
    recorder?.data(Buffer.from('good'))
    recorder?.end()
    expect(guard.fallback?.substitute(inquiry())).toMatchObject({ status: 200, body: Buffer.from('good') })
  })
})
