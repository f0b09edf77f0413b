import { SeamarkError, systemClock } from '@seamark/core'
import { type FakeClock, fakeClock } from '@seamark/core/testing'
import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { inquiry } from '../../test/inquiry.ts'
import { entryOf, RouteList, ruleFor } from '../../test/route-list.ts'
import type { Inquiry, Report, Routes, Rule } from '../ports.ts'
import { type GatewayTelemetry, type TelemetryOptions, telemetry } from './telemetry.ts'

const tickets = ruleFor('tickets')

interface Observed {
  readonly clock: FakeClock
  /** The lines of the log. */
  readonly lines: readonly Record<string, unknown>[]
  /** A request from its beginning to its end; it takes no time. */
  pass(rule: Rule | undefined, asked?: Partial<Inquiry>, told?: Partial<Report>): void
  begin: GatewayTelemetry['begin']
  refused: GatewayTelemetry['refused']
  /** The samples of `/metrics`, by name and labels; those of the names given only. */
  metrics(...names: readonly string[]): Promise<Readonly<Record<string, number>>>
  text(): Promise<string>
}

async function observed(
  options: Partial<Omit<TelemetryOptions, 'clock'>> & { level?: string; routes?: Routes } = {},
): Promise<Observed> {
  const { level = 'info', routes = new RouteList([tickets]), ...rest } = options
  const lines: Record<string, unknown>[] = []
  const logger = pino(
    { level, base: null, timestamp: false },
    { write: (line) => lines.push(JSON.parse(line)) },
  )
  const clock = fakeClock()
  const made = await telemetry({ clock, logger, routes, ...rest })
  const text = () => made.metrics.text()
  return {
    clock,
    lines,
    begin: made.begin,
    refused: made.refused,
    pass(rule, asked = {}, told = {}) {
      const passage = made.begin(inquiry(asked))
      if (rule !== undefined) passage.routed(rule)
      passage.ended(report(told))
    },
    text,
    async metrics(...names) {
      const samples = (await text())
        .split('\n')
        .filter((line) => names.some((name) => line.startsWith(`seamark_gateway_${name}`)))
        .map((line) => line.split(/ (?=\S+$)/) as [string, string])
      return Object.fromEntries(
        samples.map(([name, value]) => [name.replace('seamark_gateway_', ''), Number(value)]),
      )
    },
  }
}

function report(told: Partial<Report> = {}): Report {
  return {
    status: 200,
    bytesIn: 0,
    bytesOut: 0,
    entry: entryOf('tickets', 'tickets-1'),
    tries: 1,
    error: undefined,
    identity: undefined,
    ...told,
  }
}

/** What the gateway answers itself. */
function refusal(error: SeamarkError): Partial<Report> {
  return { status: error.status, error, entry: undefined, tries: 0 }
}

const labels = 'rule="tickets",namespace="default",service="tickets"'

