import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ServerSentEvent, ServerSentEvents } from './server-sent-events.ts'

function read(text: string, cuts: readonly number[] = []): ServerSentEvent[] {
  const bytes = Buffer.from(text)
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  const parser = new ServerSentEvents()
  let start = 0
  return [...ends, bytes.length].flatMap((end) => {
    const events = parser.push(bytes.subarray(start, end))
    start = end
    return events
  })
}

describe('an event stream', () => {
  test('gives events with their data and the id that they carry themselves', () => {
    expect(
      read('event: put\ndata: {"a":1}\n\nid: e:7\nevent: applied\ndata: {}\n\nevent: put\ndata: x\n\n'),
    ).toEqual([
      { event: 'put', data: '{"a":1}', id: undefined },
      { event: 'applied', data: '{}', id: 'e:7' },
      { event: 'put', data: 'x', id: undefined },
    ])
  })

  test('passes over comments, the retry hint, and blocks without data', () => {
    expect(read('retry: 1000\n\n: keep-alive\n\nevent: put\n\n: another\nevent: put\ndata: 1\n\n')).toEqual([
      { event: 'put', data: '1', id: undefined },
    ])
  })

  test('joins lines of data, and takes CRLF as the end of a line', () => {
    expect(read('data: a\r\ndata:b\r\ndata\r\n\r\n')).toEqual([
      { event: 'message', data: 'a\nb\n', id: undefined },
    ])
  })

  test('does not give an event that has not ended', () => {
    expect(read('event: put\ndata: 1\n')).toEqual([])
  })

  test('is the same however it is cut into chunks', () => {
    const line = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll(/[\r\n]/g, ' '))
    fc.assert(
      fc.property(fc.array(line, { minLength: 1 }), fc.array(fc.nat()), (lines, cuts) => {
        const text = lines.map((data, n) => `id: ${n}\nevent: put\ndata: ${data}\n\n`).join(': comment\n')
        expect(read(text, cuts)).toEqual(lines.map((data, n) => ({ event: 'put', data, id: `${n}` })))
      }),
    )
  })

  test('refuses an event without an end', () => {
    const parser = new ServerSentEvents()
    const chunk = Buffer.alloc(1024 * 1024, 'x')
    expect(() => {
      for (let n = 0; n < 20; n++) parser.push(chunk)
    }).toThrow(expect.objectContaining({ code: 'engine_unavailable' }))
  })
})
