import { createSocket } from 'node:dgram'
import { type FakeClock, fakeClock } from '@seamark/core/testing'
import type { Answer as AnyRecord } from 'dns-packet'
import { describe, expect, test } from 'vitest'
import { type Asked, a, type Sent, scriptedServer, soa } from '../test/scripted-server.ts'
import type { Answer } from './answer.ts'
import { Resolver } from './resolver.ts'

const name = 'api.local'
const truncated = 1 << 9
const cname = (from: string, to: string): AnyRecord => ({
  type: 'CNAME',
  name: from,
  data: to,
  ttl: 30,
  class: 'IN',
})

interface World extends AsyncDisposable {
  readonly clock: FakeClock
  readonly asked: readonly Asked[]
  resolve(type?: 'A' | 'SRV', signal?: AbortSignal): Promise<Answer>
}

async function world(script: (asked: Asked) => Sent | Promise<Sent>): Promise<World> {
  const clock = fakeClock()
  const server = await scriptedServer(script)
  const resolver = new Resolver([{ host: '127.0.0.1', port: server.port }], { clock, timeout: 4_000 })
  return {
    clock,
    asked: server.asked,
    resolve: (type = 'A', signal = new AbortController().signal) => resolver.resolve(name, type, signal),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** Lets a clock pass until a promise is settled. */
async function settled<T>(clock: FakeClock, promise: Promise<T>): Promise<T> {
  let over = false
  const end = () => {
    over = true
  }
  promise.then(end, end)
  while (!over) {
    await clock.advance(100)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  return promise
}

const good = (asked: Asked) => asked.answer({ answers: [a(asked.name, '10.0.0.1')] })

/** The answer with another address, and with some of its bytes changed. */
function changed(asked: Asked, change: (bytes: Buffer) => void): Buffer {
  const bytes = asked.answer({ answers: [a(asked.name, '6.6.6.6')] })
  change(bytes)
  return bytes
}

describe('what is no answer to the question is passed over', () => {
  test.each<[string, (asked: Asked) => Buffer]>([
    [
      'one with another id',
      (asked) => changed(asked, (bytes) => bytes.writeUInt16BE(bytes.readUInt16BE(0) ^ 1, 0)),
    ],
    ['one about another name', (asked) => changed(asked, (bytes) => bytes.write('x', 13))],
    ['one about another type', (asked) => changed(asked, (bytes) => bytes.writeUInt8(28, 12 + 11 + 1))],
    ['one without a question', (asked) => asked.answer({ questions: [] })],
    [
      'one with two questions',
      (asked) =>
        asked.answer({
          questions: [
            { name, type: 'A' },
            { name, type: 'A' },
          ],
        }),
    ],
    ['the question itself', (asked) => asked.bytes],
    ['another operation', (asked) => asked.answer({ flags: 4 << 11 })],
    ['garbage', () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['half of a header', (asked) => good(asked).subarray(0, 7)],
    ['nothing', () => Buffer.alloc(0)],
  ])('%s', async (_, wrong) => {
    await using w = await world((asked) => [wrong(asked), good(asked)])
    expect((await w.resolve()).addresses).toEqual(['10.0.0.1'])
    expect(w.asked).toHaveLength(1)
  })

  test('and waited for what is, no longer than a while', async () => {
    await using w = await world((asked) => changed(asked, (bytes) => bytes.write('x', 13)))
    await expect(settled(w.clock, w.resolve())).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: expect.stringMatching(/^DNS does not answer for api\.local A \(127.*no answer\)\.$/),
    })
    expect(w.asked.length).toBeGreaterThan(1)
  })
})

test('what another than the server sends is passed over, however right it looks', async () => {
  const forger = createSocket('udp4')
  await using w = await world(async (asked) => {
    const forged = asked.answer({ answers: [a(asked.name, '6.6.6.6')] })
    await new Promise((resolve) => forger.send(forged, asked.port, '127.0.0.1', resolve))
    return good(asked)
  })
  expect((await w.resolve()).addresses).toEqual(['10.0.0.1'])
  forger.close()
})

test('asks from a port and with an id of its own each time', async () => {
  await using w = await world(good)
  for (let round = 0; round < 20; round++) await w.resolve()
  expect(new Set(w.asked.map(({ bytes }) => bytes.readUInt16BE(0))).size).toBeGreaterThan(10)
  expect(new Set(w.asked.map(({ port }) => port)).size).toBeGreaterThan(10)
})

describe('an answer that cannot be read is a failure', () => {
  const header = 12 + 11 + 4
  test.each<[string, (asked: Asked) => Buffer]>([
    ['cut off', (asked) => good(asked).subarray(0, -3)],
    ['cut off before its records', (asked) => good(asked).subarray(0, header)],
    [
      'a name that points to itself',
      (asked) => changed(asked, (bytes) => bytes.writeUInt16BE(0xc000 + header, header)),
    ],
    [
      'a name that points ahead',
      (asked) => changed(asked, (bytes) => bytes.writeUInt16BE(0xc000 + header + 5, header)),
    ],
    ['a label of no known kind', (asked) => changed(asked, (bytes) => bytes.writeUInt8(0x80, header))],
    [
      'many records, none of them there',
      (asked) => changed(asked, (bytes) => bytes.writeUInt16BE(0xffff, 6)),
    ],
    [
      'aliases in a circle',
      (asked) => asked.answer({ answers: [cname(name, 'b.local'), cname('b.local', name)] }),
    ],
  ])('%s', async (_, wrong) => {
    await using w = await world(wrong)
    await expect(settled(w.clock, w.resolve())).rejects.toMatchObject({ code: 'engine_unavailable' })
    expect(w.asked).toHaveLength(3)
  })
})

test('asks again when there is no answer', async () => {
  await using w = await world((asked) => (w.asked.length < 3 ? undefined : good(asked)))
  expect((await settled(w.clock, w.resolve())).addresses).toEqual(['10.0.0.1'])
  expect(new Set(w.asked.map(({ bytes }) => bytes.readUInt16BE(0))).size).toBeGreaterThan(1)
})

test('an answer that is late is an answer', async () => {
  let release = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  await using w = await world(async (asked) => {
    await released
    return good(asked)
  })
  const resolving = w.resolve()
  while (w.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  await w.clock.advance(999)
  release()
  expect((await resolving).addresses).toEqual(['10.0.0.1'])
})

test.each([
  [1, 'FORMERR'],
  [4, 'NOTIMP'],
])('asks a server that does not know EDNS (code %i) without it', async (code) => {
  await using w = await world((asked) => (asked.edns ? asked.answer({ code }) : good(asked)))
  expect((await w.resolve()).addresses).toEqual(['10.0.0.1'])
  expect(w.asked.map(({ edns }) => edns)).toEqual([true, false])
})

test('asks without EDNS a server that sends back nothing but a header', async () => {
  await using w = await world((asked) =>
    asked.edns ? asked.answer({ code: 1, questions: [] }) : good(asked),
  )
  expect((await w.resolve()).addresses).toEqual(['10.0.0.1'])
})

test('does not take the version that EDNS refuses for an answer', async () => {
  const options: AnyRecord = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: 512,
    extendedRcode: 1,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  }
  await using w = await world((asked) =>
    asked.edns ? asked.answer({ additionals: [options] }) : good(asked),
  )
  expect((await w.resolve()).addresses).toEqual(['10.0.0.1'])
})

describe('what is truncated', () => {
  test('is asked for over TCP, however the datagram ends', async () => {
    await using w = await world((asked) =>
      asked.transport === 'tcp'
        ? good(asked)
        : changed(asked, (bytes) => bytes.writeUInt16BE(bytes.readUInt16BE(2) | truncated, 2)).subarray(
            0,
            -2,
          ),
    )
    expect((await w.resolve()).addresses).toEqual(['10.0.0.1'])
    expect(w.asked.map(({ transport }) => transport)).toEqual(['udp', 'tcp'])
  })

  test.each<[string, (asked: Asked) => Buffer | undefined]>([
    ['nothing', () => undefined],
    ['the answer to another question', (asked) => changed(asked, (bytes) => bytes.write('x', 13))],
    ['less again', (asked) => asked.answer({ flags: truncated })],
    ['half of it', (asked) => good(asked).subarray(0, -3)],
  ])('is not known when TCP brings %s', async (_, wrong) => {
    await using w = await world((asked) =>
      asked.transport === 'tcp' ? wrong(asked) : asked.answer({ flags: truncated }),
    )
    await expect(settled(w.clock, w.resolve())).rejects.toMatchObject({ code: 'engine_unavailable' })
  })
})

test('asks over TCP alone when told to', async () => {
  await using server = await scriptedServer(good)
  const resolver = new Resolver([server], { clock: fakeClock(), timeout: 4_000, transport: 'tcp' })
  expect((await resolver.resolve(name, 'A', new AbortController().signal)).addresses).toEqual(['10.0.0.1'])
  expect(server.asked.map(({ transport }) => transport)).toEqual(['tcp'])
})

test('asks for the end of an alias that an answer leaves open', async () => {
  await using w = await world((asked) =>
    asked.name === name ? asked.answer({ answers: [cname(name, 'b.local')] }) : good(asked),
  )
  expect((await w.resolve()).addresses).toEqual(['10.0.0.1'])
  expect(w.asked.map((asked) => asked.name)).toEqual([name, 'b.local'])
})

test('does not follow aliases for ever', async () => {
  await using w = await world((asked) =>
    asked.answer({ answers: [cname(asked.name, `x${w.asked.length}.local`)] }),
  )
  await expect(settled(w.clock, w.resolve())).rejects.toMatchObject({ code: 'engine_unavailable' })
  expect(w.asked.length).toBeLessThan(20)
})

test('a server that only knows whom else to ask has not answered', async () => {
  const referral: AnyRecord = { type: 'NS', name: 'local', data: 'ns.local', ttl: 30, class: 'IN' }
  await using w = await world((asked) => asked.answer({ authorities: [referral] }))
  await expect(settled(w.clock, w.resolve())).rejects.toMatchObject({ code: 'engine_unavailable' })
})

test('passes over records of other names, classes and kinds', async () => {
  await using w = await world((asked) =>
    asked.answer({
      answers: [
        a('other.local', '10.0.0.9'),
        { ...a(name, '10.0.0.8'), class: 'CH' } as AnyRecord,
        { type: 'TXT', name, data: 'hello', ttl: 1 },
        a('API.local', '10.0.0.1'),
      ],
    }),
  )
  expect(await w.resolve()).toMatchObject({ addresses: ['10.0.0.1'], ttl: 30 })
})

test('takes a server that answers in other letters', async () => {
  await using w = await world((asked) =>
    asked.answer({ questions: [{ name: 'API.Local', type: 'A' }], answers: [a('aPi.local', '10.0.0.1')] }),
  )
  expect((await w.resolve()).addresses).toEqual(['10.0.0.1'])
})

test('tells a name that does not exist from one without such records', async () => {
  let code = 3
  await using w = await world((asked) => asked.answer({ code, authorities: [soa('local', 60, 5)] }))
  expect(await w.resolve()).toMatchObject({ exists: false, addresses: [], ttl: 5 })
  code = 0
  expect(await w.resolve()).toMatchObject({ exists: true, addresses: [], ttl: 5 })
})

test('stops at once when it is aborted', async () => {
  await using w = await world(() => undefined)
  const controller = new AbortController()
  const resolving = w.resolve('A', controller.signal)
  const reason = new Error('enough')
  controller.abort(reason)
  await expect(resolving).rejects.toBe(reason)
  await expect(w.resolve('A', controller.signal)).rejects.toBe(reason)
})

test('asks many questions without a flood, and all of them', async () => {
  let most = 0
  let under = 0
  await using w = await world(async (asked) => {
    most = Math.max(most, ++under)
    await new Promise((resolve) => setTimeout(resolve, 1))
    under--
    return good(asked)
  })
  const answers = await Promise.all(Array.from({ length: 500 }, () => w.resolve()))
  expect(answers.every(({ addresses }) => addresses[0] === '10.0.0.1')).toBe(true)
  expect(most).toBeLessThanOrEqual(64)
})

test('goes on to the next server, and stays with the one that answers', async () => {
  await using failing = await scriptedServer((asked) => asked.answer({ code: 2 }))
  await using serving = await scriptedServer(good)
  const servers = [failing, serving].map(({ port }) => ({ host: '127.0.0.1', port }))
  const resolver = new Resolver(servers, { clock: fakeClock(), timeout: 4_000 })
  for (let round = 0; round < 3; round++)
    expect((await resolver.resolve(name, 'A', new AbortController().signal)).addresses).toHaveLength(1)
  expect([failing.asked.length, serving.asked.length]).toEqual([1, 3])
})

test('asks a server that is known by its name', async () => {
  await using server = await scriptedServer(good)
  const resolver = new Resolver([{ host: 'localhost', port: server.port }], {
    clock: fakeClock(),
    timeout: 4_000,
  })
  expect((await resolver.resolve(name, 'A', new AbortController().signal)).addresses).toHaveLength(1)
})

test('says which server is known by no name', async () => {
  const clock = fakeClock()
  const resolver = new Resolver([{ host: 'nowhere.invalid', port: 53 }], { clock, timeout: 4_000 })
  await expect(
    settled(clock, resolver.resolve(name, 'A', new AbortController().signal)),
  ).rejects.toMatchObject({
    code: 'engine_unavailable',
    message: expect.stringContaining('nowhere.invalid:53'),
  })
})
