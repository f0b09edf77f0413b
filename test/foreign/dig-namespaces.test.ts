import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { put } from './agent.ts'
import { type DigAnswer, dig } from './dig-answer.ts'
import { type SeamarkAgent, seamarkAgent } from './seamark-agent.ts'

const soa = (domain: string) => [
  expect.stringMatching(new RegExp(`^${domain}\\. 1 SOA ns\\.${domain}\\. hostmaster\\.${domain}\\. `)),
]

const nothing = { answer: [], additional: [] }

/** What dig asks in its words, and what it is to understand; records in any order. */
const questions: readonly (readonly [words: string, expected: Partial<DigAnswer>])[] = [
  // As AWS Cloud Map shows service app2 of namespace test.shop, where the namespace's domain is local.
  [
    'app2.test.shop.local A',
    { flags: ['qr', 'aa', 'rd'], answer: [4, 5].map((n) => `app2.test.shop.local. 0 A 10.0.0.${n}`) },
  ],
  [
    'app2.test.shop.local SRV',
    {
      answer: [
        'app2.test.shop.local. 0 SRV 1 1 8080 0a000004.addr.local.',
        'app2.test.shop.local. 0 SRV 1 3 8081 0a000005.addr.local.',
      ],
      additional: expect.arrayContaining([
        '0a000004.addr.local. 0 A 10.0.0.4',
        '0a000005.addr.local. 0 A 10.0.0.5',
      ]),
    },
  ],
  ['0a000005.addr.local A', { answer: ['0a000005.addr.local. 0 A 10.0.0.5'] }],
  ['app2.test.shop.seamark A', { answer: [4, 5].map((n) => `app2.test.shop.seamark. 0 A 10.0.0.${n}`) }],
  [
    '_http._tcp.app2.test.shop.local SRV',
    { answer: ['_http._tcp.app2.test.shop.local. 0 SRV 1 1 8080 0a000004.addr.local.'] },
  ],
  ['_grpc._tcp.app2.test.shop.local SRV', { answer: [expect.stringContaining(' 8081 ')] }],
  [
    'APP2.Test.Shop.LOCAL A',
    { question: 'APP2.Test.Shop.LOCAL.', answer: [4, 5].map((n) => `APP2.Test.Shop.LOCAL. 0 A 10.0.0.${n}`) },
  ],
  // None of that type, none healthy, only names below it: there, and empty.
  ['app2.test.shop.local AAAA', { ...nothing, authority: soa('local') }],
  ['sunk.test.shop.local A', { ...nothing, authority: soa('local') }],
  ['test.shop.local A', { ...nothing, authority: soa('local') }],
  ['nobody.test.shop.local A', { ...nothing, status: 'NXDOMAIN', authority: soa('local') }],
  ['_ftp._tcp.app2.test.shop.local SRV', { ...nothing, status: 'NXDOMAIN', authority: soa('local') }],
  // A namespace is no tag, and its services are not Consul's.
  ['app2.service.consul A', { ...nothing, status: 'NXDOMAIN', authority: soa('consul') }],
  ['blue.app.service.consul A', { answer: ['blue.app.service.consul. 0 A 10.0.0.1'] }],
  // A version in a name.
  ['v2.app.service.consul A', { answer: ['v2.app.service.consul. 0 A 10.0.0.1'] }],
  ['v2.1.app.service.consul A', { answer: ['v2.1.app.service.consul. 0 A 10.0.0.1'] }],
  ['v2.2.app.service.consul A', { ...nothing, status: 'NXDOMAIN', authority: soa('consul') }],
  ['app.default.seamark A', { answer: ['app.default.seamark. 0 A 10.0.0.1'] }],
  // As little as possible (RFC 8482).
  ['app2.test.shop.local ANY', { answer: [expect.stringMatching(/ HINFO "RFC8482" ""$/)] }],
]

engineTests('dig', () => {
  let agent: SeamarkAgent
  beforeAll(async () => {
    agent = await seamarkAgent({ namespaceDomains: ['seamark', 'local'] })
    const register = (namespace: string, service: string, id: string, fields: object) =>
      put(`${agent.url}/api/v1/namespaces/${namespace}/services/${service}/instances/${id}`, fields)
    await register('test.shop', 'app2', 'a', { address: '10.0.0.4', port: 8080 })
    await register('test.shop', 'app2', 'b', { address: '10.0.0.5', port: 8081, scheme: 'grpc', weight: 3 })
    await register('test.shop', 'sunk', 'c', { address: '10.0.0.6', port: 8082 })
    await put(`${agent.url}/api/v1/namespaces/test.shop/services/sunk/instances/c/maintenance`, {
      enable: true,
    })
    await register('default', 'app', 'd', { address: '10.0.0.1', port: 80, tags: ['blue'], version: '2.1.3' })
  })
  afterAll(() => agent?.[Symbol.asyncDispose]())

  describe.each(['+edns=0', '+tcp', '+noedns'])('dig %s', (words) => {
    it.each(questions)('asks %s', async (question, expected) => {
      const found = await dig(agent.dnsPort, ...question.split(' '), words)
      const sorted = { ...found, answer: found.answer.toSorted() }
      expect(sorted).toMatchObject({ status: 'NOERROR', warnings: [], ...expected })
    })
  })
})
