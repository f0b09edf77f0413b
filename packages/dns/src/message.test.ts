import { type Answer as AnyRecord, encode } from 'dns-packet'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { answer } from './answer.ts'
import { query, reply } from './message.ts'

const name = 'api.local'
const asked = query(name, 'SRV', true)

/** Whatever arrives is an answer, no answer to us, or an error; it is never anything worse. */
function read(bytes: Buffer): void {
  try {
    const said = reply(asked, bytes)
    if (said === undefined || said.truncated) return
    const meaning = answer(said, name, 'SRV')
    if ('alias' in meaning) return
    for (const { port, weight, priority } of meaning.services)
      for (const number of [port, weight, priority]) expect(number).toBeLessThan(65_536)
    expect(meaning.ttl).toBeLessThanOrEqual(0x7fff_ffff)
  } catch (error) {
    expect(error).toBeInstanceOf(Error)
  }
}

function message(records: readonly AnyRecord[]): Buffer {
  return encode({
    type: 'response',
    id: asked.bytes.readUInt16BE(0),
    questions: [{ name, type: 'SRV' }],
    answers: [...records],
    additionals: [...records],
  })
}

const host = fc.constantFrom(name, 'a.local', 'b.local', 'A.Local', '.')
const ttl = fc.integer({ min: 0, max: 0xffff_ffff })
const number = fc.integer({ min: 0, max: 0xffff })
const record: fc.Arbitrary<AnyRecord> = fc.oneof(
  fc.record({ type: fc.constant('A' as const), name: host, ttl, data: fc.ipV4() }),
  fc.record({ type: fc.constant('CNAME' as const), name: host, ttl, data: host }),
  fc.record({
    type: fc.constant('SRV' as const),
    name: host,
    ttl,
    data: fc.record({ target: host, port: number, weight: number, priority: number }),
  }),
  fc.record({ type: fc.constant('TXT' as const), name: host, ttl, data: fc.constant('text') }),
)

test('reads whatever a server may say', () => {
  fc.assert(fc.property(fc.array(record, { maxLength: 20 }), (records) => read(message(records))))
})

test('survives answers with bytes changed, added and cut off', () => {
  const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }))
  fc.assert(
    fc.property(
      fc.array(record, { minLength: 1, maxLength: 8 }),
      fc.array(change, { maxLength: 8 }),
      fc.option(fc.nat()),
      (records, changes, cut) => {
        const bytes = message(records)
        const end = 12 + asked.questionBytes
        for (const [at, value] of changes) bytes[end + (at % (bytes.length - end))] = value
        read(cut === null ? bytes : bytes.subarray(0, end + (cut % (bytes.length - end))))
      },
    ),
    { numRuns: 2_000 },
  )
})

test('survives garbage behind the question', () => {
  const count = fc.oneof({ weight: 9, arbitrary: fc.nat(5) }, number)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), count, count, count, (rest, ...counts) => {
      const bytes = Buffer.concat([message([]), rest])
      for (const [index, count] of counts.entries()) bytes.writeUInt16BE(count, 6 + 2 * index)
      read(bytes)
    }),
    { numRuns: 2_000 },
  )
})

test('reads the largest answer of aliases and pointers in no time to speak of', () => {
  // Each record's name is one pointer to a long name; so is each target.
  const long = Array.from({ length: 4 }, () => 'x'.repeat(60)).join('.')
  const first = encode({
    type: 'response',
    id: asked.bytes.readUInt16BE(0),
    questions: [{ name, type: 'SRV' }],
    answers: [{ type: 'CNAME', name, data: long }],
  })
  const at = first.length - long.length - 2
  const one = Buffer.from([
    0xc0 | (at >> 8),
    at & 0xff,
    0,
    5,
    0,
    1,
    0,
    0,
    0,
    1,
    0,
    2,
    0xc0 | (at >> 8),
    at & 0xff,
  ])
  const count = Math.floor((65_535 - first.length) / one.length)
  const bytes = Buffer.concat([first, ...Array.from({ length: count }, () => one)])
  bytes.writeUInt16BE(count + 1, 6)
  const said = reply(asked, bytes)
  expect(said?.answers).toHaveLength(count + 1)
  expect(() => answer(said!, name, 'SRV')).toThrow('do not end')
})
