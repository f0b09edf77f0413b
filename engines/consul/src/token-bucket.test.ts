import { fakeClock } from '@seamark/core/testing'
import { expect, it } from 'vitest'
import { TokenBucket } from './token-bucket.ts'

it('lets two through at once, and then one each interval', async () => {
  const clock = fakeClock()
  const bucket = new TokenBucket(clock)
  const { signal } = new AbortController()
  const times: number[] = []
  const start = clock.now()
  const takers = (async () => {
    for (let turn = 0; turn < 5; turn++) {
      await bucket.take(100, signal)
      times.push(clock.now() - start)
    }
  })()
  await clock.advance(1_000)
  await takers
  expect(times).toEqual([0, 0, 100, 200, 300])
  await clock.advance(1_000)
  await bucket.take(100, signal)
  expect(clock.now() - start).toBe(2_000)
})

it('waits no longer than its signal', async () => {
  const clock = fakeClock()
  const bucket = new TokenBucket(clock)
  const controller = new AbortController()
  await bucket.take(100, controller.signal)
  await bucket.take(100, controller.signal)
  const third = bucket.take(100, controller.signal)
  controller.abort(new Error('enough'))
  await expect(third).rejects.toThrow('enough')
})
