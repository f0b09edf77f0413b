import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Schedule } from './schedule.ts'

test('spreads checks with the same interval over it evenly', () => {
  const buckets = new Array<number>(100).fill(0)
  for (let i = 0; i < 10_000; i++)
    buckets[Math.floor((new Schedule(`api/i${i}`, 10_000).after(50_000) - 50_001) / 100)]!++
  expect(Math.min(...buckets)).toBeGreaterThan(50)
  expect(Math.max(...buckets)).toBeLessThan(150)
})

test('beats once an interval, measured start to start', () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.integer({ min: 1_000, max: 86_400_000 }),
      fc.double({ min: 0, max: 1e12, noNaN: true }),
      (name, interval, time) => {
        const schedule = new Schedule(name, interval)
        const first = schedule.after(time)
        expect(first).toBeGreaterThan(time)
        expect(first).toBeLessThanOrEqual(time + interval)
        expect(schedule.after(first)).toBe(first + interval)
      },
    ),
  )
})
