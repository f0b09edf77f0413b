import { once } from 'node:events'
import { connect } from 'node:net'
import { fakeClock } from '@seamark/core/testing'
import { describe, expect, it } from 'vitest'
import { question, type Served, said, served, TcpClient } from '../../test/face.ts'

async function crowd(count: number, options: Parameters<typeof served>[0] = {}): Promise<Served> {
  const face = await served(options)
  for (let n = 0; n < count; n++)
    await face.put({ service: 'api', id: `api-${n}`, address: `10.0.${n >> 8}.${n & 255}`, port: 1 + n })
  return face
}

function client(face: Served): TcpClient {
  return new TcpClient(connect({ host: '127.0.0.1', port: face.port }))
}

describe('a datagram', () => {
  it('has three answers for one who says nothing of its size, and says that there are more', async () => {
    await using face = await crowd(10)
    const { answers, truncated, bytes, packet } = await face.ask('api.service.consul', 'A', { edns: 0 })
    expect(answers).toHaveLength(3)
    expect(truncated).toBe(true)
    expect(bytes.length).toBeLessThanOrEqual(512)
    expect(packet.additionals).toEqual([])
  })

  it('has as many as it is told to, and at most eight', async () => {
    await using face = await crowd(10, { udpAnswerLimit: 20 })
    expect((await face.ask('api.service.consul', 'A', { edns: 0 })).answers).toHaveLength(8)
    await using less = await crowd(5, { udpAnswerLimit: 5 })
    expect(await less.ask('api.service.consul', 'A', { edns: 0 })).toMatchObject({ truncated: false })
  })

  it.each([
    [0, 512],
    [512, 512],
    [600, 600],
    [1_000, 1_000],
    [1_232, 1_232],
    [4_096, 1_232],
    [65_535, 1_232],
  ])(
    'is not longer than the asker says (%i bytes), and no longer than passes every network',
    async (edns, most) => {
      await using face = await crowd(100, { udpAnswerLimit: 8 })
      for (const type of ['A', 'SRV']) {
        const { answers, extras, truncated, bytes } = await face.ask('api.service.consul', type, { edns })
        expect(bytes.length).toBeLessThanOrEqual(most)
        if (edns > 0) expect(bytes.length).toBeGreaterThan(most - 140)
        expect(truncated).toBe(true)
        if (type === 'SRV') expect(extras).toHaveLength(answers.length)
      }
    },
  )

  it('holds all there is if that fits, and does not say that there is more', async () => {
    await using face = await crowd(16)
    const { answers, extras, truncated } = await face.ask('api.service.consul', 'SRV')
    expect([answers.length, extras.length, truncated]).toEqual([16, 16, false])
  })

  it('shows everybody as often as anybody else, where only some fit', async () => {
    await using face = await crowd(20, { udpAnswerLimit: 3 })
    const seen = new Map<string, number>()
    for (let time = 0; time < 400; time++)
      for (const address of (await face.ask('api.service.consul', 'A', { edns: 0 })).answers)
        seen.set(address, (seen.get(address) ?? 0) + 1)
    // 60 each, if each deal were sent as often as any other at this moment.
    expect(seen.size).toBe(20)
    expect(Math.min(...seen.values())).toBeGreaterThan(20)
    expect(Math.max(...seen.values())).toBeLessThan(140)
  })

  it('has another order each time', async () => {
    await using face = await crowd(10)
    const orders = new Set<string>()
    const first = new Set<string>()
    for (let time = 0; time < 100; time++) {
      const { answers } = await face.ask('api.service.consul')
      expect(answers).toHaveLength(10)
      orders.add(answers.join())
      first.add(answers[0]!)
    }
    expect(orders.size).toBeGreaterThanOrEqual(8)
    expect(first.size).toBeGreaterThan(1)
  })

  it('repeats the letters of the question as they were, and its id', async () => {
    await using face = await crowd(2)
    for (const name of ['api.service.consul', 'aPI.sErViCe.COnsul', 'API.SERVICE.CONSUL']) {
      const query = question(name, 'SRV')
      const answer = await face.send(query)
      expect(answer.subarray(0, 2)).toEqual(query.subarray(0, 2))
      expect(answer.subarray(12, 12 + name.length + 6)).toEqual(query.subarray(12, 12 + name.length + 6))
      expect(said(answer).packet.answers).toMatchObject([{ name }, { name }])
    }
  })

  it('repeats that recursion and DNSSEC were wanted, and offers neither', async () => {
    await using face = await crowd(1)
    const query = question('api.service.consul', 'A', { recursive: true })
    // The flag DO of EDNS.
    query[query.length - 4] = 0x80
    for (let time = 0; time < 2; time++) {
      const { packet } = said(await face.send(query))
      expect(packet).toMatchObject({ flag_rd: true, flag_ra: false, flag_ad: false })
      expect(packet.additionals).toMatchObject([
        { type: 'OPT', flag_do: true, udpPayloadSize: 1_232, ednsVersion: 0 },
      ])
      const plain = said(await face.send(question('api.service.consul')))
      expect(plain.packet.flag_rd).toBe(false)
      expect(plain.packet.additionals).toMatchObject([{ type: 'OPT', flag_do: false }])
    }
  })
})

