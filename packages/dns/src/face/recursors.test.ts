import { fakeClock } from '@seamark/core/testing'
import { describe, expect, it } from 'vitest'
import { question, said, served } from '../../test/face.ts'
import { a, scriptedServer } from '../../test/scripted-server.ts'

const recursive = { recursive: true }

describe('recursors', () => {
  it('are asked about other names, and answer as if they were asked at once', async () => {
    await using other = await scriptedServer(({ name, answer }) =>
      answer({ answers: [a(name, '192.0.2.1')] }),
    )
    await using face = await served({ recursors: [other.address] })
    await face.put({ service: 'api', address: '10.0.0.1' })
    const query = question('www.Example.com', 'A', recursive)
    const answer = await face.send(query)
    expect(answer.readUInt16BE()).toBe(query.readUInt16BE())
    expect(said(answer)).toMatchObject({ code: 'NOERROR', answers: ['192.0.2.1'] })
    expect(other.asked).toMatchObject([{ name: 'www.Example.com', type: 'A', transport: 'udp', edns: true }])
    // Not under the id it came with, which others may have seen.
    const again = await Promise.all([1, 2, 3].map(() => face.send(query)))
    expect(again).toHaveLength(3)
    expect(new Set(other.asked.map(({ bytes }) => bytes.readUInt16BE())).size).toBeGreaterThan(1)
    // What is ours is not asked elsewhere; it is only said that one could.
    const own = await face.ask('api.service.consul', 'A', recursive)
    expect(own.answers).toEqual(['10.0.0.1'])
    expect(own.packet.flag_ra).toBe(true)
    expect((await face.ask('nobody.service.consul', 'A', recursive)).code).toBe('NXDOMAIN')
    expect(other.asked).toHaveLength(4)
  })

  it('are asked over TCP by who asks over TCP', async () => {
    await using other = await scriptedServer(({ name, answer }) =>
      answer({ answers: [a(name, '192.0.2.1')] }),
    )
    await using face = await served({ recursors: [other.address] })
    const { answers } = await face.ask('example.com', 'A', { ...recursive, transport: 'tcp' })
    expect(answers).toEqual(['192.0.2.1'])
    expect(other.asked).toMatchObject([{ transport: 'tcp' }])
  })

  it('are not asked by who wants no recursion', async () => {
    await using other = await scriptedServer(({ answer }) => answer())
    await using face = await served({ recursors: [other.address] })
    expect((await face.ask('example.com')).code).toBe('REFUSED')
    expect(other.asked).toEqual([])
  })

  it('are asked whose an address is that nobody here has', async () => {
    await using other = await scriptedServer(({ name, answer }) =>
      answer({ answers: [{ type: 'PTR', name, data: 'dns.example' }] }),
    )
    await using face = await served({ recursors: [other.address] })
    await face.put({ service: 'api', address: '10.0.0.1' })
    const ask = async (name: string) => (await face.ask(name, 'PTR', recursive)).answers
    expect(await ask('8.8.8.8.in-addr.arpa')).toEqual(['dns.example'])
    expect(await ask('1.0.0.10.in-addr.arpa')).toEqual(['api.service.dc1.consul'])
  })

  it('say where a host leads that a service is at', async () => {
    await using other = await scriptedServer(({ answer }) =>
      answer({
        answers: [
          { type: 'CNAME', name: 'db.example.com', data: 'db-1.example.com', ttl: 30, class: 'IN' },
          a('db-1.example.com', '192.0.2.7'),
        ],
      }),
    )
    await using face = await served({ recursors: [other.address] })
    await face.put({ service: 'db', address: 'db.example.com' })
    const all = ['db.example.com', 'db-1.example.com', '192.0.2.7']
    for (let time = 0; time < 2; time++)
      expect((await face.ask('db.service.consul', 'A', recursive)).answers).toEqual(all)
    expect((await face.ask('db.service.consul')).answers).toEqual(['db.example.com'])
    expect(other.asked).toMatchObject([{ name: 'db.example.com', type: 'A' }, {}])
  })

  it('are asked in their order until one answers, each for a while', async () => {
    const clock = fakeClock()
    let heard = () => {}
    const asked = new Promise<void>((resolve) => {
      heard = resolve
    })
    await using silent = await scriptedServer(() => {
      heard()
      return undefined
    })
    await using other = await scriptedServer(({ name, answer }) =>
      answer({ answers: [a(name, '192.0.2.1')] }),
    )
    await using face = await served({ recursors: [silent.address, other.address], clock })
    const answer = face.ask('example.com', 'A', recursive)
    await asked
    expect(other.asked).toEqual([])
    await clock.advance(2_000)
    expect((await answer).answers).toEqual(['192.0.2.1'])
  })

  it('that do not answer make it SERVFAIL', async () => {
    const clock = fakeClock()
    let heard = () => {}
    const asked = new Promise<void>((resolve) => {
      heard = resolve
    })
    await using silent = await scriptedServer(() => {
      heard()
      return undefined
    })
    await using face = await served({ recursors: [silent.address], clock })
    const answer = face.ask('example.com', 'A', recursive)
    await asked
    await clock.advance(2_000)
    expect((await answer).code).toBe('SERVFAIL')
  })

  it('are asked so many questions at a time, and no more', async () => {
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    await using other = await scriptedServer(async ({ name, answer }) => {
      await gate
      return answer({ answers: [a(name, '192.0.2.1')] })
    })
    await using face = await served({ recursors: [other.address], bounds: { recursions: 2 } })
    const first = [1, 2].map((n) => face.ask(`x${n}.example`, 'A', recursive))
    await expect.poll(() => other.asked.length).toBe(2)
    expect((await face.ask('x3.example', 'A', recursive)).code).toBe('SERVFAIL')
    release()
    for (const answer of first) expect((await answer).answers).toEqual(['192.0.2.1'])
    expect((await face.ask('x4.example', 'A', recursive)).code).toBe('NOERROR')
  })

  it('send no more than the asker takes', async () => {
    const many = Array.from({ length: 60 }, (_, n) => a('example.com', `192.0.2.${n}`))
    await using other = await scriptedServer(({ answer }) => answer({ answers: many }))
    await using face = await served({ recursors: [other.address] })
    const { answers, truncated, bytes } = await face.ask('example.com', 'A', { ...recursive, edns: 512 })
    expect([answers.length, truncated]).toEqual([0, true])
    expect(bytes.length).toBeLessThanOrEqual(512)
    expect((await face.ask('example.com', 'A', { ...recursive, transport: 'tcp' })).answers).toHaveLength(60)
  })

  it('that answer something else are not believed', async () => {
    await using other = await scriptedServer(({ name, bytes, answer }) => {
      const forged = answer({ answers: [a(name, '192.0.2.66')] })
      forged.writeUInt16BE((bytes.readUInt16BE() + 1) & 0xffff)
      const asked = answer({ questions: [{ name: 'evil.example', type: 'A' }] })
      return [forged, asked, Buffer.from('no message'), answer({ answers: [a(name, '192.0.2.1')] })]
    })
    await using face = await served({ recursors: [other.address] })
    expect((await face.ask('example.com', 'A', recursive)).answers).toEqual(['192.0.2.1'])
  })

  it('are let go of when the server closes', async () => {
    let heard = () => {}
    const asked = new Promise<void>((resolve) => {
      heard = resolve
    })
    await using silent = await scriptedServer(() => {
      heard()
      return undefined
    })
    const face = await served({ recursors: [silent.address] })
    const answer = face.ask('example.com', 'A', { ...recursive, transport: 'tcp' }).then(({ code }) => code)
    const over = answer.catch(() => 'SERVFAIL')
    await asked
    await face[Symbol.asyncDispose]()
    expect(await over).toBe('SERVFAIL')
  })
})