describe('the request log', () => {
  it('tells of a request in one line', async () => {
    const seen = await observed()
    const passage = seen.begin(inquiry({ method: 'POST', query: '?token=secret' }))
    passage.routed(tickets)
    await seen.clock.advance(12.345)
    const identity = { subject: 'ada', roles: ['tickets-query'], header: '{}' }
    passage.ended(report({ status: 201, bytesIn: 11, bytesOut: 22, tries: 2, identity }))
    expect(seen.lines).toEqual([
      {
        level: 30,
        msg: 'answered',
        method: 'POST',
        host: 'shop.example',
        path: '/tickets/7',
        status: 201,
        duration: 12.35,
        client: '192.0.2.1',
        bytesIn: 11,
        bytesOut: 22,
        traceId: passage.traceparent!.slice(3, 35),
        rule: 'tickets',
        namespace: 'default',
        service: 'tickets',
        tries: 2,
        instance: 'tickets-1',
        subject: 'ada',
      },
    ])
  })

  it('tells no secret: no header, and the query only when asked to', async () => {
    const secrets = { authorization: 'Bearer secret', cookie: 'session=secret', 'x-api-key': 'secret' }
    const asked = { query: '?token=secret', headers: secrets }
    const discreet = await observed()
    discreet.pass(tickets, asked)
    discreet.pass(tickets, asked, { status: 0 })
    discreet.pass(tickets, asked, refusal(new SeamarkError('timeout', 'Nobody answered.')))
    expect(discreet.lines).toHaveLength(3)
    expect(JSON.stringify(discreet.lines)).not.toContain('secret')
    const open = await observed({ log: { query: true } })
    open.pass(tickets, asked)
    expect(open.lines[0]).toMatchObject({ path: '/tickets/7?token=secret' })
  })

  it('tells what went wrong in the level, in the code, and why where the fault is not the client’s', async () => {
    const seen = await observed()
    const bug = new TypeError('x is not a function')
    seen.pass(tickets, {}, { status: 404 })
    seen.pass(tickets, {}, { status: 500 })
    seen.pass(tickets, {}, refusal(new SeamarkError('too_many', 'Slower.')))
    seen.pass(tickets, {}, refusal(new SeamarkError('attempts_failed', 'All 3 failed.')))
    seen.pass(tickets, {}, { status: 500, error: bug })
    seen.pass(tickets, {}, { status: 0, error: new Error('aborted') })
    seen.pass(tickets, {}, { status: 200, error: new DOMException('The client went away.', 'AbortError') })
    seen.pass(tickets, {}, { status: 200, error: new Error('other side closed') })
    seen.pass(tickets, {}, { status: 200, error: new SeamarkError('unavailable', 'Nobody is there.') })
    seen.pass(undefined, {}, refusal(new SeamarkError('route_not_found', 'Nothing there.')))
    const told = seen.lines.map(({ level, msg, status, error, reason }) => [
      level,
      msg,
      status,
      error,
      reason,
    ])
    expect(told).toEqual([
      [30, 'answered', 404, undefined, undefined],
      [40, 'answered', 500, undefined, undefined],
      [30, 'refused', 429, 'too_many', undefined],
      [40, 'failed', 502, 'attempts_failed', 'All 3 failed.'],
      [50, 'failed', 500, 'internal', undefined],
      [30, 'the client went away', 0, 'cancelled', undefined],
      [30, 'the client went away', 200, 'cancelled', undefined],
      [40, 'failed', 200, 'aborted', 'other side closed'],
      [40, 'failed', 200, 'unavailable', 'Nobody is there.'],
      [30, 'refused', 404, 'route_not_found', undefined],
    ])
    expect(seen.lines[4]).toMatchObject({ err: { type: 'TypeError', message: 'x is not a function' } })
    expect(seen.lines.at(-1)).not.toHaveProperty('rule')
  })

  it('tells of what could not be read what it was told', async () => {
    const seen = await observed()
    seen.refused(new SeamarkError('invalid_request', 'The path can be read in two ways.'), '192.0.2.1')
    seen.refused(new TypeError('a bug'), '192.0.2.1')
    expect(seen.lines).toMatchObject([
      {
        level: 30,
        msg: 'refused',
        status: 400,
        client: '192.0.2.1',
        error: 'invalid_request',
        reason: 'The path can be read in two ways.',
      },
      { level: 50, msg: 'refused', status: 500, error: 'internal', err: { message: 'a bug' } },
    ])
    const none = 'rule="none",namespace="",service=""'
    expect(await seen.metrics('requests_total', 'rejected', 'upstream')).toEqual({
      [`requests_total{${none},method="other",status="4xx"}`]: 1,
      [`requests_total{${none},method="other",status="5xx"}`]: 1,
      [`rejected_total{${none},reason="invalid_request"}`]: 1,
      [`upstream_failures_total{${none},reason="internal"}`]: 1,
    })
  })

  it('cuts paths that are long', async () => {
    const seen = await observed()
    seen.pass(tickets, { path: `/${'a'.repeat(8_000)}` })
    expect(seen.lines[0]!.path).toHaveLength(1_001)
  })

  it('tells of a share only, of what went wrong always, and begins that share of traces as sampled', async () => {
    const seen = await observed({ log: { sample: 0.5 } })
    let sampled = 0
    for (let n = 0; n < 1_000; n++) {
      const passage = seen.begin(inquiry())
      if (passage.traceparent!.endsWith('-01')) sampled++
      passage.routed(tickets)
      passage.ended(report())
    }
    expect(seen.lines).toHaveLength(sampled)
    expect(sampled).toBeGreaterThan(350)
    expect(sampled).toBeLessThan(650)
    const quiet = await observed({ log: { sample: 0 } })
    quiet.pass(tickets)
    quiet.pass(tickets, {}, { status: 503 })
    expect(quiet.lines).toMatchObject([{ status: 503 }])
  })

  it('tells nothing when it is off, or the logger wants nothing of that level', async () => {
    const off = await observed({ log: false })
    const warnings = await observed({ level: 'warn' })
    for (const seen of [off, warnings]) {
      seen.pass(tickets)
      seen.pass(tickets, {}, { status: 500 })
    }
    expect(off.lines).toEqual([])
    expect(warnings.lines).toMatchObject([{ status: 500 }])
  })
})

