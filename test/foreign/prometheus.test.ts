import { spawnSync } from 'node:child_process'
import { describe, expect, it, vi } from 'vitest'
import { dnsServer } from '../servers/dns.ts'
import { engineTests } from '../servers/engine-tests.ts'
import { type PrometheusServer, prometheusServer } from '../servers/prometheus.ts'
import { agentTests, deregister, register } from './agent.ts'
import { guide } from './guide.ts'
import { target, web } from './target.ts'

/** By job, the names that the targets which are up say they have. */
async function scraped({ url }: PrometheusServer): Promise<Record<string, string[]>> {
  const response = await fetch(`${url}/api/v1/query?query=here`)
  const { data } = (await response.json()) as {
    data: { result: { metric: { job: string; name: string } }[] }
  }
  const jobs: Record<string, string[]> = {}
  for (const { metric } of data.result) jobs[metric.job] = [...(jobs[metric.job] ?? []), metric.name].sort()
  return jobs
}

/** It looks for changes every five seconds, and acts on them every five. */
const eventually = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 25_000, interval: 100 })

/** Prometheus asks for names on port 53 only, which root may have, and takes the server from a file of the system's. */
const namesAreAsked = process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'true']).status === 0

engineTests('prometheus-2.24', () =>
  engineTests('dns', () =>
    agentTests((start) => {
      describe('Prometheus', () => {
        it.skipIf(!namesAreAsked)(
          'scrapes those that consul_sd and dns_sd find, as they come and go',
          async () => {
            await using agent = await start()
            await using one = await target('one')
            await using two = await target('two')
            const address = nameserver()
            const forwarding = guide('The resolver of a machine', 'ini', { '#8600': `#${agent.dnsPort}` })
            await using _ = await dnsServer(forwarding.trim().split('\n'), { address, port: 53 })
            await register(agent, web(one))
            await using prometheus = await prometheusServer({
              version: '2.24',
              nameserver: address,
              configuration: [
                'global: { scrape_interval: 250ms, scrape_timeout: 250ms }',
                guide('consul_sd_configs', 'yaml', {
                  '127.0.0.1:8500': `127.0.0.1:${agent.port}`,
                  'refresh_interval: 15s': 'refresh_interval: 1s',
                }),
                guide('dns_sd_configs', 'yaml', {
                  'scrape_configs:\n': '',
                  'refresh_interval: 15s': 'refresh_interval: 1s',
                }),
              ].join('\n'),
            })
            await eventually(async () => {
              expect(await scraped(prometheus)).toEqual({ consul: ['one'], dns: ['one'] })
            })
            const found = (await prometheus.targets()).find(({ labels }) => labels.job === 'consul')
            expect(found).toMatchObject({
              health: 'up',
              scrapeUrl: `http://127.0.0.1:${one.port}/metrics`,
              labels: { id: 'one', team: 'shop' },
            })
            await register(agent, web(two))
            await deregister(agent, 'one')
            await eventually(async () => {
              expect(await scraped(prometheus)).toEqual({ consul: ['two'], dns: ['two'] })
            })
          },
        )
      })
    }),
  ),
)

/** A loopback address that nobody else takes. */
function nameserver(): string {
  const part = () => 1 + Math.floor(Math.random() * 250)
  return `127.${part()}.${part()}.${part()}`
}
