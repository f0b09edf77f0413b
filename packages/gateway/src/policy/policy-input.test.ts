import { isSeamarkError } from '@seamark/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { noPolicy, policy } from './policy-input.ts'

/** The field that is complained about. */
function wrong(value: unknown): string | undefined {
  try {
    policy('policy', value)
    return undefined
  } catch (error) {
    if (!isSeamarkError(error, 'invalid_field')) throw error
    expect(error.message).toContain(error.field)
    return error.field
  }
}

describe('a policy', () => {
  it('protects nothing unless told to', () => {
    expect(policy('policy', {})).toEqual(noPolicy)
  })

  it('completes what is left out', () => {
    const read = policy('policy', {
      rate: { requests: 100 },
      circuit: {},
      canary: { select: { version: '^2' } },
      fallback: { type: 'last-good' },
    })
    expect(read).toEqual({
      rate: { requests: 100, per: 1_000, burst: 100, by: 'client' },
      circuit: { failures: 0.5, volume: 20, window: 10_000, rest: 5_000 },
      canary: { select: { version: '^2' }, share: 0 },
      fallback: { type: 'last-good', maxAge: 3_600_000 },
    })
    expect(policy('policy', { fallback: { type: 'static', body: 'Later.' } }).fallback).toEqual({
      type: 'static',
      status: 503,
      contentType: 'text/plain; charset=utf-8',
      body: 'Later.',
    })
  })

  it('takes everything there is', () => {
    const given = {
      concurrency: 50,
      rate: { requests: 10, per: '1m', burst: 3, by: 'rule' },
      circuit: { failures: 0.2, volume: 5, window: '30s', rest: 2_000 },
      fallback: { type: 'service', service: 'spare/tickets' },
      canary: {
        select: { version: '>=2.0.0-rc', tags: ['blue'], zone: 'a', metadata: { team: 'x' } },
        share: 0.05,
        header: { name: 'X-Canary', value: 'yes' },
        cookie: { name: 'canary', value: '1' },
      },
    }
    expect(policy('policy', given)).toEqual({
      ...given,
      rate: { ...given.rate, per: 60_000 },
      circuit: { ...given.circuit, window: 30_000 },
      canary: { ...given.canary, header: { name: 'x-canary', value: 'yes' } },
    })
  })

  it('is frozen, and no part of what was given', () => {
    const given = { canary: { select: { tags: ['blue'], metadata: { a: 'b' } } } }
    const read = policy('policy', given)
    given.canary.select.tags.push('green')
    given.canary.select.metadata.a = 'c'
    expect(read.canary?.select).toEqual({ tags: ['blue'], metadata: { a: 'b' } })
    for (const part of [read, read.canary, read.canary?.select, read.canary?.select.metadata])
      expect(Object.isFrozen(part)).toBe(true)
  })

  it.each<[unknown, string]>([
    [null, 'policy'],
    [[], 'policy'],
    ['fast', 'policy'],
    [{ limit: 1 }, 'policy/limit'],
    [JSON.parse('{"__proto__": {}}'), 'policy/__proto__'],
    [{ concurrency: 0 }, 'policy/concurrency'],
    [{ concurrency: '10' }, 'policy/concurrency'],
    [{ concurrency: null }, 'policy/concurrency'],
    [{ rate: 100 }, 'policy/rate'],
    [{ rate: {} }, 'policy/rate/requests'],
    [{ rate: { requests: 0.5 } }, 'policy/rate/requests'],
    [{ rate: { requests: 1, per: 0 } }, 'policy/rate/per'],
    [{ rate: { requests: 1, per: '1 s' } }, 'policy/rate/per'],
    [{ rate: { requests: 1, per: '25h' } }, 'policy/rate/per'],
    [{ rate: { requests: 1, burst: 0 } }, 'policy/rate/burst'],
    [{ rate: { requests: 1, by: 'token' } }, 'policy/rate/by'],
    [{ circuit: true }, 'policy/circuit'],
    [{ circuit: { failures: 0 } }, 'policy/circuit/failures'],
    [{ circuit: { failures: 50 } }, 'policy/circuit/failures'],
    [{ circuit: { failures: Number.NaN } }, 'policy/circuit/failures'],
    [{ circuit: { volume: 0 } }, 'policy/circuit/volume'],
    [{ circuit: { window: 99 } }, 'policy/circuit/window'],
    [{ circuit: { rest: 0 } }, 'policy/circuit/rest'],
    [{ fallback: 'static' }, 'policy/fallback/type'],
    [{ fallback: {} }, 'policy/fallback/type'],
    [{ fallback: { type: 'toString' } }, 'policy/fallback/type'],
    [{ fallback: { type: 'static' } }, 'policy/fallback/body'],
    [{ fallback: { type: 'static', body: { a: 1 } } }, 'policy/fallback/body'],
    [{ fallback: { type: 'static', body: 'ä'.repeat(32_769) } }, 'policy/fallback/body'],
    [{ fallback: { type: 'static', body: '', status: 101 } }, 'policy/fallback/status'],
    [{ fallback: { type: 'static', body: '', contentType: 'a\r\nb: c' } }, 'policy/fallback/contentType'],
    [{ fallback: { type: 'static', body: '', service: 'a' } }, 'policy/fallback/service'],
    [{ fallback: { type: 'service' } }, 'policy/fallback/service'],
    [{ fallback: { type: 'service', service: '/a' } }, 'policy/fallback/service'],
    [{ fallback: { type: 'service', service: 'a/' } }, 'policy/fallback/service'],
    [{ fallback: { type: 'last-good', maxAge: -1 } }, 'policy/fallback/maxAge'],
    [{ canary: {} }, 'policy/canary/select'],
    [{ canary: { select: {} } }, 'policy/canary/select'],
    [{ canary: { select: { health: ['passing'] } } }, 'policy/canary/select/health'],
    [{ canary: { select: { version: 'newest' } } }, 'policy/canary/select/version'],
    [{ canary: { select: { version: 2 } } }, 'policy/canary/select/version'],
    [{ canary: { select: { tags: 'blue' } } }, 'policy/canary/select/tags'],
    [{ canary: { select: { tags: [] } } }, 'policy/canary/select/tags'],
    [{ canary: { select: { tags: ['a', ''] } } }, 'policy/canary/select/tags/1'],
    [{ canary: { select: { zone: '' } } }, 'policy/canary/select/zone'],
    [{ canary: { select: { metadata: { team: 1 } } } }, 'policy/canary/select/metadata/team'],
    [{ canary: { select: { zone: 'a' }, share: 5 } }, 'policy/canary/share'],
    [{ canary: { select: { zone: 'a' }, header: 'x-canary' } }, 'policy/canary/header'],
    [{ canary: { select: { zone: 'a' }, header: { name: 'x-canary' } } }, 'policy/canary/header/value'],
    [{ canary: { select: { zone: 'a' }, header: { name: 'a b', value: 'c' } } }, 'policy/canary/header/name'],
    [{ canary: { select: { zone: 'a' }, cookie: { name: 'a=', value: 'c' } } }, 'policy/canary/cookie/name'],
  ])('refuses %j, and names the field', (value, field) => {
    expect(wrong(value)).toBe(field)
  })

  it('refuses whatever else comes, or takes it', () => {
    const names = ['rate', 'circuit', 'fallback', 'canary', 'concurrency']
    const nested = fc.oneof(
      fc.jsonValue(),
      fc.dictionary(fc.constantFrom('type', 'select', 'by'), fc.jsonValue()),
    )
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.dictionary(fc.constantFrom(...names), nested)), (value) => {
        const field = wrong(value)
        expect(field === undefined || field.startsWith('policy')).toBe(true)
      }),
    )
  })
})
