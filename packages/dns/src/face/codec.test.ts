import { decode } from 'dns-packet'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { question } from '../../test/face.ts'
import { addressBytes } from './ip-address.ts'
import { MessageWriter } from './message-writer.ts'
import { QueryReader } from './query-reader.ts'
import { codes, type ResourceRecord, texts } from './record.ts'
import { labels, readName, wireName } from './wire-name.ts'

const label = fc.stringMatching(/^[a-zA-Z0-9_-]{1,12}$/)
const host = fc.array(label, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('.'))
const number16 = fc.nat(0xffff)
const ttl = fc.nat(0x7fff_ffff)

test('a name is read as it was written', () => {
  fc.assert(
    fc.property(host, (name) => {
      const written = wireName(name)!
      expect(labels(written).join('.')).toBe(name.toLowerCase())
      expect(readName(written.bytes)).toEqual(written)
    }),
  )
})

test('a name that DNS cannot say is none', () => {
  for (const name of ['a..b', '.a', 'x'.repeat(64), `${'x'.repeat(63)}.`.repeat(4)])
    expect(wireName(name)).toBeUndefined()
  expect(wireName(`${'x'.repeat(61)}.`.repeat(4))?.bytes.length).toBe(249)
  expect(wireName('ä')?.bytes.toString('hex')).toBe('02c3a400')
  expect(wireName('.')?.bytes.toString('hex')).toBe('00')
})

test('the bytes of an address are those that others read', () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      expect(addressBytes(address)?.join('.')).toBe(address)
    }),
  )
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      const bytes = addressBytes(address)!
      const url = new URL(`http://[${address}]/`).hostname
      const text = Array.from({ length: bytes.length / 2 }, (_, n) =>
        bytes.readUInt16BE(n * 2).toString(16),
      ).join(':')
      const same = bytes.length === 4 ? `::ffff:${text}` : text
      expect(new URL(`http://[${same}]/`).hostname).toBe(url)
    }),
  )
  for (const none of ['', 'host', '1.2.3', '1.2.3.4.5', 'fe80::1%eth0', '::1::'])
    expect(addressBytes(none)).toBeUndefined()
})

const record: fc.Arbitrary<ResourceRecord> = fc
  .tuple(fc.option(host, { nil: undefined }), ttl)
  .chain(([owner, ttl]) => {
    const common = { owner: owner === undefined ? undefined : wireName(owner)!, ttl }
    return fc.oneof(
      fc.ipV4().map((ip) => ({ ...common, type: 'A' as const, address: addressBytes(ip)! })),
      fc
        .tuple(fc.constantFrom('CNAME' as const, 'NS' as const, 'PTR' as const), host)
        .map(([type, target]) => ({ ...common, type, target: wireName(target)! })),
      fc.tuple(number16, number16, host).map(([weight, port, target]) => ({
        ...common,
        type: 'SRV' as const,
        weight,
        port,
        target: wireName(target)!,
      })),
      fc.string({ maxLength: 600 }).map((text) => ({ ...common, type: 'TXT' as const, texts: texts(text) })),
      fc
        .tuple(host, host, fc.array(fc.nat(), { minLength: 5, maxLength: 5 }))
        .map(([server, mailbox, numbers]) => ({
          ...common,
          type: 'SOA' as const,
          server: wireName(server)!,
          mailbox: wireName(mailbox)!,
          numbers,
        })),
    )
  })

/** What dns-packet should make of it. */
function expected(record: ResourceRecord, asked: string): object {
  const text = (name: { bytes: Buffer }) => {
    const parts: string[] = []
    for (let at = 0; name.bytes[at] !== 0; at += name.bytes[at]! + 1)
      parts.push(name.bytes.toString('utf8', at + 1, at + 1 + name.bytes[at]!))
    return parts.join('.')
  }
  const common = {
    name: record.owner === undefined ? asked : text(record.owner),
    type: record.type,
    ttl: record.ttl,
  }
  switch (record.type) {
    case 'A':
    case 'AAAA':
      return { ...common, data: record.address.join('.') }
    case 'CNAME':
    case 'NS':
    case 'PTR':
      return { ...common, data: text(record.target) }
    case 'SRV':
      return {
        ...common,
        data: { priority: 1, weight: record.weight, port: record.port, target: text(record.target) },
      }
    case 'SOA': {
      const [serial, refresh, retry, expire, minimum] = record.numbers
      const numbers = { serial, refresh, retry, expire, minimum }
      return { ...common, data: { mname: text(record.server), rname: text(record.mailbox), ...numbers } }
    }
    default:
      return { ...common, data: record.texts }
  }
}

