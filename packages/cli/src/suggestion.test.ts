import { describe, expect, it } from 'vitest'
import { nearest, suggestion } from './suggestion.ts'

describe('a suggestion', () => {
  const names = ['host', 'port', 'engine', 'allow-host', 'log-level']

  it.each([
    ['prot', 'port'],
    ['pot', 'port'],
    ['PORT', 'port'],
    ['enginee', 'engine'],
    ['allow-hots', 'allow-host'],
    ['loglevel', 'log-level'],
    ['log-lvel', 'log-level'],
  ])('for %s is %s', (slip, meant) => {
    expect(nearest(slip, names)).toBe(meant)
  })

  it.each(['', 'x', 'timeout', 'po', 'log'])('is not made for %j, which is too far from all', (word) => {
    expect(nearest(word, names)).toBeUndefined()
  })

  it('is a question, or nothing', () => {
    expect(suggestion('prot', names)).toBe(' Did you mean "port"?')
    expect(suggestion('timeout', names)).toBe('')
  })
})
