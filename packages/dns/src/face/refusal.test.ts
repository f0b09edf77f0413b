import { createSocket } from 'node:dgram'
import { encode } from 'dns-packet'
import { describe, expect, it } from 'vitest'
import { question, said, served } from '../../test/face.ts'

const header = (flags: number, counts: readonly [number, number, number, number]) => {
  const bytes = Buffer.alloc(12)
  bytes.writeUInt16BE(0x1234)
  bytes.writeUInt16BE(flags, 2)
  for (const [index, count] of counts.entries()) bytes.writeUInt16BE(count, 4 + index * 2)
  return bytes
}
const asked = question('api.service.consul', 'A', { edns: 0 })
const name = asked.subarray(12)

describe('what nobody here knows', () => {
  it('is refused', async () => {
    await using face = await served()
    for (const other of ['example.com', 'com', '', 'consul.example', 'notconsul'])
      expect(await face.ask(other, 'A', { recursive: true })).toMatchObject({ code: 'REFUSED', answers: [] })
  })

  it('is refused in other classes than the Internet', async () => {
    await using face = await served()
    const chaos = question('version.bind', 'TXT', { edns: 0 })
    chaos[chaos.length - 1] = 3
    expect(said(await face.send(chaos)).code).toBe('REFUSED')
    const any = Buffer.from(asked)
    any[any.length - 1] = 255
    expect(said(await face.send(any)).code).toBe('REFUSED')
  })
})

describe('what is not done', () => {
  it.each(['AXFR', 'IXFR'])('is a transfer of the zone: %s', async (type) => {
    await using face = await served()
    for (const transport of ['udp', 'tcp'] as const)
      expect((await face.ask('consul', type, { transport })).code).toBe('NOTIMP')
  })

  it.each([
    ['an inverse query', 1],
    ['a question for the status', 2],
    ['a notice', 4],
    ['an update', 5],
  ])('is %s', async (_, opcode) => {
    await using face = await served()
    const answer = await face.send(Buffer.concat([header(opcode << 11, [1, 0, 0, 0]), name]))
    expect(answer.length).toBe(12)
    expect(answer.readUInt16BE(2)).toBe(0x8000 | (opcode << 11) | 4)
  })

  it('is a later version of EDNS', async () => {
    await using face = await served()
    const query = question('api.service.consul')
    query[query.length - 5] = 1
    const { packet } = said(await face.send(query))
    expect(packet.answers).toEqual([])
    expect(packet.additionals).toMatchObject([{ type: 'OPT', extendedRcode: 1, ednsVersion: 0 }])
  })
})

describe('what cannot be read', () => {
  const option = Buffer.from([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0])
  it.each([
    ['no question', header(0, [0, 0, 0, 0])],
    ['two questions', Buffer.concat([header(0, [2, 0, 0, 0]), name, name])],
    ['an answer in the question', Buffer.concat([header(0, [1, 1, 0, 0]), name])],
    ['an authority in the question', Buffer.concat([header(0, [1, 0, 1, 0]), name])],
    ['a name that does not end', Buffer.concat([header(0, [1, 0, 0, 0]), name.subarray(0, 10)])],
    ['a name without type', Buffer.concat([header(0, [1, 0, 0, 0]), name.subarray(0, -3)])],
    [
      'a name that refers to itself',
      Buffer.concat([header(0, [1, 0, 0, 0]), Buffer.from([0xc0, 12, 0, 1, 0, 1])]),
    ],
    [
      'a label of 64 bytes',
      Buffer.concat([
        header(0, [1, 0, 0, 0]),
        Buffer.from([64]),
        Buffer.alloc(64, 'x'),
        Buffer.from([0, 0, 1, 0, 1]),
      ]),
    ],
    [
      'a name of 256 bytes',
      Buffer.concat([
        header(0, [1, 0, 0, 0]),
        ...[63, 63, 63, 62].flatMap((length) => [Buffer.from([length]), Buffer.alloc(length, 'x')]),
        Buffer.from([0, 0, 1, 0, 1]),
      ]),
    ],
    ['more behind it', Buffer.concat([header(0, [1, 0, 0, 0]), name, Buffer.from([0])])],
    ['less than it says', Buffer.concat([header(0, [1, 0, 0, 1]), name])],
    ['two versions of EDNS', Buffer.concat([header(0, [1, 0, 0, 2]), name, option, option])],
    ['EDNS with a name', Buffer.concat([header(0, [1, 0, 0, 1]), name, Buffer.from([1, 0x61]), option])],
    ['EDNS that is cut off', Buffer.concat([header(0, [1, 0, 0, 1]), name, option.subarray(0, -1)])],
    [
      'a hundred records',
      Buffer.concat([header(0, [1, 0, 0, 100]), name, ...Array.from({ length: 100 }, () => option)]),
    ],
  ])('is answered FORMERR: %s', async (_, bytes) => {
    await using face = await served()
    const answer = await face.send(bytes)
    expect(answer.readUInt16BE()).toBe(0x1234)
    expect(answer.readUInt16BE(2) & 0x800f).toBe(0x8001)
    expect(answer.length).toBeLessThanOrEqual(bytes.length + 11)
    expect((await face.ask('api.service.consul')).code).toBe('NXDOMAIN')
  })

  it.each([
    ['an answer', Buffer.concat([header(0x8000, [1, 0, 0, 0]), name])],
    ['nothing', Buffer.alloc(0)],
    ['half a header', Buffer.alloc(11)],
  ])('is passed over, so that no two servers answer each other for ever: %s', async (_, bytes) => {
    await using face = await served()
    const query = question('api.service.consul')
    // Datagrams of one socket are read in their order.
    const socket = createSocket('udp4')
    const first = new Promise<Buffer>((resolve) => socket.once('message', resolve))
    socket.send(bytes, face.port, '127.0.0.1')
    socket.send(query, face.port, '127.0.0.1')
    expect((await first).readUInt16BE()).toBe(query.readUInt16BE())
    socket.close()
  })

  it('may be a record of another kind, such as a signature, which says nothing to us', async () => {
    await using face = await served()
    await face.put({ service: 'api', address: '10.0.0.1' })
    const query = encode({
      type: 'query',
      id: 7,
      questions: [{ type: 'A', name: 'api.service.consul' }],
      additionals: [{ type: 'TXT', name: 'some.thing', data: 'x' }],
    })
    expect(said(await face.send(query)).answers).toEqual(['10.0.0.1'])
  })
})