describe('a TCP connection', () => {
  it('holds what does not fit into a datagram', async () => {
    await using face = await crowd(900)
    for (const type of ['A', 'SRV']) {
      const { answers, truncated } = await face.ask('api.service.consul', type, { transport: 'tcp' })
      expect(new Set(answers).size).toBe(900)
      expect(truncated).toBe(false)
    }
  })

  it('has no more than 65,535 bytes, and says so', async () => {
    await using face = await crowd(1_500)
    const { answers, extras, truncated, bytes } = await face.ask('api.service.consul', 'SRV', {
      transport: 'tcp',
    })
    expect(truncated).toBe(true)
    expect(bytes.length).toBeGreaterThan(65_400)
    expect(answers.length).toBeGreaterThan(900)
    expect(extras).toHaveLength(answers.length)
  })

  it('takes many questions at once', async () => {
    await using face = await crowd(3)
    const asking = client(face)
    const queries = Array.from({ length: 500 }, (_, n) =>
      question(n % 2 === 0 ? 'api.service.consul' : `x${n}.service.consul`),
    )
    asking.send(...queries)
    const codes: string[] = []
    for (const query of queries) {
      const answer = await asking.next()
      expect(answer.readUInt16BE()).toBe(query.readUInt16BE())
      codes.push(said(answer).code)
    }
    expect(codes.filter((code) => code === 'NOERROR')).toHaveLength(250)
    asking.socket.destroy()
  })

  it('may bring a question byte by byte', async () => {
    await using face = await crowd(1)
    const asking = client(face)
    const query = question('api.service.consul')
    for (const byte of [0, query.length, ...query]) {
      asking.socket.write(Buffer.from([byte]))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(said(await asking.next()).answers).toEqual(['10.0.0.0'])
    asking.socket.destroy()
  })

  it('is answered to its end by one who says that he is done', async () => {
    await using face = await crowd(1)
    const asking = client(face)
    asking.send(question('api.service.consul'), question('api.service.consul'))
    asking.socket.end()
    for (let n = 0; n < 2; n++) expect(said(await asking.next()).answers).toEqual(['10.0.0.0'])
    await expect(asking.next()).rejects.toThrow('over')
  })

  it('is closed when it brings nothing for a while, also by one who writes slowly', async () => {
    const clock = fakeClock()
    await using face = await crowd(1, { clock, bounds: { idleTimeout: 5_000 } })
    const [idle, slow] = [client(face), client(face)]
    for (const asking of [idle, slow]) {
      asking.send(question('api.service.consul'))
      await asking.next()
    }
    await clock.advance(3_000)
    idle.socket.write(Buffer.from([0]))
    slow.send(question('api.service.consul'))
    await slow.next()
    const closed = once(idle.socket, 'close')
    await clock.advance(3_000)
    await closed
    slow.send(question('api.service.consul'))
    expect(said(await slow.next()).code).toBe('NOERROR')
    const end = once(slow.socket, 'close')
    await clock.advance(5_000)
    await end
  })

  it('makes room for another when there are too many: the one that idles longest', async () => {
    const clock = fakeClock()
    await using face = await crowd(1, { clock, bounds: { connections: 2 } })
    const [one, two] = [client(face), client(face)]
    for (const asking of [one, two, one]) {
      asking.send(question('api.service.consul'))
      await asking.next()
    }
    const closed = once(two.socket, 'close')
    const three = client(face)
    three.send(question('api.service.consul'))
    await three.next()
    await closed
    one.send(question('api.service.consul'))
    expect(said(await one.next()).code).toBe('NOERROR')
    for (const asking of [one, three]) asking.socket.destroy()
  })

  it('is not read from while its answers are not', async () => {
    await using face = await crowd(1_000)
    const asking = client(face)
    asking.socket.pause()
    const queries = Array.from({ length: 400 }, () => question('api.service.consul', 'SRV'))
    asking.send(...queries)
    expect((await face.ask('api.service.consul', 'A')).truncated).toBe(true)
    asking.socket.resume()
    for (const query of queries) expect((await asking.next()).readUInt16BE()).toBe(query.readUInt16BE())
    asking.socket.destroy()
  })

  it.each([
    ['a length that no question has', Buffer.from([0xff, 0xff, 1, 2, 3])],
    [
      'an answer',
      Buffer.concat([Buffer.from([0, 12]), Buffer.from([1, 2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0])]),
    ],
    ['nothing', Buffer.from([0, 0])],
  ])('is closed for %s', async (_, bytes) => {
    await using face = await crowd(1)
    const asking = client(face)
    asking.socket.write(bytes)
    await once(asking.socket, 'close')
    expect((await face.ask('api.service.consul')).code).toBe('NOERROR')
  })

  it('is closed with the server', async () => {
    const face = await crowd(1)
    const asking = client(face)
    asking.send(question('api.service.consul'))
    await asking.next()
    const closed = once(asking.socket, 'close')
    await face[Symbol.asyncDispose]()
    await closed
  })
})
