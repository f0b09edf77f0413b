import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type Context, context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { SeamarkError } from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { inquiry } from '../../test/inquiry.ts'
import { entryOf, RouteList, ruleFor } from '../../test/route-list.ts'
import type { Inquiry, Passage, Report } from '../ports.ts'
import { telemetry } from './telemetry.ts'

const exporter = new InMemorySpanExporter()
const tickets = ruleFor('tickets')
const parent = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' }
const headers = {
  traceparent: `00-${parent.traceId}-${parent.spanId}-01`,
  tracestate: 'congo=t61',
  authorization: 'Bearer secret',
  'user-agent': 'curl/8',
}

beforeEach(() => {
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
  )
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
})

afterEach(() => {
  exporter.reset()
  trace.disable()
  propagation.disable()
  context.disable()
})

async function passed(asked: Partial<Inquiry> = {}, told: Partial<Report> = {}): Promise<Passage> {
  const logger = pino({ level: 'silent' })
  const made = await telemetry({ clock: fakeClock(), logger, routes: new RouteList([tickets]) })
  const passage = made.begin(inquiry(asked))
  passage.routed(tickets)
  const entry = entryOf('tickets', 'tickets-1')
  const usual = {
    status: 200,
    bytesIn: 0,
    bytesOut: 5,
    entry,
    tries: 2,
    error: undefined,
    identity: undefined,
  }
  passage.ended({ ...usual, ...told })
  return passage
}

function onlySpan(): ReadableSpan {
  const [span, ...others] = exporter.getFinishedSpans()
  expect(others).toEqual([])
  return span!
}

it('makes a span of the server for each request, as a child of the caller’s', async () => {
  await passed({ headers, query: '?token=secret' })
  const span = onlySpan()
  expect(span.name).toBe('GET /tickets')
  expect(span.kind).toBe(SpanKind.SERVER)
  expect(span.parentSpanContext).toMatchObject(parent)
  expect(span.spanContext().traceId).toBe(parent.traceId)
  expect(span.status.code).toBe(SpanStatusCode.UNSET)
  expect(span.attributes).toEqual({
    'http.request.method': 'GET',
    'http.route': '/tickets',
    'http.response.status_code': 200,
    'http.request.body.size': 0,
    'http.response.body.size': 5,
    'url.scheme': 'http',
    'url.path': '/tickets/7',
    'server.address': 'shop.example',
    'client.address': '192.0.2.1',
    'user_agent.original': 'curl/8',
    'seamark.rule': 'tickets',
    'seamark.namespace': 'default',
    'seamark.service': 'tickets',
    'seamark.instance': 'tickets-1',
    'seamark.tries': 2,
  })
})

it('sends that span on to the instance, with the state of the trace', async () => {
  const passage = await passed({ headers })
  const { traceId, spanId } = onlySpan().spanContext()
  expect(passage.traceparent).toBe(`00-${traceId}-${spanId}-01`)
  expect(passage.tracestate).toBe('congo=t61')
})

it('begins a trace where the caller has none', async () => {
  const passage = await passed()
  const span = onlySpan()
  expect(span.parentSpanContext).toBeUndefined()
  expect(passage.traceparent).toContain(span.spanContext().traceId)
  expect(passage.tracestate).toBeUndefined()
})

it('is inside the span of whoever instruments the server already', async () => {
  const outer = trace.getTracer('http').startSpan('GET')
  let active: Context | undefined = trace.setSpan(context.active(), outer)
  context.setGlobalContextManager({
    active: () => active!,
    with: (_context, work, self, ...args) => work.call(self as never, ...args),
    bind: (_context, target) => target,
    enable() {
      return this
    },
    disable() {
      active = undefined
      return this
    },
  })
  await passed({ headers })
  const span = onlySpan()
  expect(span.kind).toBe(SpanKind.INTERNAL)
  expect(span.parentSpanContext?.spanId).toBe(outer.spanContext().spanId)
})

it('takes the service’s and the gateway’s failures for errors, and not what the client did', async () => {
  const failure = new SeamarkError('attempts_failed', 'All failed.')
  await passed({}, { status: 500 })
  await passed({}, { status: 502, error: failure, entry: undefined })
  await passed({}, { status: 404 })
  await passed({}, { status: 0 })
  await passed({}, { status: 500, error: new TypeError('oh') })
  const spans = exporter.getFinishedSpans()
  expect(spans.map(({ status, attributes }) => [status.code, attributes['error.type']])).toEqual([
    [SpanStatusCode.ERROR, '500'],
    [SpanStatusCode.ERROR, 'attempts_failed'],
    [SpanStatusCode.UNSET, undefined],
    [SpanStatusCode.UNSET, 'cancelled'],
    [SpanStatusCode.ERROR, 'internal'],
  ])
  expect(spans[3]!.attributes).not.toHaveProperty('http.response.status_code')
  expect(spans[4]!.events.map(({ name }) => name)).toEqual(['exception'])
})

it('calls methods that nobody knows by one name', async () => {
  await passed({ method: 'M-SEARCH' })
  const span = onlySpan()
  expect(span.name).toBe('HTTP /tickets')
  expect(span.attributes).toMatchObject({
    'http.request.method': '_OTHER',
    'http.request.method_original': 'M-SEARCH',
  })
})

it('passes the trace on by itself while nobody has set up tracing', async () => {
  trace.disable()
  const passage = await passed({ headers })
  expect(exporter.getFinishedSpans()).toEqual([])
  expect(passage.traceparent).toContain(parent.traceId)
  expect(passage.traceparent).not.toContain(parent.spanId)
  expect(passage.tracestate).toBe('congo=t61')
})

it('is done without where its API is not installed', async () => {
  // Only another process can be without it: here, it is installed.
  const hidden = `export function resolve(name, context, next) {
    if (name !== '@opentelemetry/api') return next(name, context)
    throw Object.assign(new Error('There is none.'), { code: 'ERR_MODULE_NOT_FOUND' })
  }`
  const script = `
    import { register } from 'node:module'
    register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hidden)}`)})
    const absent = await import('@opentelemetry/api').catch(({ code }) => code)
    const { catalog, memory } = await import('@seamark/core')
    const { gateway } = await import('@seamark/gateway')
    const replica = catalog(memory())
    await replica.warm()
    const { url, close } = await gateway({ catalog: replica, port: 0, status: false })
    const { status } = await fetch(url)
    console.log(absent, status)
    await close()
    await replica[Symbol.asyncDispose]()`
  const args = ['--input-type=module', '--eval', script]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: import.meta.dirname })
  expect(stdout).toBe('ERR_MODULE_NOT_FOUND 404\n')
})
