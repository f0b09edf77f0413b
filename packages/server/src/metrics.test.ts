import { expect, it } from 'vitest'
import { instancePath, servicePath, serving } from '../test/serving.ts'
import { stream } from '../test/stream.ts'

it('counts requests by route and status, however many paths there are', async () => {
  await using served = await serving()
  for (let n = 0; n < 20; n++) {
    await served.register('api', `i${n}`)
    await served.ask('GET', `/nothing/${n}`)
    await served.ask('GET', `${servicePath('api')}?health=passing`)
    await served.ask('GET', `${servicePath('api')}?health=passing`)
  }
  await served.ask('PUT', instancePath('api', 'x'), {})
  const text = (await served.ask('GET', '/metrics')).text
  const requests = text.split('\n').filter((line) => /^seamark_http_requests_total{.* [1-9]\d*$/.test(line))
  const instance = '/api/v1/namespaces/:namespace/services/:service/instances/:id'
  const service = '/api/v1/namespaces/:namespace/services/:service'
  expect(requests.sort()).toEqual([
    `seamark_http_requests_total{method="GET",route="${service}",status="200"} 40`,
    'seamark_http_requests_total{method="GET",route="none",status="404"} 20',
    `seamark_http_requests_total{method="PUT",route="${instance}",status="201"} 20`,
    `seamark_http_requests_total{method="PUT",route="${instance}",status="400"} 1`,
  ])
})

it('shows instances by health, services, renewals, watches and the event loop', async () => {
  await using served = await serving()
  const token = await served.register('api', 'a', { ttl: '1h' })
  await served.register('api', 'b')
  await served.register('www', 'w')
  await served.ask('PUT', `${instancePath('api', 'b')}/health`, { checks: [{ id: 'x', status: 'critical' }] })
  await served.ask('POST', '/leases/renew', { tokens: [token, token, 'lost'] })
  using watching = await stream(`${served.server.url}/api/v1/watch`)
  await watching.batch()
  await served.register('api', 'c')
  await watching.batch()
  const shown = async () => {
    const { text, headers } = await served.ask('GET', '/metrics')
    expect(headers.get('content-type')).toMatch(/^text\/plain/)
    return new Map(
      text
        .split('\n')
        .flatMap((line) =>
          line.startsWith('#') || line === '' ? [] : [line.split(/ (?=\S+$)/) as [string, string]],
        ),
    )
  }
  const first = await shown()
  expect(Object.fromEntries(first)).toMatchObject({
    'seamark_instances{health="passing"}': '3',
    'seamark_instances{health="critical"}': '1',
    'seamark_instances{health="warning"}': '0',
    seamark_services: '2',
    seamark_lease_renewals_total: '2',
    seamark_lease_expiries_total: '0',
    seamark_watch_streams: '1',
    seamark_watch_streams_slow: '0',
    seamark_waiting_requests: '0',
    seamark_catalog_stale_seconds: '0',
  })
  expect(Number(first.get('seamark_watch_lag_seconds_count'))).toBeGreaterThan(0)
  expect(first.has('seamark_event_loop_delay_seconds{quantile="0.99"}')).toBe(true)
  await served.ask('DELETE', instancePath('api', 'b'))
  const second = await shown()
  expect(second.get('seamark_instances{health="critical"}')).toBe('0')
  expect(second.get('seamark_instances{health="passing"}')).toBe('3')
})
