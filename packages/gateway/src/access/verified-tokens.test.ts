import { fakeClock } from '@seamark/core/testing'
import { describe, expect, it } from 'vitest'
import { identity } from './identity.ts'
import { VerifiedTokens } from './verified-tokens.ts'

const anna = identity({ sub: 'anna' }, 'roles')!

describe('verified tokens', () => {
  it('are known until they expire', () => {
    const clock = fakeClock()
    const tokens = new VerifiedTokens(clock, 10_000)
    tokens.set('a', anna, clock.date() + 1_000)
    clock.jump(999)
    expect(tokens.get('a')).toBe(anna)
    expect(tokens.get('b')).toBeUndefined()
    clock.jump(1)
    expect(tokens.get('a')).toBeUndefined()
  })

  it('are bounded, and those that are used stay', () => {
    const tokens = new VerifiedTokens(fakeClock(), 100_000)
    tokens.set('used', anna, Number.POSITIVE_INFINITY)
    tokens.set('unused', anna, Number.POSITIVE_INFINITY)
    const known = () =>
      Array.from({ length: 1_000 }, (_, n) => tokens.get(`token ${n}`)).filter(Boolean).length
    for (let n = 0; n < 1_000; n++) {
      tokens.set(`token ${n}`, anna, Number.POSITIVE_INFINITY)
      expect(tokens.get('used')).toBe(anna)
    }
    expect(tokens.get('unused')).toBeUndefined()
    expect(known()).toBeLessThan(200)
    expect(known()).toBeGreaterThan(50)
  })

  it('make room for each other by their length', () => {
    const tokens = new VerifiedTokens(fakeClock(), 100_000)
    tokens.set('first', anna, Number.POSITIVE_INFINITY)
    for (let n = 0; n < 10; n++) tokens.set(`${n}`.repeat(8_192), anna, Number.POSITIVE_INFINITY)
    expect(tokens.get('first')).toBeUndefined()
  })

  it('are whole: the end of one is not enough', () => {
    const tokens = new VerifiedTokens(fakeClock(), 10_000)
    const end = 'x'.repeat(100)
    tokens.set(`a${end}`, anna, Number.POSITIVE_INFINITY)
    expect(tokens.get(`a${end}`)).toBe(anna)
    for (const other of [`b${end}`, end, end.slice(-32), `ba${end}`])
      expect(tokens.get(other)).toBeUndefined()
  })

  it('are all forgotten when told to', () => {
    const tokens = new VerifiedTokens(fakeClock(), 10_000)
    tokens.set('a', anna, Number.POSITIVE_INFINITY)
    tokens.clear()
    expect(tokens.get('a')).toBeUndefined()
  })
})
