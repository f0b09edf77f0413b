import type { Attributes, Span, TextMapGetter } from '@opentelemetry/api'
import type { Inquiry, Report, Rule } from '../ports.ts'
import { type Fault, isFailure } from './fault.ts'
import { format, type TraceContext } from './trace-context.ts'

/** Makes spans. */
export interface Tracing {
  /** `undefined` while the application has set up no tracing. */
  begin(inquiry: Inquiry): SpanOfRequest | undefined
}

export interface SpanOfRequest {
  readonly trace: TraceContext
  routed(rule: Rule): void
  ended(report: Report, fault: Fault | undefined): void
}

/** Methods of RFC 9110 and PATCH; all others are `_OTHER`, as OpenTelemetry's conventions for HTTP want it. */
const known = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'])

const getter: TextMapGetter<Inquiry> = {
  get: (inquiry, name) => inquiry.header(name.toLowerCase()),
  keys: ({ headers }) => Object.keys(headers),
}

/** `undefined` when `@opentelemetry/api` is not installed. What the application registers with it later counts, too. */
export async function openTelemetry(): Promise<Tracing | undefined> {
  const api = await import('@opentelemetry/api').catch((error) => {
    if (error.code === 'ERR_MODULE_NOT_FOUND') return undefined
    throw error
  })
  if (api === undefined) return undefined
  const { trace, context, propagation, isSpanContextValid, ROOT_CONTEXT, SpanKind, SpanStatusCode } = api
  const name = '@seamark/gateway'
  const tracer = trace.getTracer(name)
  let isSetUp = false

  // Asked until it is so: before, a request costs no more than that.
  function isRegistered(): boolean {
    const provider = trace.getTracerProvider()
    return !(provider instanceof api!.ProxyTracerProvider) || provider.getDelegateTracer(name) !== undefined
  }

  class HttpSpan implements SpanOfRequest {
    readonly #span: Span
    readonly #method: string
    readonly trace: TraceContext

    constructor(span: Span, method: string) {
      const { traceId, spanId, traceFlags, traceState } = span.spanContext()
      this.#span = span
      this.#method = method
      this.trace = {
        traceId,
        traceparent: format(traceId, spanId, (traceFlags & 1) === 1),
        tracestate: traceState?.serialize() || undefined,
      }
    }

    routed({ name, service, route }: Rule): void {
      this.#span.updateName(`${this.#method} ${route.path}`)
      this.#span.setAttributes({
        'http.route': route.path,
        'seamark.rule': name,
        'seamark.namespace': service.namespace,
        'seamark.service': service.service,
      })
    }

    ended({ status, tries, entry, bytesIn, bytesOut, error }: Report, fault: Fault | undefined): void {
      const span = this.#span
      if (span.isRecording()) {
        span.setAttributes({
          'http.request.body.size': bytesIn,
          'http.response.body.size': bytesOut,
          'seamark.tries': tries,
          ...(entry !== undefined && { 'seamark.instance': entry.instance.id }),
          ...(status !== 0 && { 'http.response.status_code': status }),
          ...errorType(status, fault),
        })
        if (isError(status, fault))
          span.setStatus({
            code: SpanStatusCode.ERROR,
            ...(error !== undefined && { message: error.message }),
          })
        if (fault === 'internal' && error !== undefined) span.recordException(error)
      }
      span.end()
    }
  }

  return {
    begin(inquiry) {
      isSetUp ||= isRegistered()
      if (!isSetUp) return undefined
      // Instrumentation of node:http may have made the server's span already: then ours is a part of it.
      const active = context.active()
      const inside = trace.getSpan(active) !== undefined
      const parent = inside ? active : propagation.extract(ROOT_CONTEXT, inquiry, getter)
      const method = known.has(inquiry.method) ? inquiry.method : 'HTTP'
      const kind = inside ? SpanKind.INTERNAL : SpanKind.SERVER
      const span = tracer.startSpan(method, { kind, attributes: attributes(inquiry) }, parent)
      const made = span.spanContext()
      // One that is not traced may be nothing, or its parent again.
      if (!isSpanContextValid(made) || made.spanId === trace.getSpanContext(parent)?.spanId) return undefined
      return new HttpSpan(span, method)
    },
  }
}

/** OpenTelemetry's stable conventions for HTTP servers; without the query, which holds secrets. */
function attributes(inquiry: Inquiry): Attributes {
  const { method, scheme, host, path, client } = inquiry
  const agent = inquiry.header('user-agent')
  return {
    'http.request.method': known.has(method) ? method : '_OTHER',
    ...(!known.has(method) && { 'http.request.method_original': method }),
    'url.scheme': scheme,
    'url.path': path,
    'server.address': host,
    'client.address': client,
    ...(agent !== undefined && { 'user_agent.original': agent }),
  }
}

function errorType(status: number, fault: Fault | undefined): Attributes {
  if (fault === 'cancelled') return { 'error.type': fault }
  return isError(status, fault) ? { 'error.type': fault ?? String(status) } : {}
}

/** What a client did wrong, or left undone, is no error of a server's span. */
function isError(status: number, fault: Fault | undefined): boolean {
  if (fault === 'cancelled') return false
  return status >= 500 || (fault !== undefined && isFailure(fault))
}
