import { follower } from '@seamark/conformance'
import type { Notice } from '@seamark/core'
import { type FakeClock, fakeClock } from '@seamark/core/testing'
import { expect, test } from 'vitest'
import { type Asked, a, type Sent, scriptedServer, soa } from '../test/scripted-server.ts'
import { type DnsSourceOptions, dnsSource } from './dns-source.ts'

const key = (service: string) => ({ namespace: 'default', service })

/** A source whose services are addresses, on a clock of its own, and the server it asks. */
async function world(script: (asked: Asked) => Sent, options: DnsSourceOptions = {}) {
  const clock = fakeClock()
  const server = await scriptedServer((asked) =>
    asked.type === 'A'
      ? script(asked)
      : asked.answer({ code: asked.type === 'SRV' ? 0 : 3, authorities: [soa('local', 3_600)] }),
  )
  const source = dnsSource([server.address], { name: '{service}.local', clock, ...options })
  return {
    clock,
    source,
    /** How often the addresses of a service were asked for. */
    count: (service: string) =>
      server.asked.filter(({ name, type }) => name === `${service}.local` && type === 'A').length,
    async [Symbol.asyncDispose]() {
      await source[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2))
}

/** Lets a clock pass, in steps, until a condition holds. */
async function passing(clock: FakeClock, holds: () => boolean): Promise<void> {
  while (!holds()) {
    await clock.advance(100)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

test.each([
  ['its TTL', 30, 30_000],
  ['a second, when the TTL is less', 0, 1_000],
  ['a minute, when the TTL is more', 86_400, 60_000],
  ['a second, when the TTL is none', 0xffff_ffff, 1_000],
])('an answer is believed for %s', async (_, ttl, expected) => {
  let turn = 0
  await using w = await world(({ name, answer }) => answer({ answers: [a(name, `10.0.0.${++turn}`, ttl)] }))
  await using following = follower(w.source, [key('api')])
  await following.until('the first answer', ({ entries }) => entries.size === 1)
  await w.clock.advance(expected - 1)
  expect(w.count('api')).toBe(1)
  await w.clock.advance(1)
  await following.until(
    'the second answer',
    () => following.entry({ ...key('api'), id: '10.0.0.2:80' }) !== undefined,
  )
  expect(w.count('api')).toBe(2)
})

test.each([
  ['as long as its zone says', [soa('local', 3_600, 10)], 10_000],
  ['a second, when nothing says how long', [], 1_000],
])('that there is none is believed for %s', async (_, authorities, expected) => {
  let there = false
  await using w = await world(({ name, answer }) =>
    there ? answer({ answers: [a(name, '10.0.0.1')] }) : answer({ code: 3, authorities }),
  )
  await using following = follower(w.source, [key('api')])
  await following.until('that there is none', () => true)
  there = true
  await w.clock.advance(expected - 1)
  expect(w.count('api')).toBe(1)
  await w.clock.advance(1)
  await following.until('that there is one', ({ entries }) => entries.size === 1)
})

test('the same addresses in another order are no change', async () => {
  const addresses = ['10.0.0.1', '10.0.0.2', '10.0.0.3']
  await using w = await world(({ name, answer }) => {
    addresses.push(addresses.shift()!)
    return answer({ answers: addresses.map((address) => a(name, address, 1)) })
  })
  await using following = follower(w.source, [key('api')])
  await following.until('them', ({ entries }) => entries.size === 3)
  await passing(w.clock, () => w.count('api') > 5)
  expect(following.batches).toHaveLength(1)
})

test('watches of the same service share its questions, and a new one its answer', async () => {
  await using w = await world(({ name, answer }) => answer({ answers: [a(name, '10.0.0.1')] }))
  await using one = follower(w.source, [key('api')])
  await using other = follower(w.source, [key('api'), key('web')])
  await one.until('it', ({ entries }) => entries.size === 1)
  await other.until('both', ({ entries }) => entries.size === 2)
  await one[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
  await using later = follower(w.source, [key('api')])
  await later.until('it', ({ entries }) => entries.size === 1)
  expect(w.count('api')).toBe(1)
})

test('a service that nobody watches is not asked for', async () => {
  await using w = await world(({ name, answer }) => answer({ answers: [a(name, '10.0.0.1', 1)] }))
  await using following = follower(w.source, [key('api')])
  await following.until('it', ({ entries }) => entries.size === 1)
  await following[Symbol.asyncDispose]()
  await w.clock.advance(60_000)
  expect(w.count('api')).toBe(1)
})

test('what was watched before is asked for again before it is shown', async () => {
  let address = '10.0.0.1'
  await using w = await world(({ name, answer }) => answer({ answers: [a(name, address, 1)] }))
  {
    await using following = follower(w.source, [key('api')])
    await following.until('it', ({ entries }) => entries.size === 1)
  }
  await w.clock.advance(60_000)
  address = '10.0.0.2'
  await using following = follower(w.source, [key('api')])
  await following.until('the first batch', () => true)
  expect([...following.entries.values()].map(({ instance }) => instance.address)).toEqual(['10.0.0.2'])
})

test('a service that gets no answer keeps what is known of it, and leaves the others in peace', async () => {
  const notices: Notice[] = []
  let failing = false
  let turn = 0
  await using w = await world(
    ({ name, answer }) =>
      failing && name === 'bad.local'
        ? answer({ code: 2 })
        : answer({ answers: [a(name, `10.0.0.${++turn % 250}`, 1)] }),
    { notify: (notice) => notices.push(notice) },
  )
  await using following = follower(w.source, [key('good'), key('bad')])
  await following.until('both', ({ entries }) => entries.size === 2)
  failing = true
  await passing(w.clock, () => notices.length > 0)
  const bad = () => [...following.entries.values()].filter(({ instance }) => instance.service === 'bad')
  expect(bad()).toHaveLength(1)
  const kept = bad()[0]
  const { length } = following.batches
  await passing(w.clock, () => following.batches.length > length + 2)
  expect(bad()).toEqual([kept])
  failing = false
  await passing(w.clock, () => bad()[0] !== kept)
  expect(notices).toMatchObject([
    { level: 'warn', event: 'service_unanswered', details: key('bad') },
    { level: 'info', event: 'service_answered', details: key('bad') },
  ])
})

test('a service that never got an answer holds up a watch for half a minute, and then no more', async () => {
  const notices: string[] = []
  await using w = await world(
    ({ name, answer }) =>
      name === 'bad.local' ? answer({ code: 2 }) : answer({ answers: [a(name, '10.0.0.1', 1)] }),
    { notify: ({ event }) => notices.push(event) },
  )
  await using following = follower(w.source, [key('good'), key('bad')], { persistent: true })
  const begun = w.clock.now()
  await passing(w.clock, () => following.batches.length > 0)
  expect(w.clock.now() - begun).toBeGreaterThanOrEqual(30_000)
  expect([...following.entries.values()].map(({ instance }) => instance.service)).toEqual(['good'])
  expect(notices).toEqual(['service_unanswered'])
})

test('a watch ends when none of its services gets an answer', async () => {
  let failing = false
  await using w = await world(({ name, answer }) =>
    failing ? answer({ code: 2 }) : answer({ answers: [a(name, '10.0.0.1', 1)] }),
  )
  const following = follower(w.source, [key('api'), key('web')])
  await following.until('both', ({ entries }) => entries.size === 2)
  failing = true
  let over = false
  following.ended.catch(() => {
    over = true
  })
  await passing(w.clock, () => over)
  await expect(following.ended).rejects.toMatchObject({ code: 'engine_unavailable' })
})

test('closing ends what is under way', async () => {
  await using w = await world(() => undefined)
  const following = follower(w.source, [key('api')])
  await until(() => w.count('api') === 1)
  await w.source[Symbol.asyncDispose]()
  await expect(following.ended).rejects.toMatchObject({ code: 'closed' })
  await w.clock.advance(60_000)
  expect(w.count('api')).toBe(1)
  const reading = w.source.watch([key('api')], new AbortController().signal)[Symbol.asyncIterator]()
  await expect(reading.next()).rejects.toMatchObject({ code: 'closed' })
})
