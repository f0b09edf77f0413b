import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type DnsServer, dnsServer } from '../../../test/servers/dns.ts'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { connect } from './connect.ts'
import { openEngine } from './open-engine.ts'

engineTests('dns', () => {
  let server: DnsServer
  const zone = (...hosts: readonly number[]) => [
    'local=/local/',
    ...hosts.map((n) => `srv-host=app2.test.shop.local,h${n}.local,8080,0,1`),
    ...hosts.map((n) => `host-record=h${n}.local,10.0.0.${n}`),
  ]
  beforeAll(async () => {
    server = await dnsServer(zone(1))
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  describe('a registry that can only be read', () => {
    test('is found in, watched and waited for', async () => {
      await server.configure(zone(1))
      await using discovery = connect(`dns://127.0.0.1:${server.port}/local?minTtl=20ms`, {
        notify: () => {},
        wait: '15s',
      })
      const found = await discovery.find('test.shop/app2')
      expect(found).toMatchObject({ address: '10.0.0.1', port: 8080, origin: 'http://10.0.0.1:8080' })
      const waiting = discovery.waitFor('test.shop/later')
      await server.configure([...zone(1, 2), 'srv-host=later.test.shop.local,h2.local,8081'])
      expect((await waiting).origin).toBe('http://10.0.0.2:8081')
      for await (const { entries } of discovery.watch('test.shop/app2')) if (entries.length === 2) break
      expect(await discovery.findAll('test.shop/app2')).toHaveLength(2)
      await expect(discovery.find('test.shop/absent')).rejects.toMatchObject({ code: 'service_not_found' })
    })

    test('is not found in when it does not answer, which is no absence', async () => {
      await server.configure([])
      await using discovery = connect(`dns://127.0.0.1:${server.port}/local`, {
        notify: () => {},
        wait: 1_500,
      })
      await expect(discovery.find('test.shop/app2')).rejects.toMatchObject({
        code: 'engine_unavailable',
        message: expect.stringContaining('it says REFUSED'),
      })
    })

    test('refuses announcements, and says why', async () => {
      await using discovery = connect(`dns://127.0.0.1:${server.port}/local`, { notify: () => {} })
      await expect(
        discovery.announce({ name: 'app2', port: 8080, address: '10.0.0.1' }),
      ).rejects.toMatchObject({ code: 'configuration', message: expect.stringMatching(/^dns is read-only/) })
    })

    test('is no engine for a server', async () => {
      await expect(openEngine(`dns://127.0.0.1:${server.port}/local`)).rejects.toMatchObject({
        code: 'configuration',
        message: expect.stringMatching(/^dns is read-only/),
      })
    })

    test('says what is wrong with its URL', async () => {
      await using discovery = connect('dns://a?prot=1', { notify: () => {}, wait: 500 })
      await expect(discovery.find('app2')).rejects.toThrow('"prot" is no parameter')
      await expect(openEngine('dns://a?prot=1')).rejects.toMatchObject({ code: 'configuration' })
    })
  })
})
