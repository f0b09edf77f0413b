import { expect, test } from 'vitest'
import { fakeClock } from './fake-clock.ts'
import { Wakeups } from './wakeups.ts'

test('wakes inside the window that was asked for', async () => {
  const clock = fakeClock()
  const wakeups = new Wakeups(clock)
  const start = clock.now()
  const woken: number[] = []
  for (let n = 0; n < 20; n++)
    void wakeups
      .sleep(200 + n, 300 + n, new AbortController().signal)
      .then(() => woken.push(clock.now() - start))
  await clock.advance(199)
  expect(woken).toEqual([])
  await clock.advance(200)
  expect(woken).toHaveLength(20)
  for (const [n, at] of woken.sort((a, b) => a - b).entries()) {
    expect(at).toBeGreaterThanOrEqual(200)
    expect(at).toBeLessThanOrEqual(300 + n)
  }
})

test('wakes together those whose windows meet, so that they come to march in step', async () => {
  const clock = fakeClock()
  const wakeups = new Wakeups(clock)
  const moments = new Map<number, number>()
  async function renewing(): Promise<void> {
    const { signal } = new AbortController()
    for (;;) {
      await wakeups.sleep(220, 333, signal)
      moments.set(clock.now(), (moments.get(clock.now()) ?? 0) + 1)
    }
  }
  for (let n = 0; n < 50; n++) {
    void renewing()
    await clock.advance(20)
  }
  moments.clear()
  await clock.advance(10_000)
  const requests = moments.size
  const renewals = [...moments.values()].reduce((sum, count) => sum + count, 0)
  expect(renewals).toBeGreaterThan(1_400)
  expect(renewals / requests).toBeGreaterThan(10)
})

test('ends at once when aborted', async () => {
  const clock = fakeClock()
  const controller = new AbortController()
  const sleeping = new Wakeups(clock).sleep(1_000, 2_000, controller.signal)
  controller.abort()
  await sleeping
  await new Wakeups(clock).sleep(1_000, 2_000, controller.signal)
})
