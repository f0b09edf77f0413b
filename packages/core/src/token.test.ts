import { expect, it } from 'vitest'
import { token } from './token.ts'

it('is never the same twice', () => {
  const tokens = Array.from({ length: 10_000 }, token)
  expect(new Set(tokens).size).toBe(tokens.length)
  for (const one of tokens) expect(one).toMatch(/^[\w-]{22}$/)
})
