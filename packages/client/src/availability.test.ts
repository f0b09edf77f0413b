import { once } from 'node:events'
import { afterEach, expect, it } from 'vitest'
import { type Availability, availability } from './availability.ts'
import { connect } from './connect.ts'
import type { AnnounceOptions, Discovery } from './discovery.ts'

const open: AsyncDisposable[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]()
})

function discover(): Discovery {
  const discovery = connect('memory:', { signals: false })
  open.push(discovery)
  return discovery
}

function announce(discovery: Discovery, id: string, port: number, more: Partial<AnnounceOptions> = {}) {
  return discovery.announce({ name: 'auth', id, port, address: '127.0.0.1', drain: 0, ...more })
}

/** What is told, in order. */
function record(events: Availability): string[] {
  const told: string[] = []
  events.on('available', ({ id, port }) => told.push(`+${id}:${port}`))
  events.on('unavailable', ({ id, port }) => told.push(`-${id}:${port}`))
  return told
}

it('tells of the instances that are there, of those that come and of those that go', async () => {
  const discovery = discover()
  const first = await announce(discovery, 'a', 1)
  const events = availability(discovery, 'auth')
  const told = record(events)
  await once(events, 'available')
  await Promise.all([announce(discovery, 'b', 2), once(events, 'available')])
  expect(events.endpoints.map(({ id }) => id)).toEqual(['a', 'b'])
  await Promise.all([first.close(), once(events, 'unavailable')])
  expect(told).toEqual(['+a:1', '+b:2', '-a:1'])
})

it('tells of an instance that moves that it is gone there, and is here', async () => {
  const discovery = discover()
  await announce(discovery, 'a', 1)
  const events = availability(discovery, 'auth')
  const told = record(events)
  await once(events, 'available')
  await Promise.all([announce(discovery, 'a', 2), once(events, 'available')])
  await Promise.all([announce(discovery, 'a', 2, { tags: ['blue'] }), announce(discovery, 'b', 3)])
  await once(events, 'available')
  expect(told).toEqual(['+a:1', '-a:1', '+a:2', '+b:3'])
})

it('takes a filter and health into account', async () => {
  const discovery = discover()
  await announce(discovery, 'critical', 1, {
    tags: ['blue'],
    checks: [{ type: 'reported', id: 'self', initial: 'critical' }],
  })
  await announce(discovery, 'green', 2, { tags: ['green'] })
  await announce(discovery, 'doubtful', 3, {
    tags: ['blue'],
    checks: [{ type: 'reported', id: 'self', initial: 'warning' }],
  })
  const events = availability(discovery, 'auth', { tags: ['blue'] })
  const told = record(events)
  await once(events, 'available')
  expect(told).toEqual(['+doubtful:3'])
  expect(() => availability(discovery, 'auth', { version: 'new' })).toThrow('version')
})

it('looks only while somebody listens', async () => {
  const discovery = discover()
  const service = discovery.service('auth')
  const subscribe = service.subscribe.bind(service)
  let subscribed = 0
  service.subscribe = (listener) => {
    const subscription = subscribe(listener)
    subscribed++
    return {
      [Symbol.dispose]() {
        subscribed--
        subscription[Symbol.dispose]()
      },
    }
  }
  await announce(discovery, 'a', 1)
  const events = availability(discovery, 'auth')
  expect(subscribed).toBe(0)
  const listener = () => {}
  events.on('unavailable', listener)
  await once(events, 'available')
  expect(subscribed).toBe(1)
  events.off('unavailable', listener)
  expect(subscribed).toBe(0)
  const [again] = await once(events, 'available')
  expect(again).toMatchObject({ id: 'a' })
  expect(subscribed).toBe(0)
})