test('a message is read as it was written, names pointing to names included', () => {
  const writer = new MessageWriter()
  const lower = host.map((name) => name.toLowerCase())
  fc.assert(
    fc.property(
      lower,
      fc.array(fc.array(record, { minLength: 1, maxLength: 3 }), { maxLength: 60 }),
      fc.boolean(),
      (asked, groups, edns) => {
        const query = question(asked, 'A', { edns: 0 })
        writer.begin({
          code: codes.ok,
          authoritative: true,
          recursion: false,
          edns: edns ? 1_232 : undefined,
          question: query.subarray(12),
          most: 65_535,
        })
        for (const answers of groups) expect(writer.group({ answers, extra: [] })).toBe(true)
        const bytes = writer.end()
        const { answers = [] } = decode(bytes)
        expect(decode.bytes).toBe(bytes.length)
        const all = groups.flat()
        expect(answers).toHaveLength(all.length)
        // Which letters of a name that was there before are upper case is the first's to say.
        const folded = (value: unknown) => JSON.parse(JSON.stringify(value).toLowerCase())
        for (const [index, answer] of answers.entries())
          expect(folded(answer)).toMatchObject(folded(expected(all[index]!, asked)))
      },
    ),
    { numRuns: 200 },
  )
})

test('a message that is cut is whole, and as long as it may be at most', () => {
  const writer = new MessageWriter()
  const groups = fc.array(
    fc.record({
      answers: fc.array(record, { minLength: 1, maxLength: 2 }),
      extra: fc.array(record, { maxLength: 2 }),
    }),
    { minLength: 1, maxLength: 60 },
  )
  fc.assert(
    fc.property(groups, fc.integer({ min: 512, max: 1_232 }), fc.boolean(), (groups, most, edns) => {
      const query = question('api.service.consul', 'A', { edns: 0 })
      const head = {
        code: codes.ok,
        authoritative: true,
        recursion: false,
        edns: edns ? 1_232 : undefined,
        most,
      }
      writer.begin({ ...head, question: query.subarray(12) })
      const fits = groups.map((group) => writer.group(group))
      const bytes = writer.end()
      const packet = decode(bytes)
      expect(decode.bytes).toBe(bytes.length)
      expect(bytes.length).toBeLessThanOrEqual(most)
      expect(packet.flag_tc).toBe(fits.includes(false))
      expect(packet.answers).toHaveLength(
        groups.filter((_, index) => fits[index]).flatMap(({ answers }) => answers).length,
      )
    }),
    { numRuns: 200 },
  )
})

test('whatever arrives is a question, a code or nothing, and nothing worse', () => {
  const reader = new QueryReader()
  const change = fc.tuple(fc.nat(), fc.nat(255))
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 600 }),
        fc.tuple(host, fc.array(change, { maxLength: 6 }), fc.nat()).map(([name, changes, cut]) => {
          const bytes = question(name)
          for (const [at, value] of changes) bytes[at % bytes.length] = value
          return bytes.subarray(0, cut % (bytes.length + 1))
        }),
      ),
      (bytes) => {
        const verdict = reader.read(Buffer.from(bytes))
        expect(['drop', 'question', codes.malformed, codes.notDone, codes.badVersion]).toContain(verdict)
        if (verdict !== 'drop') expect(reader.end).toBeLessThanOrEqual(bytes.length)
      },
    ),
    { numRuns: 5_000 },
  )
})