describe('the metrics', () => {
  it('count requests by rule, service, class of status, and method', async () => {
    const seen = await observed()
    seen.pass(tickets)
    seen.pass(tickets, {}, { status: 204 })
    seen.pass(tickets, { method: 'POST' }, { status: 302 })
    seen.pass(tickets, {}, { status: 0 })
    seen.pass(tickets, {}, { status: 200, error: new DOMException('The client went away.', 'AbortError') })
    seen.pass(undefined, {}, refusal(new SeamarkError('route_not_found', 'Nothing there.')))
    for (const method of ['PROPFIND', 'M-SEARCH', 'get', '__proto__']) seen.pass(tickets, { method })
    expect(await seen.metrics('requests_total')).toEqual({
      'requests_total{rule="none",namespace="",service="",method="GET",status="4xx"}': 1,
      [`requests_total{${labels},method="GET",status="2xx"}`]: 2,
      [`requests_total{${labels},method="POST",status="3xx"}`]: 1,
      [`requests_total{${labels},method="GET",status="cancelled"}`]: 2,
      [`requests_total{${labels},method="other",status="2xx"}`]: 4,
    })
  })

  it('tell apart who was not let in, and whom the service failed', async () => {
    const seen = await observed()
    seen.pass(tickets, {}, refusal(new SeamarkError('too_many', 'Slower.')))
    seen.pass(tickets, {}, refusal(new SeamarkError('too_many', 'Slower.')))
    seen.pass(tickets, {}, refusal(new SeamarkError('attempts_failed', 'All failed.')))
    seen.pass(tickets, {}, refusal(new SeamarkError('timeout', 'Nobody answered.')))
    seen.pass(tickets, {}, { status: 503 })
    seen.pass(tickets, {}, { status: 200, error: new Error('other side closed') })
    seen.pass(tickets, {}, { status: 0, error: new SeamarkError('timeout', 'Nobody answered.') })
    expect(await seen.metrics('rejected', 'upstream_failures')).toEqual({
      [`rejected_total{${labels},reason="too_many"}`]: 2,
      [`upstream_failures_total{${labels},reason="attempts_failed"}`]: 1,
      [`upstream_failures_total{${labels},reason="timeout"}`]: 1,
      [`upstream_failures_total{${labels},reason="aborted"}`]: 1,
    })
  })

  it('measure durations, but not of connections that were upgraded', async () => {
    const seen = await observed()
    for (const [ms, status] of [
      [1, 200],
      [30, 200],
      [60_000, 200],
      [3_600_000, 101],
    ] as const) {
      const passage = seen.begin(inquiry())
      passage.routed(tickets)
      await seen.clock.advance(ms)
      passage.ended(report({ status }))
    }
    const shown = await seen.metrics('request_duration_seconds')
    const name = 'request_duration_seconds'
    expect(shown).toMatchObject({
      [`${name}_bucket{${labels},le="0.001"}`]: 1,
      [`${name}_bucket{${labels},le="0.025"}`]: 1,
      [`${name}_bucket{${labels},le="0.05"}`]: 2,
      [`${name}_bucket{${labels},le="30"}`]: 2,
      [`${name}_bucket{${labels},le="+Inf"}`]: 3,
      [`${name}_count{${labels}}`]: 3,
    })
    expect(shown[`${name}_sum{${labels}}`]).toBeCloseTo(60.031)
  })

  it('show what is under way, further tries and bytes', async () => {
    const seen = await observed()
    const passage = seen.begin(inquiry())
    passage.routed(tickets)
    const inFlight = `requests_in_flight{${labels}}`
    expect((await seen.metrics('requests_in_flight'))[inFlight]).toBe(1)
    passage.ended(report({ tries: 3, bytesIn: 10, bytesOut: 1_000 }))
    seen.pass(tickets, {}, { bytesOut: 1 })
    expect(await seen.metrics('requests_in_flight', 'retries', 'received', 'sent')).toMatchObject({
      [inFlight]: 0,
      [`retries_total{${labels}}`]: 2,
      [`received_bytes_total{${labels}}`]: 10,
      [`sent_bytes_total{${labels}}`]: 1_001,
    })
  })

  it('show the rules, their conflicts, and the health of their instances', async () => {
    const other = { ...ruleFor('other'), route: tickets.route }
    const entries = {
      tickets: [
        entryOf('tickets', 'a'),
        entryOf('tickets', 'b'),
        entryOf('tickets', 'c', 'critical'),
        entryOf('tickets', 'd', 'maintenance'),
      ],
    }
    const routes = new RouteList([tickets, ruleFor('empty')], entries, [{ rule: other, winner: tickets }])
    const seen = await observed({ routes })
    expect(await seen.metrics('route', 'instances')).toMatchObject({
      routes: 2,
      route_conflicts: 1,
      [`instances{${labels},health="passing"}`]: 2,
      [`instances{${labels},health="warning"}`]: 0,
      [`instances{${labels},health="critical"}`]: 1,
      [`instances{${labels},health="maintenance"}`]: 1,
      'instances{rule="empty",namespace="default",service="empty",health="passing"}': 0,
    })
  })

  it('forget a rule five minutes after it left, and go on with one that comes back before', async () => {
    const routes = new RouteList([tickets])
    const seen = await observed({ routes })
    const requests = `requests_total{${labels},method="GET",status="2xx"}`
    const count = async () => (await seen.metrics('requests_total'))[requests]
    seen.pass(tickets)
    routes.replace()
    expect(await count()).toBe(1)
    await seen.clock.advance(299_999)
    expect(await count()).toBe(1)
    routes.replace({ ...tickets })
    seen.pass({ ...tickets })
    expect(await count()).toBe(2)
    routes.replace()
    expect(await count()).toBe(2)
    await seen.clock.advance(299_999)
    expect(await count()).toBe(2)
    await seen.clock.advance(1)
    expect(await count()).toBeUndefined()
  })

  it('are bounded, however many rules come and go, and even if nobody reads them', async () => {
    const routes = new RouteList([])
    const seen = await observed({ routes })
    for (let n = 0; n < 1_000; n++) {
      const rule = ruleFor(`s${n}`)
      routes.replace(rule)
      seen.pass(rule)
    }
    expect(Object.keys(await seen.metrics('requests_total')).length).toBeLessThanOrEqual(102)
  })

  it('begin anew for a rule that is of another service now', async () => {
    const moved = { ...tickets, service: { namespace: 'default', service: 'bookings' } }
    const seen = await observed()
    seen.pass(tickets)
    seen.pass(moved)
    expect(await seen.metrics('requests_total')).toEqual({
      'requests_total{rule="tickets",namespace="default",service="bookings",method="GET",status="2xx"}': 1,
    })
  })

  it('are text that Prometheus reads', async () => {
    const seen = await observed({ routes: new RouteList([{ ...tickets, name: 'a "b"\\\n' }]) })
    seen.pass({ ...tickets, name: 'a "b"\\\n' })
    const text = await seen.text()
    expect(text).toContain('# TYPE seamark_gateway_request_duration_seconds histogram')
    expect(text).toContain('rule="a \\"b\\"\\\\\\n"')
    for (const line of text.trim().split('\n'))
      if (line !== '')
        expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="([^"\\\n]|\\.)*",?)*\})? \S+)$/)
  })
})

it('measures with the system’s clock, too', async () => {
  const made = await telemetry({
    clock: systemClock,
    logger: pino({ level: 'silent' }),
    routes: new RouteList([]),
  })
  made.begin(inquiry()).ended(report())
  expect(await made.metrics.text()).toContain(
    'request_duration_seconds_count{rule="none",namespace="",service=""} 1',
  )
})
