import { expect, it } from 'vitest'
import { Backoff } from './backoff.ts'

it('waits longer each time, up to its most, half of it at random', () => {
  const shortest = new Backoff({ first: 100, most: 1_000, random: () => 0 })
  expect([1, 2, 3, 4, 5, 6].map(() => shortest.next())).toEqual([50, 100, 200, 400, 500, 500])
  const longest = new Backoff({ first: 100, most: 1_000, random: () => 1 })
  expect([1, 2, 3, 4, 5].map(() => longest.next())).toEqual([100, 200, 400, 800, 1_000])
  longest.reset()
  expect(longest.next()).toBe(100)
})
