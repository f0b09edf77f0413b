import { memory } from '@seamark/core'
import { server } from '@seamark/server'
import { expect, it, vi } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { prometheusServer } from '../servers/prometheus.ts'
import { guide } from './guide.ts'
import { type Target, target } from './target.ts'

engineTests('prometheus', () => {
  it('scrapes those that http_sd finds, as they come and go', async () => {
    await using engine = memory()
    await using running = await server({ engine, engineName: 'memory', port: 0 })
    await using one = await target('one')
    await using two = await target('two')
    const register = ({ name, address, port }: Target) =>
      call(`/instances/${name}`, 'PUT', { address, port, tags: ['metrics'] })
    const call = async (path: string, method: string, body?: object) => {
      const response = await fetch(`${running.url}/api/v1/namespaces/default/services/api${path}`, {
        method,
        ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      })
      expect(response.ok).toBe(true)
    }
    await register(one)
    await using prometheus = await prometheusServer({
      configuration: [
        'global: { scrape_interval: 250ms, scrape_timeout: 250ms }',
        guide('http_sd_configs', 'yaml', {
          'http://127.0.0.1:8500': running.url,
          'refresh_interval: 15s': 'refresh_interval: 1s',
        }),
      ].join('\n'),
    })
    const scrapes = (expected: object) =>
      vi.waitFor(
        async () => {
          const targets = await prometheus.targets()
          const found = targets.map(({ labels, health }) => [
            labels.id,
            [labels.service, labels.health, health],
          ])
          expect(Object.fromEntries(found)).toEqual(expected)
        },
        { timeout: 25_000, interval: 100 },
      )
    await scrapes({ one: ['api', 'passing', 'up'] })
    await register(two)
    // It is scraped nevertheless.
    await call('/instances/two/health', 'PUT', { checks: [{ id: 'disk', status: 'critical' }] })
    await call('/instances/one', 'DELETE')
    await scrapes({ two: ['api', 'critical', 'up'] })
  })
})
