import { describe, expect, it, vi } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { haproxyServer, type ProxyServer } from '../servers/haproxy.ts'
import { nginxServer } from '../servers/nginx.ts'
import { type Agent, agentTests, deregister, register, report } from './agent.ts'
import { guide } from './guide.ts'
import { target, web } from './target.ts'

/** Who answers a few requests. */
async function answering({ url }: ProxyServer): Promise<string[]> {
  const answers = Array.from({ length: 6 }, async () => {
    const response = await fetch(url, { headers: { connection: 'close' } })
    return response.ok ? response.text() : `${response.status}`
  })
  return [...new Set(await Promise.all(answers))].sort()
}

async function reaches(proxy: ProxyServer, names: readonly string[]): Promise<void> {
  await vi.waitFor(async () => expect(await answering(proxy)).toEqual(names), {
    timeout: 15_000,
    interval: 50,
  })
}

/** It finds two instances, loses one that is unhealthy, gets it back, and loses one that left. */
async function follows(agent: Agent, proxy: ProxyServer): Promise<void> {
  await reaches(proxy, ['one', 'two'])
  await report(agent, 'service:two', 'fail')
  await reaches(proxy, ['one'])
  await report(agent, 'service:two', 'pass')
  await reaches(proxy, ['one', 'two'])
  await deregister(agent, 'one')
  await reaches(proxy, ['two'])
}

engineTests('haproxy', () =>
  agentTests((start) => {
    describe('HAProxy', () => {
      it('follows the instances of a service, by its SRV records', async () => {
        await using agent = await start()
        await using one = await target('one')
        await using two = await target('two')
        for (const each of [one, two]) await register(agent, web(each))
        await using proxy = await haproxyServer((port) =>
          guide('HAProxy', 'haproxy', {
            '127.0.0.1:8600': `127.0.0.1:${agent.dnsPort}`,
            '127.0.0.1:8080': `127.0.0.1:${port}`,
            ' 1s': ' 200ms',
          }),
        )
        await follows(agent, proxy)
      })
    })
  }),
)

engineTests('nginx', () =>
  agentTests((start) => {
    describe('nginx', () => {
      // Elsewhere, loopback is one address, and here the instances share a port.
      it.skipIf(process.platform !== 'linux')('follows the addresses of a service', async () => {
        await using agent = await start()
        await using one = await target('one', { address: '127.0.0.2' })
        await using two = await target('two', { address: '127.0.0.3', port: one.port })
        for (const each of [one, two]) await register(agent, web(each))
        await using proxy = await nginxServer((port) =>
          guide('nginx', 'nginx', {
            '127.0.0.1:8600': `127.0.0.1:${agent.dnsPort}`,
            '127.0.0.1:8080': `127.0.0.1:${port}`,
            ':3000': `:${one.port}`,
          }),
        )
        await follows(agent, proxy)
      })
    })
  }),
)
