import { type Notice, SeamarkError } from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { expect, test } from 'vitest'
import { Outbox } from './outbox.ts'

const away = new SeamarkError('engine_unavailable', 'The engine is away.')

function outbox() {
  const clock = fakeClock()
  const notices: Notice[] = []
  const box = new Outbox({ clock, notify: (notice) => notices.push(notice), random: () => 1 })
  return { box, clock, events: () => notices.map(({ event }) => event) }
}

test('sends different things side by side, and the same thing one after the other', async () => {
  const { box, clock } = outbox()
  const log: string[] = []
  let release: () => void = () => {}
  const slow = new Promise<void>((resolve) => {
    release = resolve
  })
  box.put('a', async () => {
    log.push('a1')
    await slow
  })
  box.put('a', async () => void log.push('a2'))
  box.put('a', async () => void log.push('a3'))
  box.put('b', async () => void log.push('b'))
  await clock.advance(0)
  expect(log).toEqual(['a1', 'b'])
  release()
  await clock.advance(0)
  expect(log).toEqual(['a1', 'b', 'a3'])
})

test('tries again until the engine is back, with the latest, and tells of both once', async () => {
  const { box, clock, events } = outbox()
  const tries: string[] = []
  let broken = true
  const write = (what: string) => async () => {
    tries.push(what)
    if (broken) throw away
  }
  box.put('a', write('a1'))
  box.put('b', write('b1'))
  await clock.advance(0)
  box.put('a', write('a2'))
  expect(tries).toEqual(['a1', 'b1'])
  await clock.advance(5_000)
  expect(new Set(tries)).toEqual(new Set(['a1', 'b1', 'a2']))
  // 100, 200, 400 … ms: far fewer than the timers of 5 s could be.
  expect(tries.length).toBeLessThan(12)
  broken = false
  tries.length = 0
  await clock.advance(10_000)
  expect(tries.sort()).toEqual(['a2', 'b1'])
  expect(events()).toEqual(['health_write_failed', 'health_write_recovered'])
})

test('does not repeat what would fail for ever', async () => {
  const { box, clock, events } = outbox()
  let tries = 0
  box.put('a', async () => {
    tries++
    throw new SeamarkError('invalid_field', 'Too many results.')
  })
  await clock.advance(60_000)
  expect(tries).toBe(1)
  expect(events()).toEqual(['health_write_refused'])
})

test('ends when what is on its way has ended, and forgets the rest', async () => {
  const { box, clock } = outbox()
  let release: () => void = () => {}
  let tries = 0
  box.put('a', async () => {
    tries++
    await new Promise<void>((resolve) => {
      release = resolve
    })
    throw away
  })
  let closed = false
  const closing = box.close().then(() => {
    closed = true
  })
  await clock.advance(60_000)
  expect(closed).toBe(false)
  release()
  await closing
  box.put('b', async () => void tries++)
  await clock.advance(60_000)
  expect(tries).toBe(1)
})
