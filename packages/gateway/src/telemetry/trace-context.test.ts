import { describe, expect, it } from 'vitest'
import { inquiry } from '../../test/inquiry.ts'
import { traceContext as ofInquiry } from './trace-context.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const parentId = '00f067aa0ba902b7'
const traceparent = `00-${traceId}-${parentId}-01`
const traceContext = (headers: Record<string, string>, sampled: boolean) =>
  ofInquiry(inquiry({ headers }), sampled)

const own = /^00-([\da-f]{32})-([\da-f]{16})-0[01]$/

describe('the trace context', () => {
  it('goes on with the trace of the caller, under an id of our own', () => {
    const context = traceContext({ traceparent, tracestate: 'congo=t61,rojo=1' }, false)
    expect(context.traceId).toBe(traceId)
    expect(context.tracestate).toBe('congo=t61,rojo=1')
    const [, sameTrace, spanId] = own.exec(context.traceparent)!
    expect(sameTrace).toBe(traceId)
    expect(spanId).not.toBe(parentId)
  })

  it.each([
    ['00', '0'],
    ['01', '1'],
    ['ff', '1'],
    ['02', '0'],
    ['0a', '0'],
    ['0b', '1'],
  ])('knows of the flags %s the first, and passes no other on', (flags, sent) => {
    const context = traceContext({ traceparent: `00-${traceId}-${parentId}-${flags}` }, true)
    expect(context.traceparent).toMatch(own)
    expect(context.traceparent.endsWith(`-0${sent}`)).toBe(true)
  })

  it.each([
    `01-${traceId}-${parentId}-01`,
    `cc-${traceId}-${parentId}-01-what-is-to-come`,
    `fe-${traceId}-${parentId}-01-`,
  ])('reads of a later version what it knows, and answers in its own: %s', (later) => {
    const context = traceContext({ traceparent: later }, false)
    expect(context.traceId).toBe(traceId)
    expect(context.traceparent).toMatch(own)
  })

  it.each([
    '',
    'nonsense',
    `ff-${traceId}-${parentId}-01`,
    `0-${traceId}-${parentId}-01`,
    `0x-${traceId}-${parentId}-01`,
    `00-${traceId.toUpperCase()}-${parentId}-01`,
    `00-${'0'.repeat(32)}-${parentId}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
    `00-${traceId}-${parentId}-1`,
    `00-${traceId}-${parentId}-0g`,
    `00-${traceId}-${parentId}-01-more`,
    `00-${traceId}-${parentId}-01-`,
    `cc-${traceId}-${parentId}-01.more`,
    `${traceparent} `,
    ` ${traceparent}`,
    `${traceparent}, ${traceparent}`,
    `00-${traceId}-${parentId}`,
  ])('begins a trace where there is none that holds, and leaves the state of that one: %j', (given) => {
    const context = traceContext({ traceparent: given, tracestate: 'congo=t61' }, true)
    expect(context.traceparent).toMatch(own)
    expect(context.traceId).not.toBe(traceId)
    expect(context.traceparent).toContain(context.traceId)
    expect(context.tracestate).toBeUndefined()
  })

  it('marks a trace that it begins as sampled, or not', () => {
    expect(traceContext({}, true).traceparent).toMatch(/-01$/)
    expect(traceContext({}, false).traceparent).toMatch(/-00$/)
  })

  it('never gives two requests the same id', () => {
    const spans = Array.from({ length: 5_000 }, () => traceContext({ traceparent }, true).traceparent)
    const traces = Array.from({ length: 5_000 }, () => traceContext({}, true).traceId)
    expect(new Set(spans).size).toBe(5_000)
    expect(new Set(traces).size).toBe(5_000)
  })
})
