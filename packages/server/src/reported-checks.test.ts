import { fakeClock } from '@seamark/core/testing'
import { expect, it } from 'vitest'
import { condition } from '../test/condition.ts'
import { instancePath, type Serving, serving } from '../test/serving.ts'

const checks = [{ id: 'beats', type: 'reported', ttl: '10s', initial: 'passing' }]

async function health(served: Serving): Promise<string> {
  const { json } = await served.ask('GET', instancePath('api', 'a'))
  return json?.instance?.health.status ?? 'gone'
}

async function report(served: Serving, status: string): Promise<void> {
  await served.ask('PUT', `${instancePath('api', 'a')}/health`, { checks: [{ id: 'beats', status }] })
}

it('turn critical when nobody reports them in time, whether they ever were or not', async () => {
  const clock = fakeClock()
  await using served = await serving({ clock })
  await served.register('api', 'a', { checks })
  await clock.advance(9_900)
  expect(await health(served)).toBe('passing')
  await clock.advance(400)
  await condition(async () => (await health(served)) === 'critical')
  await report(served, 'passing')
  expect(await health(served)).toBe('passing')
  // The same again is no change of health, but it is in time.
  await clock.advance(9_000)
  await report(served, 'passing')
  await clock.advance(9_000)
  expect(await health(served)).toBe('passing')
  await clock.advance(1_400)
  await condition(async () => (await health(served)) === 'critical')
})

it('are reported through Consul’s API as well', async () => {
  const clock = fakeClock()
  await using served = await serving({ clock })
  await served.register('api', 'a', { checks })
  await clock.advance(9_000)
  const { status } = await fetch(`${served.server.url}/v1/agent/check/warn/service:a:beats`, {
    method: 'PUT',
  })
  expect(status).toBe(200)
  await clock.advance(9_000)
  expect(await health(served)).toBe('warning')
  await clock.advance(1_400)
  await condition(async () => (await health(served)) === 'critical')
})

it('take their instance along once they were critical for as long as it said', async () => {
  const clock = fakeClock()
  await using served = await serving({ clock })
  await served.register('api', 'a', { checks: [{ ...checks[0], deregisterAfter: '30s' }] })
  await report(served, 'critical')
  await clock.advance(29_000)
  expect(await health(served)).toBe('critical')
  await clock.advance(1_400)
  await condition(async () => (await health(served)) === 'gone')
})
