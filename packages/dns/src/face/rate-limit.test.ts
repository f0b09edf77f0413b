import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { fakeClock } from '@seamark/core/testing'
import { describe, expect, it } from 'vitest'
import { question, said, served } from '../../test/face.ts'
import { type Leave, RateLimit } from './rate-limit.ts'

function limit(perSecond: number, exempt: readonly string[] = []) {
  const clock = fakeClock()
  const rate = new RateLimit({ clock, perSecond, exempt })
  const count = (address: string, times: number) => {
    const said: Record<Leave, number> = { answer: 0, truncate: 0, drop: 0 }
    for (let time = 0; time < times; time++) said[rate.of(address)]++
    return said
  }
  return { clock, count }
}

describe('what is sent to a network', () => {
  it('has a bound per second, past which every second answer is empty', async () => {
    const { clock, count } = limit(100)
    expect(count('192.0.2.1', 140)).toEqual({ answer: 100, truncate: 20, drop: 20 })
    await clock.advance(500)
    expect(count('192.0.2.1', 60)).toMatchObject({ answer: 50 })
    await clock.advance(60_000)
    expect(count('192.0.2.1', 200)).toMatchObject({ answer: 100 })
  })

  it.each([
    ['192.0.2.1', '192.0.2.200'],
    ['2001:db8:0:1::1', '2001:db8:0:2::2'],
    ['::ffff:192.0.2.1', '192.0.2.9'],
    ['fe80::1%eth0', 'fe80::2%eth1'],
  ])('counts for all of it: %s and %s', (one, other) => {
    const { count } = limit(10)
    expect(count(one, 10)).toMatchObject({ answer: 10 })
    expect(count(other, 10)).toMatchObject({ answer: 0 })
  })

  it.each([
    ['192.0.2.1', '192.0.3.1'],
    ['2001:db8:0:100::1', '2001:db8:0:200::1'],
  ])('counts for no other: %s and %s', (one, other) => {
    const { count } = limit(10)
    expect(count(one, 10)).toMatchObject({ answer: 10 })
    expect(count(other, 10)).toMatchObject({ answer: 10 })
  })

  it('has no bound for those that are exempt, or for anybody', () => {
    const { count } = limit(10, ['10.0.0.0/8', '2001:db8::/32', '192.0.2.7'])
    for (const address of ['10.9.8.7', '2001:db8::1', '192.0.2.7', '::ffff:10.1.1.1'])
      expect(count(address, 50)).toMatchObject({ answer: 50 })
    expect(count('192.0.2.8', 50)).toMatchObject({ answer: 10 })
    expect(limit(0).count('192.0.2.8', 50)).toMatchObject({ answer: 50 })
  })

  it('needs bounded memory, whoever asks', () => {
    const { count } = limit(10)
    for (let n = 0; n < 200_000; n++) count(`${1 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}.1`, 1)
    expect(count('192.0.2.1', 20)).toMatchObject({ answer: 10 })
  })
})

describe('a server', () => {
  it('tells one who asks too much to come over TCP, or nothing', async () => {
    const clock = fakeClock()
    await using face = await served({ clock, responseRate: 2, responseRateExempt: [] })
    await face.put({ service: 'api', address: '10.0.0.1' })
    for (let time = 0; time < 2; time++)
      expect((await face.ask('api.service.consul')).answers).toEqual(['10.0.0.1'])
    // The first of these gets nothing, so that the second is answered.
    const socket = createSocket('udp4')
    const first = once(socket, 'message')
    const [lost, answered] = [question('api.service.consul'), question('api.service.consul')]
    for (const query of [lost, answered]) socket.send(query, face.port, '127.0.0.1')
    const [answer] = await first
    expect(answer.readUInt16BE()).toBe(answered.readUInt16BE())
    expect(said(answer)).toMatchObject({ code: 'NOERROR', truncated: true, answers: [] })
    socket.close()
    expect((await face.ask('api.service.consul', 'A', { transport: 'tcp' })).answers).toEqual(['10.0.0.1'])
    expect(face.notices).toMatchObject([
      { level: 'warn', event: 'dns_rate_limited', details: { address: '127.0.0.1' } },
    ])
    await clock.advance(1_000)
    expect((await face.ask('api.service.consul')).answers).toEqual(['10.0.0.1'])
  })

  it('does not limit this machine, by default', async () => {
    await using face = await served({ responseRate: 1 })
    for (let time = 0; time < 20; time++) expect((await face.ask('consul', 'SOA')).code).toBe('NOERROR')
  })
})
